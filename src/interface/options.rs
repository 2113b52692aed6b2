//! What the interface is given. Every option's default stands in its documentation.

use serde::{Deserialize, Serialize};

#[cfg(target_arch = "wasm32")]
use tsify::Tsify;

use crate::merge::recipe::Recipe;

/// A text, several texts whose windows are taken in turn, or token ids; exactly one of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Input {
    /// A text; tokenised whole, no special token added.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub text: Option<String>,
    /// Several texts.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub texts: Option<Vec<String>>,
    /// Token ids.
    #[cfg_attr(target_arch = "wasm32", tsify(optional, type = "ArrayLike<number> & Iterable<number>"))]
    pub ids: Option<Vec<u32>>,
}

/// What to measure a model on.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct EvaluateOptions {
    /// The text or ids.
    #[serde(flatten)]
    pub input: Input,
    /// Tokens of a window. Default 256, or what the model has positions for if that is less.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub window: Option<usize>,
    /// The most windows. Default 16.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub sequences: Option<usize>,
}

/// Which token positions a calibration keeps.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub enum RowsOption {
    /// So many, drawn without replacement.
    Count(usize),
    /// `"all"` that are not skipped.
    Word(String),
    /// These: `[sequence, position]`.
    Chosen(Vec<(usize, usize)>),
}

/// What to calibrate on.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct CalibrateOptions {
    /// The text or ids.
    #[serde(flatten)]
    pub input: Input,
    /// The most windows. Default 32.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub sequences: Option<usize>,
    /// Tokens of a window. Default 256, or what the model has positions for if that is less.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub window: Option<usize>,
    /// Token positions that are kept: a number, `"all"`, or `[sequence, position][]`. Default 512.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub rows: Option<RowsOption>,
    /// Positions left out at the start of each window. Default 8.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub skip: Option<usize>,
    /// Seed of the draw of rows, and of windows. Default 0.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub seed: Option<u32>,
    /// Draw the windows from all of the text, by the seed, and not from its start. Default false.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub shuffle: Option<bool>,
}

/// How activations are embedded.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct ManifoldOptions {
    /// Dimensions of the embedding. Default 8.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub dimensions: Option<usize>,
    /// Scale of the kernel. Default: the median distance of the layer.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub sigma: Option<f64>,
    /// Power of the scaled distance in the kernel. Default 2.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub power: Option<f64>,
}

/// How the likeness of layers is measured.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct SimilarityOptions {
    /// How activations are embedded, for the measures that compare embeddings.
    #[serde(flatten)]
    pub manifold: ManifoldOptions,
    /// How many draws of rows the measure is repeated over: the calibration's own and those of the seeds after its own. Default 1; more give the
    /// mean and, beside it, the deviation.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub seeds: Option<usize>,
}

/// The weight of the front layer in an average.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub enum AlphaOption {
    /// A fixed weight, 0 to 1.
    Fixed(f64),
    /// `"similarity"`: the pair's NPIB similarity on the current model. `"published"`: the published code's sigmoid.
    /// `"search"`: of 0, 1/4, 1/2, 3/4 and 1, the one of least loss on the calibration text.
    Word(String),
}

/// Which ends may neither go nor change.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct ProtectOption {
    /// The first block.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub first: Option<bool>,
    /// The last block.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub last: Option<bool>,
}

