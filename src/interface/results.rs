//! What the interface gives back.

use serde::{Deserialize, Serialize};

#[cfg(target_arch = "wasm32")]
use tsify::Tsify;

use super::LineupKey;
use crate::evaluate::Loss;
use crate::merge::recipe::Recipe;
use crate::merge::tensors::TensorChange;

/// A generated token.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// The text that it adds; empty while a character is incomplete, and of a token that ends the
    /// text.
    pub text: String,
}

/// Facts of a model, told by its headers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Summary {
    /// Model family.
    pub family: String,
    /// Number of blocks.
    pub layers: usize,
    /// A number for each block, the same for those that have the same tensors in the same shapes:
    /// others can be dropped, but neither averaged nor concatenated with each other.
    pub block_kinds: Vec<usize>,
    /// Channels of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Positions that the model was made for.
    pub positions: usize,
    /// Number of weights, a tied head counted once.
    pub parameters: f64,
    /// Bytes of the weights.
    pub bytes: f64,
    /// Weights of one block.
    pub block_parameters: f64,
    /// Bytes of one block.
    pub block_bytes: f64,
    /// Number format of the weights: `"F32"`, `"F16"`, `"BF16"`, or `"mixed"`.
    pub dtype: String,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// The most memory that calibrating and evaluating with default options is expected to take,
    /// bytes.
    pub peak_bytes: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The proof of merging, a line for each new matrix or bias; absent for a model that was not
    /// merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub tensors: Option<Vec<TensorChange>>,
}

/// An evaluation of a model that was not merged.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Evaluation {
    /// Number of predictions.
    pub tokens: usize,
    /// Mean negative log-likelihood per prediction, nats.
    pub nll: f64,
    /// exp(nll).
    pub perplexity: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// An evaluation of a merged model beside the one that it was made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Comparison {
    /// Number of predictions.
    pub tokens: usize,
    /// The model before.
    pub dense: Loss,
    /// The model after.
    pub merged: Loss,
    /// Mean KL(dense || merged), nats.
    pub kl: f64,
    /// Share of predictions whose most likely token is the same.
    pub top1_agreement: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// One method at one size with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct LineupPoint {
    /// Which one it is.
    #[serde(flatten)]
    pub key: LineupKey,
    /// Weights that are left.
    pub parameters: f64,
    /// Bytes of weights that are left.
    pub bytes: f64,
    /// What was measured, text by text.
    pub measured: Vec<LineupMeasure>,
    /// Seconds that choosing and repairing took, smaller sizes of the same run included; the shared
    /// calibration is not.
    pub seconds: f64,
    /// What was done; absent where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub recipe: Option<Recipe>,
    /// Why there is no result, for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub failed: Option<String>,
}

/// What one point of a line-up measures on one text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct LineupMeasure {
    /// The text.
    pub text: String,
    /// Number of predictions.
    pub tokens: usize,
    /// The model before.
    pub dense: Loss,
    /// The model after.
    pub merged: Loss,
    /// Mean KL(dense || merged), nats.
    pub kl: f64,
    /// Share of predictions whose most likely token is the same.
    pub top1_agreement: f64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Memory {
    /// WebAssembly memory now.
    pub wasm: f64,
    /// The same at its peak; it never shrinks.
    pub wasm_peak: f64,
    /// Weights and hidden states on the device, or for the CPU engine in ArrayBuffers, now.
    pub device: f64,
    /// The same at its peak.
    pub device_peak: f64,
}

/// What running a model will take: times in seconds, sizes in bytes. Right within a factor of two
/// on a machine that does nothing else.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Estimate {
    /// A calibration.
    pub calibrate_seconds: f64,
    /// Averaging one pair of layers.
    pub merge_seconds: f64,
    /// Merging by the preset `loss-guided` with one layer removed, with two, and so on. Empty where
    /// it does not concatenate in a model of this kind.
    pub loss_guided_seconds: Vec<f64>,
    /// Measuring the model on as many tokens; a merged one beside it takes about twice as long.
    pub evaluate_seconds: f64,
    /// Memory at the peak, in all.
    pub peak_bytes: f64,
    /// Bytes that each pass reads anew, since they do not fit the budget.
    pub read_again: f64,
    /// Bytes a second from the files to the engine, as measured.
    pub read_rate: f64,
    /// Billions of floating-point operations a second on these weights and so many tokens, as
    /// measured.
    pub gflops: f64,
}
