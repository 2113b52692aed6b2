//! What the interface is given. Every option's default stands in its documentation.

use serde::{Deserialize, Serialize};

#[cfg(target_arch = "wasm32")]
use tsify::Tsify;

use crate::evaluate::Fact;
use crate::manifold::DiffusionMapOptions;
use crate::merge::options::MergeOptions;

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

impl From<&ManifoldOptions> for DiffusionMapOptions {
    fn from(options: &ManifoldOptions) -> Self {
        let default = Self::default();
        Self {
            dimensions: options.dimensions.unwrap_or(default.dimensions),
            sigma: options.sigma.or(default.sigma),
            power: options.power.unwrap_or(default.power),
        }
    }
}

/// How the similarity of layers is measured.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct SimilarityOptions {
    /// How activations are embedded, for the measures that compare embeddings.
    #[serde(flatten)]
    pub manifold: ManifoldOptions,
    /// How many draws of rows the measure is repeated over: the calibration's own and those of the
    /// seeds after its own. Default 1; more give the mean and, beside it, the deviation.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub seeds: Option<usize>,
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
    /// 0 (default) takes the most likely token; above, tokens are drawn from softmax(logits /
    /// temperature).
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
    /// A file in the format of MMLU: question, four choices, the letter of the right one; no
    /// heading.
    pub csv: String,
    /// The most questions, from the start. Default 20.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub limit: Option<usize>,
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
    /// Each seed draws its own rows, and each but 0 its own windows from all of the calibration
    /// text. Default `[0]`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub seeds: Option<Vec<u32>>,
    /// What every method is calibrated on; its seed is not used.
    pub calibrate: CalibrateOptions,
    /// What every result is measured on: texts of several kinds, none of them calibrated on.
    pub texts: Vec<LineupText>,
    /// Tokens of a window that is measured on. Default 256, or what the model has positions for if
    /// that is less.
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