/// How to merge.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct MergeOptions {
    /// A recipe to replay; everything else is ignored then.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub recipe: Option<Recipe>,
    /// A named method; the choices below override its own.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub preset: Option<String>,
    /// How many layers go. Default 1; with `manual`, the number of pairs.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub remove: Option<usize>,
    /// `"tail"`, `"similarity"` (default), `"block-influence"`, `"window"`, `"loss"` or `"manual"`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub selection: Option<String>,
    /// With `manual`: `[keep, gone][]` in original indices, applied in order.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub pairs: Option<Vec<(usize, usize)>>,
    /// With `similarity` and `loss`, and for an alpha of `"similarity"` or `"published"`: how alike two layers are is measured by `"npib"` (default),
    /// `"npib-knn"`, `"cosine"`, `"angular"` (as 1 - distance) or `"cka"`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub measure: Option<String>,
    /// Measure similarities once, on the original model, and not anew after each step. Default false;
    /// always where `loss` tries merges that are fitted anew at the end (`"refit"`).
    #[serde(rename = "oneShot")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub one_shot: Option<bool>,
    /// What the survivor becomes: `"average"` (default); `"drop"`, itself; `"difference"`, itself and what the others have beyond it (LaCo);
    /// `"concatenate"`, the strongest neurons and heads of both (CoMe), or with the repair `"refit"` the neurons that the fit can least do without.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub combination: Option<String>,
    /// `"similarity"` (default), `"published"`, `"search"` (least loss on the calibration text) or a number. With `window`, equal weights unless given.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub alpha: Option<AlphaOption>,
    /// `"fold"` (default) or `"keep"`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub norms: Option<String>,
    /// `"none"` (default); `"scale"`: what is written behind the gap is divided by how much the stream grows over it (Prune&Comp); `"linear"`: the
    /// surviving layer's MLP output is mapped, in closed form, to what the original model has behind the gap (ReplaceMe);
    /// `"refit"`: when all layers are gone, what every block from the first gap on writes to the stream is fitted anew, front to back, in closed form, to the
    /// original model's states, and what the neurons of concatenated blocks read; not for families with a norm behind those projections, nor for more than 4,096 neurons.
    /// Beside a `recipe`, the content of its `repair.safetensors`.
    #[cfg_attr(
        target_arch = "wasm32",
        tsify(optional, type = "\"none\" | \"scale\" | \"linear\" | \"refit\" | Uint8Array")
    )]
    pub repair: Option<String>,
    /// The matrices of a recipe's repairs, as a safetensors file.
    #[serde(skip)]
    pub repair_maps: Option<Vec<u8>>,
    /// How strongly a repair is drawn to doing nothing. Default 0.3, more where the text has fewer than 10 rows per channel that is read.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub ridge: Option<f64>,
    /// The share of calibration windows that decides whether a repair is accepted; 0 accepts always and fits on all. Default 0.2.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub holdout: Option<f64>,
    /// With `loss`: how many of the most similar pairs are tried, at first where the repair is `"refit"`. Default 4.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub candidates: Option<usize>,
    /// Default: both ends; the first for `tail`; none for `manual`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub protect: Option<ProtectOption>,
}

/// What to generate.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct GenerateOptions {
    /// The text to go on from.
    pub prompt: String,
    /// How many tokens. Default 50.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub tokens: Option<usize>,
    /// 0 (default) takes the most likely token; above, tokens are drawn from softmax(logits / temperature).
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub temperature: Option<f32>,
    /// Seed of the draws. Default 0.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub seed: Option<u32>,
}

/// Questions with four choices.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct ChoiceOptions {
    /// A file in the format of MMLU: question, four choices, the letter of the right one; no heading.
    pub csv: String,
    /// The most questions, from the start. Default 20.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub limit: Option<usize>,
}

/// A fact with its end left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Fact {
    /// What the model reads: "The capital of France is".
    pub prompt: String,
    /// What comes next: " Paris"; its first token counts.
    pub answer: String,
}

/// Facts to complete.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct ClozeOptions {
    /// The facts.
    pub facts: Vec<Fact>,
}

/// A text that a line-up measures on.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct LineupText {
    /// What the results call it.
    pub name: String,
    /// The text or ids.
    #[serde(flatten)]
    pub input: Input,
}

/// Which methods to hold against each other, at which sizes, on which texts.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct LineupOptions {
    /// Names of presets. Default all.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub presets: Option<Vec<String>>,
    /// Methods of one's own beside them.
    #[serde(default)]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub methods: Vec<LineupMethod>,
    /// How many layers go.
    pub budgets: Vec<usize>,
    /// Each seed draws its own rows, and each but 0 its own windows from all of the calibration text. Default `[0]`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub seeds: Option<Vec<u32>>,
    /// What every method is calibrated on; its seed is not used.
    pub calibrate: CalibrateOptions,
    /// What every result is measured on: texts of several kinds, none of them calibrated on.
    pub texts: Vec<LineupText>,
    /// Tokens of a window that is measured on. Default 256, or what the model has positions for if that is less.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub window: Option<usize>,
    /// The most windows of each text that are measured on. Default 16.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub sequences: Option<usize>,
    /// Points that are there already; they are left out.
    #[serde(default)]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub done: Vec<LineupKey>,
}

/// A method of one's own in a line-up.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct LineupMethod {
    /// What its points are called.
    pub name: String,
    /// Its choices; how many layers go is the line-up's.
    pub options: MergeOptions,
}

/// What tells the points of a line-up apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct LineupKey {
    /// The named method, or the name of one of one's own.
    pub preset: String,
    /// Layers that went.
    pub removed: usize,
    /// The seed.
    pub seed: u32,
}

/// For what an estimate is made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct EstimateOptions {
    /// Windows of the calibration, 32 unless given.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub sequences: Option<usize>,
    /// Tokens of each, 256 unless given, or as many as the model has positions.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub window: Option<usize>,
    /// Rows kept, 512 unless given.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub rows: Option<usize>,
}
