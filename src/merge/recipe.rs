//! The record of a merge: enough to do it again, byte for byte, on any engine.

use std::collections::HashMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::combine::Norms;
use super::{RepairMap, Survivors};
use crate::error::{Error, Result};

/// The format that this version writes.
pub const FORMAT: &str = "mka-recipe/1";

/// Everything that decided a merge. Indices are those of the original blocks; scalars are written in shortest round-trip form.
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
    pub selection: String,
    /// What the survivors became: `"drop"` or `"average"`.
    pub combination: String,
    /// Where alpha came from: `"similarity"`, `"published"`, `"search"`, `"equal"` or `"fixed"`; absent for `drop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub alpha: Option<String>,
    /// `"fold"` or `"keep"`.
    pub norms: String,
    /// `"none"` or `"linear"`.
    pub repair: String,
    /// Whether the first and the last block were protected.
    pub protect: RecipeProtect,
    /// What the measurements were made on; absent where none was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub calibration: Option<RecipeCalibration>,
    /// The merges, in the order in which they were done.
    pub steps: Vec<RecipeStep>,
}

/// The model of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RecipeModel {
    /// Its family.
    pub family: String,
    /// Its number of blocks.
    pub layers: usize,
    /// SHA-256, hexadecimal, over `config.json`, the headers, the lengths and samples of the weight files.
    pub fingerprint: String,
}

/// The ends that a recipe protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RecipeProtect {
    /// The first block.
    pub first: bool,
    /// The last block.
    pub last: bool,
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

/// One merge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RecipeStep {
    /// The block that stayed.
    pub keep: usize,
    /// The block that went into it.
    pub gone: usize,
    /// keep = alpha keep + (1 - alpha) gone; 1 drops `gone`.
    pub alpha: f64,
    /// What the pair was chosen by: similarity, block influence, mean angular distance of the window, or the loss after the merge (nats).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub score: Option<f64>,
    /// The NPIB similarity that alpha was taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub similarity: Option<f64>,
    /// The ridge of the accepted linear repair of this gap, whose matrix is `T.<step>` in `repair.safetensors`; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub ridge: Option<f64>,
}

impl Recipe {
    /// The books after all steps; `maps` are the repairs by their step.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when a step is impossible, or repaired by a matrix that is not there.
    pub fn survivors(&self, maps: &HashMap<usize, Rc<RepairMap>>) -> Result<Survivors> {
        let mut survivors = Survivors::all(self.model.layers);
        for (index, step) in self.steps.iter().enumerate() {
            survivors.merge(step.keep, step.gone, step.alpha)?;
            if step.ridge.is_some() {
                let map = maps.get(&index).ok_or_else(|| {
                    let reason = format!(
                        "the matrix T.{index} of the repair is missing; pass repair.safetensors, or a calibration"
                    );
                    Error::argument("repair", reason)
                })?;
                survivors.set_repair(survivors.index_of(step.keep)?, Some(map.clone()));
            }
        }
        Ok(survivors)
    }

    /// Whether any gap was repaired.
    pub fn repairs(&self) -> bool {
        self.steps.iter().any(|step| step.ridge.is_some())
    }

    /// What happens to norms.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for a word that this version does not know.
    pub fn norms(&self) -> Result<Norms> {
        norms_from(&self.norms)
    }

    /// Fails unless this version can replay the recipe on a model of `layers` blocks.
    ///
    /// # Errors
    /// [`Error::BadArgument`] naming what does not fit.
    pub fn check(&self, layers: usize) -> Result<()> {
        let bad = |reason: String| Err(Error::argument("recipe", reason));
        if self.format != FORMAT {
            return bad(format!("its format is {:?}, this version replays {FORMAT:?}", self.format));
        }
        if !["none", "linear"].contains(&self.repair.as_str()) {
            return bad(format!("its repair is {:?}, this version replays \"none\" and \"linear\"", self.repair));
        }
        if self.model.layers != layers {
            return bad(format!("it was made on {} layers, this model has {layers}", self.model.layers));
        }
        if self.steps.is_empty() {
            return bad("it has no steps".into());
        }
        Ok(())
    }
}

/// The word of the programming interface for what happens to norms.
///
/// # Errors
/// [`Error::BadArgument`] for another word.
pub fn norms_from(word: &str) -> Result<Norms> {
    match word {
        "fold" => Ok(Norms::Fold),
        "keep" => Ok(Norms::Keep),
        other => Err(Error::argument("norms", format!("is {other:?}, expected \"fold\" or \"keep\""))),
    }
}
