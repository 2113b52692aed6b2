//! The order of a merge: choose a pair, choose what becomes of it, book it, repair the gap, measure the current model where the next choice needs it.

use std::vec::IntoIter;

use super::Model;
use super::calibration::Calibration;
use super::measured::Measured;
use super::plan::{Combination, Plan, Repair};
use super::trials::Trials;
use crate::error::{Error, Result};
use crate::merge::combine::Norms;
use crate::merge::recipe::{FORMAT, Recipe, RecipeModel, RecipeProtect, RecipeStep};
use crate::merge::selection::{Pair, Selection, candidates, least_influence, most_similar, tail};
use crate::merge::{Join, Survivors};
use crate::task::Task;

/// A merge on its way: one layer goes at each step.
pub(super) struct Choosing<'a> {
    model: &'a Model,
    plan: &'a Plan,
    calibration: Option<&'a Calibration>,
    measured: Measured<'a>,
    survivors: Survivors,
    /// Where what is left is fitted anew at the end, merges are tried with that.
    trials: Option<Trials<'a>>,
    steps: Vec<RecipeStep>,
    /// Pairs that were known before anything was merged.
    queue: IntoIter<Pair>,
    /// Block influence of the original model, where it decides.
    influence: Vec<f64>,
    warnings: Vec<String>,
}

impl<'a> Choosing<'a> {
    /// Nothing is merged yet.
    pub(super) async fn begin(
        model: &'a Model,
        plan: &'a Plan,
        calibration: Option<&'a Calibration>,
        task: &Task,
    ) -> Result<Self> {
        let layers = model.transformer.description.layers;
        let measured = Measured::new(model, plan, calibration);
        let trials = match (plan.selection, &plan.repair) {
            (Selection::Loss, Repair::Refit(fit)) => {
                Some(Trials::begin(model, plan.combination, fit, &measured, task).await?)
            }
            _ => None,
        };
        let queue = plan.queue(calibration, layers, task).await?.into_iter();
        let influence = match plan.selection {
            Selection::BlockInfluence => measured.given()?.block_influence(task).await?,
            _ => Vec::new(),
        };
        let (survivors, steps, warnings) = (Survivors::all(layers), Vec::new(), plan.notes.clone());
        Ok(Self { model, plan, calibration, measured, survivors, trials, steps, queue, influence, warnings })
    }

    /// Takes one layer out.
    pub(super) async fn step(&mut self, task: &Task) -> Result<()> {
        let (plan, model) = (self.plan, self.model);
        let pairs = self.pairs(task).await?;
        let (survivors, measured) = (&self.survivors, &mut self.measured);
        let (pair, join, similarity) = match &mut self.trials {
            Some(trials) => trials.cheapest(&pairs, plan.candidates, survivors, measured, task).await?,
            None => cheapest(plan.combination, pairs, survivors, measured, task).await?,
        };
        self.survivors.merge(pair.keep, pair.gone, &join)?;
        self.measured.forget();
        let (alpha, kept) = match join {
            Join::Average(alpha) => (Some(alpha), None),
            Join::Difference => (None, None),
            Join::Concatenate(kept) => (None, Some(kept)),
        };
        let Pair { keep, gone, score } = pair;
        let mut step = RecipeStep { keep, gone, alpha, kept, score, similarity, ridge: None, scale: None };
        // A window is one gap: it is repaired when all of it is gone.
        let gap_grows = self.queue.as_slice().first().is_some_and(|next| next.keep == keep);
        let (measured, survivors) = (&self.measured, &mut self.survivors);
        match &plan.repair {
            Repair::Linear(linear) if !gap_grows => {
                let number = self.steps.len();
                step.ridge = model.repair(linear, measured, survivors, &step, number, &mut self.warnings, task).await?;
            }
            Repair::Scale if !gap_grows => step.scale = model.scale(measured, survivors, &step, task).await?,
            _ => {}
        }
        self.steps.push(step);
        forget_overwritten(&mut self.steps);
        Ok(())
    }

