//! From options or a recipe to a merged model.

use std::rc::Rc;

use super::model::{Model, Origin};
use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::merge::context::MergeContext;
use crate::merge::greedy::GreedyMerge;
use crate::merge::options::MergeOptions;
use crate::merge::plan::MergePlan;
use crate::merge::recipe::{Recipe, Repairs};
use crate::merge::repair::read_repairs;
use crate::merge::repair::replay::refit_from_recipe;
use crate::merge::state::MergeState;
use crate::merge::tensors::{mixed_kinds, moved_image_blocks};
use crate::task::Task;
use crate::tokens::digest;

impl Model {
    /// Merges layers as the options say, or replays a recipe.
    ///
    /// # Errors
    /// [`Error::BadArgument`] naming the option that cannot be followed, [`Error::Cancelled`], or
    /// what measuring, reading and computing fail with.
    pub async fn merge(
        self: &Rc<Self>,
        options: &MergeOptions,
        calibration: Option<&Calibration>,
        task: &Task,
    ) -> Result<Rc<Self>> {
        self.lab.weights.sweep();
        if self.origin.is_some() {
            let reason = "this model is a merged one; merge the original with more layers instead";
            return Err(Error::argument("model", reason));
        }
        if let Some(recipe) = &options.recipe {
            return self.replay(recipe, options.repair_maps.as_deref(), calibration, task).await;
        }
        let plan = MergePlan::new(options, &self.transformer.description)?;
        let context = self.merge_context(plan.norms);
        let mut merge = GreedyMerge::begin(&context, &plan, calibration, task).await?;
        for _ in 0..plan.remove {
            merge.step(task).await?;
        }
        let (recipe, state, warnings) = merge.snapshot(task).await?;
        self.finish(&context, recipe, state, calibration, warnings, task).await
    }

    async fn replay(
        self: &Rc<Self>,
        recipe: &Recipe,
        maps: Option<&[u8]>,
        calibration: Option<&Calibration>,
        task: &Task,
    ) -> Result<Rc<Self>> {
        recipe.check(&self.transformer.description)?;
        let mut warnings = Vec::new();
        if recipe.model.fingerprint != self.transformer.checkpoint.fingerprint {
            if calibration.is_none() {
                let reason =
                    "it was made on another model; pass a calibration of this one if you mean to replay it here";
                return Err(Error::argument("recipe", reason));
            }
            warnings.push("The recipe was made on another model; its choices were not measured on this one.".into());
        }
        let context = self.merge_context(recipe.norms);
        let state = match maps {
            Some(maps) => recipe.merge_state(&read_repairs(&context, maps)?)?,
            None if recipe.repairs() => {
                let warning = match recipe.has_linear_maps() {
                    true => {
                        "The repairs were fitted anew, on all windows of the calibration; where some were held out when the recipe was made, they \
                         differ from its own. Pass the repair.safetensors of the merged model to have those."
                    }
                    false => {
                        "The blocks were fitted anew on this calibration; they are the recipe's own if it was made on the same. Pass the \
                         repair.safetensors of the merged model to have those for certain."
                    }
                };
                warnings.push(warning.into());
                refit_from_recipe(&context, recipe, calibration, task).await?
            }
            None => recipe.merge_state(&Repairs::default())?,
        };
        self.finish(&context, recipe.clone(), state, calibration, warnings, task).await
    }

    /// The model of a state, with the recipe that led to it.
    pub(super) async fn finish(
        self: &Rc<Self>,
        context: &MergeContext,
        recipe: Recipe,
        state: MergeState,
        calibration: Option<&Calibration>,
        mut warnings: Vec<String>,
        task: &Task,
    ) -> Result<Rc<Self>> {
        warnings.extend(mixed_kinds(&self.transformer.description, &state));
        warnings.extend(moved_image_blocks(&self.transformer.description, &state));
        let (transformer, changes) = context.build(&state, task).await?;
        let calibrated_on = calibration.map_or(Vec::new(), |c| c.sample.windows.iter().map(digest).collect());
        let origin = Origin { dense: self.clone(), recipe, state, changes, calibrated_on };
        let (lab, tokenizer, end_tokens) = (self.lab.clone(), self.tokenizer.clone(), self.end_tokens.clone());
        Ok(Rc::new(Self { lab, transformer, tokenizer, end_tokens, warnings, origin: Some(origin) }))
    }
}
