//! The order of a merge: choose a pair, choose what becomes of it, record it, repair the gap,
//! measure the current model where the next choice needs it; again and again. Must not know where
//! models come from.

use std::vec::IntoIter;

use super::choices::{Alpha, Combination, Repair, Selection};
use super::combine::Proposal;
use super::context::MergeContext;
use super::plan::MergePlan;
use super::recipe::{FORMAT, Recipe, RecipeCalibration, RecipeModel, RecipeStep};
use super::repair::linear::repair_gap;
use super::repair::refit::refit;
use super::repair::scale::scale_gap;
use super::select::block_influence::least_influence;
use super::select::loss::cheapest;
use super::select::pair::{Pair, Rules, ranked};
use super::select::scores::{SelectionScores, Similarities};
use super::select::tail::last_pair;
use super::select::trials::Trials;
use super::select::window::window_pairs;
use super::state::{Join, MergeState};
use super::tensors::only_dropped;
use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::task::Task;

/// A merge on its way: each step removes one layer.
pub struct GreedyMerge<'a> {
    context: &'a MergeContext,
    plan: &'a MergePlan,
    calibration: Option<&'a Calibration>,
    scores: SelectionScores<'a>,
    state: MergeState,
    /// Where all blocks are fitted anew at the end, merges are tried with that.
    trials: Option<Trials<'a>>,
    steps: Vec<RecipeStep>,
    /// Pairs that were known before anything was merged.
    queue: IntoIter<Pair>,
    /// Block influence of the original model, where it decides.
    influence: Vec<f64>,
    warnings: Vec<String>,
}

impl<'a> GreedyMerge<'a> {
    /// Nothing is merged yet.
    ///
    /// # Errors
    /// [`Error::BadArgument`] where a calibration is needed and there is none,
    /// [`Error::Cancelled`], or what measuring fails with.
    pub async fn begin(
        context: &'a MergeContext,
        plan: &'a MergePlan,
        calibration: Option<&'a Calibration>,
        task: &Task,
    ) -> Result<Self> {
        let layers = context.original.description.layers;
        let scores = SelectionScores::new(context, plan, calibration);
        let trials = match (plan.selection, plan.repair) {
            (Selection::Loss, Repair::Refit) => Some(Trials::begin(plan, &scores, task).await?),
            _ => None,
        };
        let (state, steps, warnings) = (MergeState::all(layers), Vec::new(), plan.notes.clone());
        let (queue, influence) = (Vec::new().into_iter(), Vec::new());
        let mut merge = Self { context, plan, calibration, scores, state, trials, steps, queue, influence, warnings };
        match plan.selection {
            Selection::Manual => {
                let named = |(keep, removed): &(usize, usize)| Pair { keep: *keep, removed: *removed, score: None };
                merge.queue = plan.pairs.iter().map(named).collect::<Vec<_>>().into_iter();
            }
            Selection::Window => {
                let calibration = merge.scores.calibration()?;
                merge.queue = window_pairs(merge.rules(), plan.remove, calibration, task).await?.into_iter();
            }
            Selection::BlockInfluence => merge.influence = merge.scores.calibration()?.block_influence(task).await?,
            Selection::Tail | Selection::Similarity | Selection::Loss => {}
        }
        Ok(merge)
    }

    /// Removes one layer.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when no further layer may go, [`Error::Cancelled`], or what
    /// measuring, fitting and computing fail with.
    pub async fn step(&mut self, task: &Task) -> Result<()> {
        let plan = self.plan;
        let pairs = self.pairs(task).await?;
        let joins = plan.combination.changes_survivor() && plan.alpha != Alpha::Weight(1.0);
        for pair in pairs.iter().filter(|_| joins) {
            if let Some(difference) = self.context.original.description.difference(pair.keep, pair.removed) {
                return Err(only_dropped(pair.keep, pair.removed, &difference));
            }
        }
        let (state, scores) = (&self.state, &mut self.scores);
        let (pair, Proposal { join, similarity }) = match &mut self.trials {
            Some(trials) => trials.cheapest(&pairs, state, scores, task).await?,
            None => cheapest(plan, pairs, state, scores, task).await?,
        };
        self.state.merge(pair.keep, pair.removed, &join)?;
        self.scores.forget();
        let (alpha, kept) = match join {
            Join::Average(alpha) => (Some(alpha), None),
            Join::Difference => (None, None),
            Join::Concatenate(selection) => (None, Some(selection.into())),
        };
        let Pair { keep, removed, score } = pair;
        let mut step = RecipeStep { keep, removed, alpha, kept, score, similarity, ridge: None, scale: None };
        // A window is one gap: it is repaired when all of it is removed.
        let gap_grows = self.queue.as_slice().first().is_some_and(|next| next.keep == keep);
        let (scores, state) = (&self.scores, &mut self.state);
        match plan.repair {
            Repair::Linear if !gap_grows => {
                let numbered = (self.steps.len(), &step);
                step.ridge = repair_gap(&plan.fit, scores, state, numbered, &mut self.warnings, task).await?;
            }
            Repair::Scale if !gap_grows => step.scale = scale_gap(scores, state, &step, task).await?,
            // At the end: see `snapshot`.
            Repair::Refit => {}
            Repair::None | Repair::Linear | Repair::Scale => {}
        }
        self.steps.push(step);
        forget_overwritten(&mut self.steps);
        Ok(())
    }

