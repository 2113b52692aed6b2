//! The record of a merge: enough to do it again, byte for byte, on any engine.

use std::collections::HashMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::choices::{AlphaSource, Combination, Norms, Protect, Repair, Selection};
use super::combine::{ChannelSelection, ChannelSelectionText};
use super::state::{Fitted, Join, MergeState, RepairMap};
use crate::architecture::{Assume, Description};
use crate::calibration::Calibration;
use crate::checkpoint::content_hash::hex;
use crate::error::{Error, Result};
use crate::similarity::Measure;
use crate::tokens::digest;

/// The format that this version writes.
pub const FORMAT: &str = "mka-recipe/1";

/// Everything that decided a merge. Indices are those of the original blocks; scalars are written
/// in shortest round-trip form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Recipe {
    /// `"mka-recipe/1"`.
    pub format: String,
    /// The program and version that wrote it.
    pub tool: String,
    /// The model that it was made on.
    pub model: RecipeModel,
    /// The named method, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub preset: Option<String>,
    /// How the layers were chosen.
    pub selection: Selection,
    /// The measure of similarity that pairs or weights were taken from; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub measure: Option<Measure>,
    /// Whether similarities were measured once, on the original model, and not anew after each
    /// step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub one_shot: bool,
    /// What the state became.
    pub combination: Combination,
    /// Where alpha came from; absent unless blocks were averaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub alpha: Option<AlphaSource>,
    /// What happened to norms.
    pub norms: Norms,
    /// What was done about gaps.
    pub repair: Repair,
    /// Whether the first and the last block were protected.
    pub protect: Protect,
    /// What the measurements were made on; absent where none was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub calibration: Option<RecipeCalibration>,
    /// The merges, in the order in which they were done.
    pub steps: Vec<RecipeStep>,
    /// The blocks whose projections to the stream were fitted anew when all layers were removed,
    /// from the first to the last; `repair.safetensors` has their weights under the names of the
    /// original tensors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub refits: Vec<RecipeRefit>,
}

/// A block whose projections to the stream were fitted anew.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RecipeRefit {
    /// Its original index.
    pub layer: usize,
    /// The ridges of the fits of its output and of its down projection.
    pub ridges: [f64; 2],
}

/// The model of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RecipeModel {
    /// Its family.
    pub family: String,
    /// Its number of blocks.
    pub layers: usize,
    /// SHA-256, hexadecimal, over `config.json`, the headers, the lengths and samples of the weight
    /// files.
    pub fingerprint: String,
    /// The family that the user insisted on when the model was opened, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub assume: Option<Assume>,
}

/// The calibration of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RecipeCalibration {
    /// SHA-256, hexadecimal, over the token ids as little-endian u32.
    pub ids_sha256: String,
    /// Number of windows.
    pub sequences: usize,
    /// Tokens of each.
    pub window: usize,
    /// Rows that were kept.
    pub rows: usize,
    /// Positions left out at the start of each window.
    pub skip: usize,
    /// Seed of the draw of rows.
    pub seed: u64,
}

impl RecipeCalibration {
    /// What a recipe says of a calibration.
    pub fn of(calibration: &Calibration) -> Self {
        let info = calibration.info();
        Self {
            ids_sha256: hex(&digest(calibration.sample.windows.iter().flatten())),
            sequences: info.sequences,
            window: info.window,
            rows: info.rows,
            skip: info.skip,
            seed: info.seed.into(),
        }
    }
}

/// One merge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RecipeStep {
    /// The block that stayed.
    pub keep: usize,
    /// The block that was removed.
    #[serde(rename = "gone")]
    pub removed: usize,
    /// keep = alpha keep + (1 - alpha) removed; 1 drops the block that was removed. Absent where
    /// the two were not averaged: concatenated where `kept` is there, otherwise keep = keep +
    /// removed - the original block in the place of keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub alpha: Option<f64>,
    /// Which neurons and heads of the two make the new block: as text, which is read step by step.
    /// A few signs stand for many numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub kept: Option<ChannelSelectionText>,
    /// What the pair was chosen by: similarity, block influence, mean angular distance of the
    /// window, the loss after the merge (nats), or, where the model is fitted anew at the end, the
    /// KL divergence of a trial (nats).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub score: Option<f64>,
    /// The similarity of the pair, where alpha was taken from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub similarity: Option<f64>,
    /// The ridge of the accepted linear repair of this gap, whose matrix is `T.<step>` in
    /// `repair.safetensors`; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub ridge: Option<f64>,
    /// By how much the stream grows over this gap, for which what is written after it is divided;
    /// absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub scale: Option<f64>,
}

