//! The order of a merge: choose a pair, choose alpha, book it, repair the gap, measure the current model where the next choice needs it.

use std::collections::HashMap;
use std::rc::Rc;

use super::calibration::Calibration;
use super::input::digest;
use super::measured::Measured;
use super::plan::{Alpha, Plan};
use super::repairing::read_maps;
use super::{Model, Origin};
use crate::error::{Error, Result};
use crate::interface::MergeOptions;
use crate::merge::combine::{Norms, TensorChange, combine, mixed_kinds};
use crate::merge::recipe::{FORMAT, Recipe, RecipeModel, RecipeProtect, RecipeStep};
use crate::merge::selection::{Pair, Selection, candidates, least_influence, most_similar, tail};
use crate::merge::{RepairMap, Survivors};
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
                let (recipe, survivors, warnings) = self.choose(&plan, calibration, task).await?;
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
            Some(maps) => {
                let shape = RepairMap::shape(&self.transformer.description);
                recipe.survivors(&read_maps(maps, &shape, &self.lab.meter)?)?
            }
            None if recipe.repairs() => self.repair_again(recipe, calibration, task).await?,
            None => recipe.survivors(&HashMap::new())?,
        };
        self.finish(recipe.clone(), survivors, calibration, warnings, task).await
    }

    /// Carries a recipe out.
    async fn finish(
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
        let t = &self.transformer;
        let (checkpoint, changes) =
            combine(&t.checkpoint, &t.description, survivors, norms, &self.lab.meter, task).await?;
        let description = t.description.with_blocks(&survivors.layers());
        Ok((self.lab.transformer(checkpoint, description)?, changes))
    }

    /// Chooses pair after pair.
    async fn choose(
        &self,
        plan: &Plan,
        calibration: Option<&Calibration>,
        task: &Task,
    ) -> Result<(Recipe, Survivors, Vec<String>)> {
        let layers = self.transformer.description.layers;
        let mut measured = Measured::new(self, plan.norms, calibration);
        let mut warnings = Vec::new();
        let mut survivors = Survivors::all(layers);
        let mut steps = Vec::new();
        let mut queue = plan.queue(calibration, layers, task).await?.into_iter();
        let influence = match plan.selection {
            Selection::BlockInfluence => measured.given()?.block_influence(task).await?,
            _ => Vec::new(),
        };
        for _ in 0..plan.remove {
            let changes = plan.alpha != Alpha::Drop;
            let pairs = match plan.selection {
                Selection::Manual | Selection::Window => {
                    let pair = queue.next();
                    vec![pair.ok_or_else(|| Error::argument("pairs", "there are fewer than layers to remove"))?]
                }
                Selection::Tail => vec![tail(&survivors, layers, plan.protect, changes)?],
                Selection::BlockInfluence => vec![least_influence(&survivors, plan.protect, changes, &influence)?],
                Selection::Similarity => {
                    let matrix = measured.matrix(&survivors, task).await?;
                    vec![most_similar(&survivors, layers, plan.protect, changes, |i| matrix.get(i, i + 1))?]
                }
                Selection::Loss => {
                    let matrix = measured.matrix(&survivors, task).await?;
                    candidates(&survivors, layers, plan.protect, changes, plan.candidates, |i| matrix.get(i, i + 1))?
                }
            };
            let (pair, alpha, similarity) = cheapest(plan.alpha, pairs, &survivors, &mut measured, task).await?;
            survivors.merge(pair.keep, pair.gone, alpha)?;
            measured.forget();
            let mut step =
                RecipeStep { keep: pair.keep, gone: pair.gone, alpha, score: pair.score, similarity, ridge: None };
            // A window is one gap: it is repaired when all of it is gone.
            let gap_grows = queue.as_slice().first().is_some_and(|next| next.keep == pair.keep);
            if let Some(repair) = plan.repair.as_ref().filter(|_| !gap_grows) {
                step.ridge =
                    self.repair(repair, &measured, &mut survivors, &step, steps.len(), &mut warnings, task).await?;
            }
            steps.push(step);
        }
        forget_overwritten(&mut steps);
        let used = plan.selection != Selection::Manual && plan.selection != Selection::Tail
            || plan.repair.is_some()
            || matches!(plan.alpha, Alpha::Similarity | Alpha::Published | Alpha::Search);
        let recipe = Recipe {
            format: FORMAT.into(),
            tool: concat!("mka-lab ", env!("CARGO_PKG_VERSION")).into(),
            model: RecipeModel {
                family: self.transformer.description.family.into(),
                layers,
                fingerprint: self.transformer.checkpoint.fingerprint.clone(),
            },
            preset: plan.preset.clone(),
            selection: Selection::NAMES.iter().find(|(_, s)| *s == plan.selection).map_or("", |(name, _)| name).into(),
            combination: if plan.alpha == Alpha::Drop { "drop" } else { "average" }.into(),
            alpha: plan.alpha.word().map(Into::into),
            norms: if plan.norms == Norms::Keep { "keep" } else { "fold" }.into(),
            repair: if plan.repair.is_some() { "linear" } else { "none" }.into(),
            protect: RecipeProtect { first: plan.protect.first, last: plan.protect.last },
            calibration: calibration.filter(|_| used).map(Calibration::record),
            steps,
        };
        Ok((recipe, survivors, warnings))
    }
}

/// Of some pairs and weights, those whose merge gives the least loss; a single one is not tried.
async fn cheapest(
    alpha: Alpha,
    pairs: Vec<Pair>,
    survivors: &Survivors,
    measured: &mut Measured<'_>,
    task: &Task,
) -> Result<(Pair, f64, Option<f64>)> {
    let mut trials = Vec::new();
    for pair in pairs {
        let alphas = measured.alphas(alpha, survivors, pair, task).await?;
        trials.extend(alphas.into_iter().map(|(alpha, similarity)| (pair, alpha, similarity)));
    }
    if let [only] = trials[..] {
        return Ok(only);
    }
    let step = task.step("choose", trials.len(), "candidates");
    let mut best = None;
    for trial in trials {
        let loss = measured.loss_after(survivors, trial.0, trial.1, task).await?;
        if best.is_none_or(|(least, _)| loss < least) {
            best = Some((loss, trial));
        }
        step.advance(1)?;
    }
    let (loss, (pair, alpha, similarity)) =
        best.ok_or_else(|| Error::argument("candidates", "there is nothing to choose from"))?;
    Ok((Pair { score: Some(loss), ..pair }, alpha, similarity))
}

/// A later merge of the same block makes an earlier repair of it void.
fn forget_overwritten(steps: &mut [RecipeStep]) {
    for index in 0..steps.len() {
        let (earlier, later) = steps.split_at_mut(index + 1);
        let keep = earlier[index].keep;
        if later.iter().any(|step| step.keep == keep || step.gone == keep) {
            earlier[index].ridge = None;
        }
    }
}