    fn rules(&self) -> Rules<'a> {
        let MergePlan { protect, combination, ref kinds, .. } = *self.plan;
        Rules { kinds, protect, combination }
    }

    /// The pairs that may be merged next.
    async fn pairs(&mut self, task: &Task) -> Result<Vec<Pair>> {
        let (rules, state) = (self.rules(), &self.state);
        match self.plan.selection {
            Selection::Manual | Selection::Window => {
                let pair = self.queue.next();
                Ok(vec![pair.ok_or_else(|| Error::argument("pairs", "there are fewer than layers to remove"))?])
            }
            Selection::Tail => Ok(vec![last_pair(rules, state)?]),
            Selection::BlockInfluence => Ok(vec![least_influence(rules, state, &self.influence)?]),
            Selection::Similarity => {
                let similarities = self.scores.similarities(state, task).await?;
                let mut pairs = ranked(rules, state, |index| similarities.pair(index))?;
                pairs.truncate(1);
                Ok(pairs)
            }
            Selection::Loss => {
                let similarities = self.similarities_or_cosines(task).await?;
                let mut pairs = ranked(rules, &self.state, |index| similarities.pair(index))?;
                // What was tried is known, so the next ones may be.
                if self.trials.is_none() {
                    pairs.truncate(self.plan.candidates);
                }
                Ok(pairs)
            }
        }
    }

    /// Similarities to order trials by. Where no diffusion map embeds a layer, cosine similarity
    /// serves as well, since only the order hangs on it.
    async fn similarities_or_cosines(&mut self, task: &Task) -> Result<Similarities> {
        match self.scores.similarities(&self.state, task).await {
            Err(error @ Error::Disconnected { .. }) if !self.plan.alpha_needs_similarity() => {
                self.warnings.push(format!("The pairs to try were ordered by cosine similarity: {error}."));
                self.scores.compare_by_cosine();
                self.scores.similarities(&self.state, task).await
            }
            similarities => similarities,
        }
    }

    /// What was done so far, as if it were all: the recipe, the state, and what the user should
    /// know.
    ///
    /// # Errors
    /// As [`refit`], where all blocks are fitted anew at the end.
    pub async fn snapshot(&self, task: &Task) -> Result<(Recipe, MergeState, Vec<String>)> {
        let (mut state, mut warnings) = (self.state.clone(), self.warnings.clone());
        let (plan, original) = (self.plan, &self.context.original);
        let mut refits = Vec::new();
        if plan.repair == Repair::Refit {
            refits = refit(&plan.fit, &self.scores, &mut state, &mut warnings, task).await?;
        }
        let recipe = Recipe {
            format: FORMAT.into(),
            tool: concat!("mka-lab ", env!("CARGO_PKG_VERSION")).into(),
            model: RecipeModel {
                family: original.description.family.into(),
                layers: original.description.layers,
                fingerprint: original.checkpoint.fingerprint.clone(),
                assume: original.description.assumed,
            },
            preset: plan.preset.clone(),
            selection: plan.selection,
            measure: plan.compares_layers().then(|| self.scores.measure()),
            one_shot: plan.one_shot && plan.compares_layers(),
            combination: plan.combination,
            alpha: (plan.combination == Combination::Average).then(|| plan.alpha.source()),
            norms: plan.norms,
            repair: plan.repair,
            protect: plan.protect,
            calibration: self.calibration.filter(|_| plan.measures()).map(RecipeCalibration::of),
            steps: self.steps.clone(),
            refits,
        };
        Ok((recipe, state, warnings))
    }
}

/// A later merge of the same block makes an earlier repair of it void.
fn forget_overwritten(steps: &mut [RecipeStep]) {
    for index in 0..steps.len() {
        let (earlier, later) = steps.split_at_mut(index + 1);
        let keep = earlier[index].keep;
        if later.iter().any(|step| step.keep == keep || step.removed == keep) {
            (earlier[index].ridge, earlier[index].scale) = (None, None);
        }
    }
}
