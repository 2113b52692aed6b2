//! Trials of merges on the original model: what it costs when two neighbours become one block that
//! has been fitted to do the work of both.
//!
//! A trial changes nothing but these two, so it holds until one of them is merged: each pair is
//! tried once, whatever else is removed. It is fitted on some windows of the calibration and
//! validated on others, that nothing is fitted on.

use std::collections::HashMap;

use super::pair::Pair;
use super::scores::SelectionScores;
use super::validation::{FIT_TOKENS, VALIDATION_TOKENS, spread};
use crate::error::{Error, Result};
use crate::evaluate::Baseline;
use crate::merge::choices::Combination;
use crate::merge::combine::{Proposal, proposals, select_by_saliency};
use crate::merge::context::MergeContext;
use crate::merge::plan::MergePlan;
use crate::merge::presets::LOSS_GUIDED_CANDIDATES;
use crate::merge::repair::fit_targets::FitTargets;
use crate::merge::repair::refit::fit_block;
use crate::merge::state::{Join, MergeState};
use crate::task::{Step, Task};
use crate::transformer::Stream;

/// What a trial is counted as in its progress: its neurons are chosen, and it is fitted and
/// validated.
const PARTS: usize = 2;
/// At least so many trials are there to choose from, while there are pairs to try.
const LEAST: usize = 4;

/// What was tried, and where the next trial begins.
pub struct Trials<'a> {
    context: &'a MergeContext,
    plan: &'a MergePlan,
    /// The windows to fit on.
    windows: Vec<Vec<u32>>,
    /// The original model on the windows to measure on.
    baseline: Baseline<'a>,
    place: Option<Place>,
    known: Vec<Trial>,
    /// What the blocks cost that were merged, by their layer.
    costs: HashMap<usize, f64>,
}

/// One merge that was tried.
struct Trial {
    pair: Pair,
    proposal: Proposal,
    /// KL divergence from the original of the original with this block in it, nats.
    cost: f64,
}

/// The original model's inputs of a block, of the windows to fit on and of those to measure on.
struct Place {
    layer: usize,
    streams: [Stream; 2],
}

impl<'a> Trials<'a> {
    /// Nothing is tried yet.
    ///
    /// # Errors
    /// [`Error::BadArgument`] without a calibration, [`Error::Cancelled`], or what reading and
    /// computing fail with.
    pub async fn begin(plan: &'a MergePlan, scores: &SelectionScores<'a>, task: &Task) -> Result<Self> {
        let (context, windows) = (scores.context, &scores.calibration()?.sample.windows);
        let (fitted, held_out) = plan.fit.split(windows.len())?;
        let validation = if held_out == 0 { &windows[..] } else { &windows[fitted..] };
        let baseline = Baseline::new(&context.original, spread(validation, VALIDATION_TOKENS), 0, task).await?;
        let windows = context.with_separator_tokens(&spread(&windows[..fitted], FIT_TOKENS));
        let (place, known, costs) = (None, Vec::new(), HashMap::new());
        Ok(Self { context, plan, windows, baseline, place, known, costs })
    }

    /// The cheapest merge: of those that were tried, and of the first of `pairs` that were not. At
    /// first `count` are tried, later only as many as it takes to have a choice. Its score is the
    /// KL divergence from the original model of the one with this block in it.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no pair, [`Error::Cancelled`], or what measuring and
    /// fitting fail with.
    pub async fn cheapest(
        &mut self,
        pairs: &[Pair],
        state: &MergeState,
        scores: &mut SelectionScores<'_>,
        task: &Task,
    ) -> Result<(Pair, Proposal)> {
        let count = self.plan.candidates;
        let wanted = if self.costs.is_empty() { count } else { LEAST.min(count) };
        // What is known is of pairs that are left.
        let is_new = |pair: &&Pair| {
            !self.known.iter().any(|known| (known.pair.keep, known.pair.removed) == (pair.keep, pair.removed))
        };
        let new = pairs.iter().filter(is_new);
        let mut new: Vec<Pair> = new.take(wanted.saturating_sub(self.known.len())).copied().collect();
        // From the first to the last, so that one pass of the original model is enough for all.
        new.sort_by_key(|pair| pair.keep);
        let step = task.step("choose", PARTS * new.len(), "parts");
        for pair in new {
            self.attempt(pair, state, scores, &step, &task.inner()).await?;
        }
        let cost_of = |layer: usize| self.costs.get(&layer).copied().unwrap_or(0.0);
        let grows = |trial: &&Trial| trial.cost - cost_of(trial.pair.keep) - cost_of(trial.pair.removed);
        let best = self.known.iter().min_by(|a, b| grows(a).total_cmp(&grows(b)));
        let best = best.ok_or_else(|| Error::argument("candidates", "there is nothing to choose from"))?;
        let score = Some(best.cost);
        let (pair, proposal, cost) = (Pair { score, ..best.pair }, best.proposal.clone(), best.cost);
        let gone = |layer: usize| [pair.keep, pair.removed].contains(&layer);
        self.known.retain(|trial| !gone(trial.pair.keep) && !gone(trial.pair.removed));
        self.costs.remove(&pair.removed);
        self.costs.insert(pair.keep, cost);
        Ok((pair, proposal))
    }

