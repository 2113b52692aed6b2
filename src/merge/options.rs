//! What a caller may choose of a merge. Every option's default stands in its documentation; what
//! the choices come to on a model is a [`super::plan::MergePlan`].

use serde::{Deserialize, Serialize};
#[cfg(target_arch = "wasm32")]
use tsify::Tsify;

use super::choices::{Alpha, AlphaSource, Combination, Norms, Repair, Selection};
use super::recipe::Recipe;
use crate::similarity::Measure;

/// Which ends may neither be removed nor change.
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
    /// How many layers are removed. Default 1; with `manual`, the number of pairs.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub remove: Option<usize>,
    /// Which layers. Default `"similarity"`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub selection: Option<Selection>,
    /// With `manual`: `[keep, gone][]` in original indices, applied in order.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub pairs: Option<Vec<(usize, usize)>>,
    /// With `similarity` and `loss`, and for an alpha of `"similarity"` or `"published"`: the
    /// measure of similarity of two layers; `"angular"` counts as 1 - distance. Default `"npib"`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub measure: Option<Measure>,
    /// Measure similarities once, on the original model, and not anew after each step. Default
    /// false; always where `loss` tries merges that are fitted anew at the end (`"refit"`).
    #[serde(rename = "oneShot")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub one_shot: Option<bool>,
    /// What the survivor becomes. Default `"average"`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub combination: Option<Combination>,
    /// The weight of the earlier layer in an average. Default `"similarity"`; with `window`,
    /// `"equal"`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub alpha: Option<Alpha>,
    /// What happens to norms. Default `"fold"`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub norms: Option<Norms>,
    /// What is done about the gap. Default `"none"`. `"refit"` is not for families with a norm
    /// after the projections that write to the stream, nor for more than 4,096 neurons. Beside a
    /// `recipe`, the content of its `repair.safetensors`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional, type = "Repair | Uint8Array"))]
    pub repair: Option<Repair>,
    /// The matrices of a recipe's repairs, as a safetensors file.
    #[serde(skip)]
    pub repair_maps: Option<Vec<u8>>,
    /// How strongly a repair is drawn to doing nothing. Default 0.3, more where the text has fewer
    /// than 10 rows per input channel.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub ridge: Option<f64>,
    /// The share of calibration windows that decides whether a repair is accepted; 0 accepts always
    /// and fits on all. Default 0.2.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub holdout: Option<f64>,
    /// With `loss`: how many of the most similar pairs are tried, at first where the repair is
    /// `"refit"`. Default 4.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub candidates: Option<usize>,
    /// Default: both ends; the first for `tail`; none for `manual`.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub protect: Option<ProtectOption>,
}

/// The choices of a named method.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct PresetOptions {
    /// How layers are chosen.
    pub selection: Selection,
    /// What the survivors become.
    pub combination: Combination,
    /// Where alpha comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub alpha: Option<AlphaSource>,
    /// What happens to norms.
    pub norms: Norms,
    /// What is done about the gap.
    pub repair: Repair,
    /// How many pairs `loss` tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub candidates: Option<usize>,
}
