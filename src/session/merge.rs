//! From options or a recipe to a merged model.

use std::rc::Rc;

use super::calibration::Calibration;
use super::choosing::Choosing;
use super::input::digest;
use super::plan::Plan;
use super::{Model, Origin};
use crate::error::{Error, Result};
use crate::interface::MergeOptions;
use crate::merge::Survivors;
use crate::merge::combine::{Norms, TensorChange, combine, mixed_kinds};
use crate::merge::recipe::{Recipe, Repairs};
use crate::task::Task;
use crate::transformer::Transformer;

impl Model {
    /// Merges layers as the options say, or replays a recipe.
    ///
    /// # Errors
    /// [`Error::BadArgument`] naming the option that cannot be followed, [`Error::Cancelled`], or what measuring, reading and computing fail with.
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
        match &options.recipe {
            Some(recipe) => self.replay(recipe, options.repair_maps.as_deref(), calibration, task).await,
            None => {
                let plan = Plan::new(options, &self.transformer.description)?;
                let mut choosing = Choosing::begin(self, &plan, calibration, task).await?;
                for _ in 0..plan.remove {
                    choosing.step(task).await?;
                }
                let (recipe, survivors, warnings) = choosing.so_far(task).await?;
                self.finish(recipe, survivors, calibration, warnings, task).await
            }
        }
    }

    async fn replay(
        self: &Rc<Self>,
        recipe: &Recipe,
        maps: Option<&[u8]>,
        calibration: Option<&Calibration>,
        task: &Task,
    ) -> Result<Rc<Self>> {
        recipe.check(self.transformer.description.layers)?;
        let mut warnings = Vec::new();
        if recipe.model.fingerprint != self.transformer.checkpoint.fingerprint {
            if calibration.is_none() {
                let reason =
                    "it was made on another model; pass a calibration of this one if you mean to replay it here";
                return Err(Error::argument("recipe", reason));
            }
            warnings.push("The recipe was made on another model; its choices were not measured on this one.".into());
        }
        let survivors = match maps {
            Some(maps) => recipe.survivors(&self.read_repairs(maps)?)?,
            None if recipe.repairs() => {
                let warning = match recipe.steps.iter().any(|step| step.ridge.is_some()) {
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
                self.repair_again(recipe, calibration, task).await?
            }
            None => recipe.survivors(&Repairs::default())?,
        };
        self.finish(recipe.clone(), survivors, calibration, warnings, task).await
    }

    /// Carries a recipe out.
    pub(super) async fn finish(
        self: &Rc<Self>,
        recipe: Recipe,
        survivors: Survivors,
        calibration: Option<&Calibration>,
        mut warnings: Vec<String>,
        task: &Task,
    ) -> Result<Rc<Self>> {
        warnings.extend(mixed_kinds(&self.transformer.description, &survivors));
        let (transformer, changes) = self.merged(&survivors, recipe.norms()?, task).await?;
        let calibrated_on = calibration.map_or(Vec::new(), |c| c.sample.windows.iter().map(digest).collect());
        let origin = Origin { dense: self.clone(), recipe, survivors, changes, calibrated_on };
        let tokenizer = self.tokenizer.clone();
        Ok(Rc::new(Self { lab: self.lab.clone(), transformer, tokenizer, warnings, origin: Some(origin) }))
    }

    /// The model that the books describe.
    pub(super) async fn merged(
        &self,
        survivors: &Survivors,
        norms: Norms,
        task: &Task,
    ) -> Result<(Transformer, Vec<TensorChange>)> {
        // Trials and fits make many models, one after the other.
        self.lab.weights.sweep();
        let t = &self.transformer;
        let (checkpoint, changes) =
            combine(&t.checkpoint, &t.description, survivors, norms, &self.lab.meter, task).await?;
        let description = t.description.with_blocks(&survivors.layers());
        Ok((self.lab.transformer(checkpoint, description)?, changes))
    }
}