    /// Tries all that a pair may become, and keeps the cheapest. Advances `step` by [`PARTS`].
    async fn attempt(
        &mut self,
        pair: Pair,
        state: &MergeState,
        scores: &mut SelectionScores<'_>,
        step: &Step<'_>,
        task: &Task,
    ) -> Result<()> {
        let (context, plan) = (self.context, self.plan);
        let (original, ridge) = (&context.original, plan.fit.ridge);
        let engine = original.engine.as_ref();
        let index = state.index_of(pair.keep)?;
        let end = state.begins(index + 2, original.description.layers);
        let two = state.part(index..index + 2);
        let place = self.at(pair.keep, task).await?;
        let [input, held_out] = &place.streams;
        let targets = FitTargets::new(original, input.fork(engine)?, input.fork(engine)?, pair.keep..end);
        let proposals = match plan.combination {
            Combination::Concatenate => {
                let selection = select_by_saliency(context, &two, &targets, ridge, task).await?;
                vec![Proposal::of(Join::Concatenate(selection))]
            }
            _ => proposals(plan, scores, state, pair, task).await?,
        };
        step.advance(1)?;
        let mut best: Option<Trial> = None;
        for proposal in proposals {
            let mut one = two.clone();
            one.merge(pair.keep, pair.removed, &proposal.join)?;
            let targets = targets.for_another_block()?;
            fit_block(context, &mut one, 0, &[targets], &mut [ridge; 2], task).await?;
            let block = context.single_block_model(&one, 0, task).await?;
            let mut stream = held_out.fork(engine)?;
            block.forward(&mut stream, 0..1, None, task, &task.step("evaluate", 1, "blocks")).await?;
            let cost = match self.baseline.divergence_after(stream, end, task).await {
                // A model that is beyond measuring is the worst choice, and no reason to stop.
                Err(Error::NotFinite { .. }) => f64::INFINITY,
                cost => cost?,
            };
            if best.as_ref().is_none_or(|best| cost < best.cost) {
                best = Some(Trial { pair, proposal, cost });
            }
        }
        step.advance(PARTS - 1)?;
        self.place = Some(place);
        self.known.extend(best);
        Ok(())
    }

    /// The original model's inputs of block `layer`.
    async fn at(&mut self, layer: usize, task: &Task) -> Result<Place> {
        let original = &self.context.original;
        let mut place = match self.place.take().filter(|place| place.layer <= layer) {
            Some(place) => place,
            None => {
                let fitted = original.embed(&self.windows, task).await?;
                let held_out = original.embed(self.baseline.windows(), task).await?;
                Place { layer: 0, streams: [fitted, held_out] }
            }
        };
        for stream in &mut place.streams {
            let step = task.step("choose", layer - place.layer, "blocks");
            original.forward(stream, place.layer..layer, None, task, &step).await?;
        }
        place.layer = layer;
        Ok(place)
    }
}

/// How many trials are made for so many layers removed, where each merge ends what is known of
/// three pairs: its own and those on its sides.
pub fn expected_trials(layers: usize, removed: usize) -> usize {
    // A pair has neither the first nor the last block, which are protected.
    let pairs = layers.saturating_sub(3);
    let first = LOSS_GUIDED_CANDIDATES.min(pairs);
    let (mut trials, mut known) = (first, first);
    for gone in 1..removed {
        known = known.saturating_sub(3);
        let new = LEAST.min(pairs.saturating_sub(gone)).saturating_sub(known);
        (trials, known) = (trials + new, known + new);
    }
    trials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_counted_as_they_are_made() {
        assert_eq!([1, 2, 3, 4, 5, 7].map(|removed| expected_trials(30, removed)), [12, 12, 12, 13, 16, 22]);
        assert_eq!([1, 2, 3].map(|removed| expected_trials(6, removed)), [3, 5, 6]);
        assert_eq!(expected_trials(1, 1), 0);
    }
}