    /// The pairs that may go next.
    async fn pairs(&mut self, task: &Task) -> Result<Vec<Pair>> {
        let (plan, survivors) = (self.plan, &self.survivors);
        let layers = self.model.transformer.description.layers;
        let changes = plan.combination.changes_survivor();
        Ok(match plan.selection {
            Selection::Manual | Selection::Window => {
                let pair = self.queue.next();
                vec![pair.ok_or_else(|| Error::argument("pairs", "there are fewer than layers to remove"))?]
            }
            Selection::Tail => vec![tail(survivors, layers, plan.protect, changes)?],
            Selection::BlockInfluence => vec![least_influence(survivors, plan.protect, changes, &self.influence)?],
            Selection::Similarity => {
                let similar = self.measured.similarities(survivors, task).await?;
                vec![most_similar(survivors, layers, plan.protect, changes, |i| similar.pair(i))?]
            }
            Selection::Loss => {
                let similar = match self.measured.similarities(survivors, task).await {
                    // A layer that no diffusion map embeds. All that hangs on likeness here is which pairs are tried first.
                    Err(Error::BadArgument { argument: "sigma", reason }) if !plan.combination.needs_similarity() => {
                        let instead = "The pairs to try were ordered by cosine similarity";
                        self.warnings.push(format!("{instead}: {reason}."));
                        self.measured.compare_by_cosine();
                        self.measured.similarities(survivors, task).await?
                    }
                    similar => similar?,
                };
                // What was tried is known, so the next ones may be.
                let count = if self.trials.is_some() { layers } else { plan.candidates };
                candidates(survivors, layers, plan.protect, changes, count, |i| similar.pair(i))?
            }
        })
    }

    /// What was done so far, as if it were all: the recipe, the books, and what the user should know.
    pub(super) async fn so_far(&self, task: &Task) -> Result<(Recipe, Survivors, Vec<String>)> {
        let (mut survivors, mut warnings) = (self.survivors.clone(), self.warnings.clone());
        let mut refits = Vec::new();
        if let Repair::Refit(plan) = &self.plan.repair {
            refits = self.model.refit(plan, &self.measured, &mut survivors, &mut warnings, task).await?;
        }
        let (plan, description) = (self.plan, &self.model.transformer.description);
        let recipe = Recipe {
            format: FORMAT.into(),
            tool: concat!("mka-lab ", env!("CARGO_PKG_VERSION")).into(),
            model: RecipeModel {
                family: description.family.into(),
                layers: description.layers,
                fingerprint: self.model.transformer.checkpoint.fingerprint.clone(),
            },
            preset: plan.preset.clone(),
            selection: plan.selection.name().into(),
            measure: plan.compares_layers().then(|| self.measured.measure().name().into()),
            one_shot: plan.one_shot && plan.compares_layers(),
            combination: plan.combination.word().into(),
            alpha: plan.combination.alpha().map(Into::into),
            norms: if plan.norms == Norms::Keep { "keep" } else { "fold" }.into(),
            repair: plan.repair.word().into(),
            protect: RecipeProtect { first: plan.protect.first, last: plan.protect.last },
            calibration: self.calibration.filter(|_| plan.measures()).map(Calibration::record),
            steps: self.steps.clone(),
            refits,
        };
        Ok((recipe, survivors, warnings))
    }
}

/// Of some pairs and what may become of them, the one whose merge gives the least loss; a single one is not tried.
async fn cheapest(
    combination: Combination,
    pairs: Vec<Pair>,
    survivors: &Survivors,
    measured: &mut Measured<'_>,
    task: &Task,
) -> Result<(Pair, Join, Option<f64>)> {
    let mut trials = Vec::new();
    for pair in pairs {
        let joins = measured.joins(combination, survivors, pair, task).await?;
        trials.extend(joins.into_iter().map(|(join, similarity)| (pair, join, similarity)));
    }
    if trials.len() > 1 {
        let step = task.step("choose", trials.len(), "candidates");
        let (mut least, inner) = (f64::INFINITY, task.inner());
        for index in 0..trials.len() {
            let loss = match measured.loss_after(survivors, trials[index].0, &trials[index].1, &inner).await {
                // A model that is beyond measuring is the worst choice, and no reason to stop.
                Err(Error::NotFinite { .. }) => f64::INFINITY,
                loss => loss?,
            };
            trials[index].0.score = Some(loss);
            if loss < least {
                least = loss;
                trials.swap(0, index);
            }
            step.advance(1)?;
        }
    }
    let best = trials.into_iter().next();
    best.ok_or_else(|| Error::argument("candidates", "there is nothing to choose from"))
}

/// A later merge of the same block makes an earlier repair of it void.
fn forget_overwritten(steps: &mut [RecipeStep]) {
    for index in 0..steps.len() {
        let (earlier, later) = steps.split_at_mut(index + 1);
        let keep = earlier[index].keep;
        if later.iter().any(|step| step.keep == keep || step.gone == keep) {
            (earlier[index].ridge, earlier[index].scale) = (None, None);
        }
    }
}