impl RecipeStep {
    /// What it makes of its two blocks.
    ///
    /// # Errors
    /// [`Error::BadArgument`] where the text of what is kept is none.
    pub fn join(&self) -> Result<Join> {
        Ok(match (self.alpha, &self.kept) {
            (Some(alpha), _) => Join::Average(alpha),
            (None, Some(text)) => {
                let selection = ChannelSelection::try_from(text.clone());
                Join::Concatenate(selection.map_err(|reason| Error::argument("recipe", reason))?)
            }
            (None, None) => Join::Difference,
        })
    }

    /// How the new block was made, for a model card.
    pub fn made_by(&self) -> String {
        match (self.alpha, &self.kept) {
            (Some(alpha), _) => format!("alpha {alpha}"),
            (None, Some(_)) => "concatenation".into(),
            (None, None) => "difference".into(),
        }
    }
}

/// What repairs need beside a recipe.
#[derive(Debug, Default)]
pub struct Repairs {
    /// The maps, by their step.
    pub maps: HashMap<usize, Rc<RepairMap>>,
    /// Projections that were fitted anew, by the original index of their block.
    pub fitted: HashMap<usize, Vec<Rc<Fitted>>>,
}

impl Recipe {
    /// The state after all steps and repairs.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when a step is impossible, or repaired by a matrix that is not there.
    pub fn merge_state(&self, repairs: &Repairs) -> Result<MergeState> {
        let mut state = MergeState::all(self.model.layers);
        let missing = |what: String| {
            let reason = format!("{what} is missing in the repair; pass repair.safetensors, or a calibration");
            Error::argument("repair", reason)
        };
        for (index, step) in self.steps.iter().enumerate() {
            state.merge(step.keep, step.removed, &step.join()?)?;
            if let Some(scale) = step.scale {
                state.set_scale(state.index_of(step.keep)?, scale)?;
            }
            if step.ridge.is_some() {
                let map = repairs.maps.get(&index).ok_or_else(|| missing(format!("the matrix T.{index}")))?;
                state.set_repair(state.index_of(step.keep)?, Some(map.clone()));
            }
        }
        for refit in &self.refits {
            let index = state.index_of(refit.layer)?;
            let all = |fitted: &&Vec<Rc<Fitted>>| {
                Fitted::WRITE.iter().all(|role| fitted.iter().any(|fitted| fitted.role == *role))
            };
            let fitted = repairs.fitted.get(&refit.layer).filter(all);
            let fitted = fitted.ok_or_else(|| missing(format!("a projection of block {}", refit.layer)))?;
            fitted.iter().for_each(|fitted| state.set_fitted(index, fitted.clone()));
        }
        Ok(state)
    }

    /// How the gap of a step was repaired, for a model card.
    pub fn repair_of(&self, step: &RecipeStep) -> String {
        match (step.ridge, step.scale) {
            (Some(ridge), _) => format!("linear, ridge {ridge}"),
            (None, Some(scale)) => format!("scale {scale}"),
            (None, None) => match self.refits.iter().find(|refit| refit.layer == step.keep) {
                Some(refit) => format!("fitted anew, ridges {} and {}", refit.ridges[0], refit.ridges[1]),
                None => "none".into(),
            },
        }
    }

    /// Whether any gap was repaired by a linear map.
    pub fn has_linear_maps(&self) -> bool {
        self.steps.iter().any(|step| step.ridge.is_some())
    }

    /// Whether any gap was repaired.
    pub fn repairs(&self) -> bool {
        !self.refits.is_empty() || self.has_linear_maps()
    }

    /// Fails unless this version can replay the recipe on a model of this description.
    ///
    /// # Errors
    /// [`Error::BadArgument`] naming what does not fit.
    pub fn check(&self, description: &Description) -> Result<()> {
        let layers = description.layers;
        let bad = |reason: String| Err(Error::argument("recipe", reason));
        if self.format != FORMAT {
            return bad(format!("its format is {:?}, this version replays {FORMAT:?}", self.format));
        }
        if self.model.layers != layers {
            return bad(format!("it was made on {} layers, this model has {layers}", self.model.layers));
        }
        if self.steps.is_empty() {
            return bad("it has no steps".into());
        }
        if self.steps.len() >= layers {
            return bad(format!("it has {} steps, this model has {layers} layers", self.steps.len()));
        }
        for (number, step) in self.steps.iter().enumerate() {
            let Join::Concatenate(selection) = step.join()? else { continue };
            let parts = [
                ("neurons", &selection.neurons, description.neurons()),
                ("heads", &selection.heads, description.kv_heads),
            ];
            for (what, lists, count) in parts {
                if let Some(index) = lists.iter().flatten().find(|index| **index as usize >= count) {
                    return bad(format!("step {number} keeps number {index} of the {count} {what} of a block"));
                }
            }
        }
        Ok(())
    }
}
