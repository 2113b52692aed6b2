//! Trials of merges on the original model: what it costs when two neighbours become one block that has been fitted to do the work of both.
//!
//! A trial changes nothing but these two, so it holds until one of them is merged: each pair is tried once, whatever else goes. It is fitted on some
//! windows of the calibration and measured on others, that nothing is fitted on.

use std::collections::HashMap;

use super::Model;
use super::lesson::Lesson;
use super::measured::Measured;
use super::plan::{Combination, FitPlan};
use super::repairing::split;
use crate::error::{Error, Result};
use crate::evaluate::Baseline;
use crate::merge::combine::Norms;
use crate::merge::presets::LOSS_GUIDED_CANDIDATES;
use crate::merge::selection::Pair;
use crate::merge::{Join, Survivors};
use crate::task::{Step, Task};
use crate::transformer::Stream;

/// What is merged is chosen by fits to at most so many tokens.
pub(super) const FIT_TOKENS: usize = 8192;
/// What is held out judges with at most so many tokens, spread over it.
pub(super) const JUDGE_TOKENS: usize = 2048;
/// What a trial is counted as in its progress: its neurons are chosen, and it is fitted and judged.
const PARTS: usize = 2;
/// At least so many trials are there to choose from, while there are pairs to try.
const LEAST: usize = 4;

/// What was tried, and where the next trial begins.
pub(super) struct Trials<'a> {
    model: &'a Model,
    combination: Combination,
    norms: Norms,
    ridge: f64,
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
    join: Join,
    similarity: Option<f64>,
    /// KL divergence from the original of the original with this block in it, nats.
    cost: f64,
}

/// The original model's streams in front of a block, of the windows to fit on and of those to measure on.
struct Place {
    layer: usize,
    streams: [Stream; 2],
}

impl<'a> Trials<'a> {
    /// Nothing is tried yet.
    pub(super) async fn begin(
        model: &'a Model,
        combination: Combination,
        plan: &FitPlan,
        measured: &Measured<'_>,
        task: &Task,
    ) -> Result<Self> {
        let windows = &measured.given()?.sample.windows;
        let (fitted, held_out) = split(plan, windows.len())?;
        let behind = if held_out == 0 { &windows[..] } else { &windows[fitted..] };
        let baseline = Baseline::new(&model.transformer, spread(behind, JUDGE_TOKENS), 0, task).await?;
        let windows = model.with_ends(&spread(&windows[..fitted], FIT_TOKENS));
        let (norms, ridge) = (measured.norms(), plan.ridge);
        let (place, known, costs) = (None, Vec::new(), HashMap::new());
        Ok(Self { model, combination, norms, ridge, windows, baseline, place, known, costs })
    }

    /// The cheapest merge: of those that were tried, and of the first of `pairs` that were not. At first `count` are tried, later only as many as it takes
    /// to have a choice. Its score is the KL divergence from the original model of the one with this block in it.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no pair, [`Error::Cancelled`], or what measuring and fitting fail with.
    pub(super) async fn cheapest(
        &mut self,
        pairs: &[Pair],
        count: usize,
        survivors: &Survivors,
        measured: &mut Measured<'_>,
        task: &Task,
    ) -> Result<(Pair, Join, Option<f64>)> {
        let wanted = if self.costs.is_empty() { count } else { LEAST.min(count) };
        // What is known is of pairs that are left.
        let is_new =
            |pair: &&Pair| !self.known.iter().any(|known| (known.pair.keep, known.pair.gone) == (pair.keep, pair.gone));
        let new = pairs.iter().filter(is_new);
        let mut new: Vec<Pair> = new.take(wanted.saturating_sub(self.known.len())).copied().collect();
        // Front to back, so that one pass of the original model is enough for all.
        new.sort_by_key(|pair| pair.keep);
        let step = task.step("choose", PARTS * new.len(), "parts");
        for pair in new {
            self.attempt(pair, survivors, measured, &step, &task.inner()).await?;
        }
        let cost_of = |layer: usize| self.costs.get(&layer).copied().unwrap_or(0.0);
        let grows = |trial: &&Trial| trial.cost - cost_of(trial.pair.keep) - cost_of(trial.pair.gone);
        let best = self.known.iter().min_by(|a, b| grows(a).total_cmp(&grows(b)));
        let best = best.ok_or_else(|| Error::argument("candidates", "there is nothing to choose from"))?;
        let score = Some(best.cost);
        let (pair, join, similarity, cost) =
            (Pair { score, ..best.pair }, best.join.clone(), best.similarity, best.cost);
        let gone = |layer: usize| [pair.keep, pair.gone].contains(&layer);
        self.known.retain(|trial| !gone(trial.pair.keep) && !gone(trial.pair.gone));
        self.costs.remove(&pair.gone);
        self.costs.insert(pair.keep, cost);
        Ok((pair, join, similarity))
    }

    /// Tries all that a pair may become, and keeps the cheapest. Advances `step` by [`PARTS`].
    async fn attempt(
        &mut self,
        pair: Pair,
        survivors: &Survivors,
        measured: &mut Measured<'_>,
        step: &Step<'_>,
        task: &Task,
    ) -> Result<()> {
        let (model, original) = (self.model, &self.model.transformer);
        let (engine, layers) = (model.lab.engine.as_ref(), original.description.layers);
        let index = survivors.index_of(pair.keep)?;
        let behind = survivors.begins(index + 2, layers);
        let two = survivors.part(index..index + 2);
        let place = self.at(pair.keep, task).await?;
        let [input, held_out] = &place.streams;
        let lesson = Lesson::new(original, input.fork(engine)?, input.fork(engine)?, pair.keep..behind);
        let joins = match self.combination {
            Combination::Concatenate => {
                let kept = model.most_useful(&two, &lesson, (self.norms, self.ridge), task).await?;
                vec![(Join::Concatenate(kept), None)]
            }
            combination => measured.joins(combination, survivors, pair, task).await?,
        };
        step.advance(1)?;
        let mut best: Option<Trial> = None;
        for (join, similarity) in joins {
            let mut one = two.clone();
            one.merge(pair.keep, pair.gone, &join)?;
            let lesson = lesson.of_another_block()?;
            model.fit_block(&mut one, 0, &[lesson], &mut [self.ridge; 2], self.norms, task).await?;
            let block = model.alone(&one, 0, self.norms, task).await?;
            let mut stream = held_out.fork(engine)?;
            block.forward(&mut stream, 0..1, None, task, &task.step("evaluate", 1, "blocks")).await?;
            let cost = match self.baseline.divergence_behind(stream, behind, task).await {
                // A model that is beyond measuring is the worst choice, and no reason to stop.
                Err(Error::NotFinite { .. }) => f64::INFINITY,
                cost => cost?,
            };
            if best.as_ref().is_none_or(|best| cost < best.cost) {
                best = Some(Trial { pair, join, similarity, cost });
            }
        }
        step.advance(PARTS - 1)?;
        self.place = Some(place);
        self.known.extend(best);
        Ok(())
    }

    /// The original model's streams in front of block `layer`.
    async fn at(&mut self, layer: usize, task: &Task) -> Result<Place> {
        let original = &self.model.transformer;
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

/// How many trials are made for so many layers removed, where each merge ends what is known of three pairs: its own and those on its sides.
pub(super) fn expected_trials(layers: usize, removed: usize) -> usize {
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

/// Windows of at most `tokens` tokens together, at least one, evenly spread over all.
pub(super) fn spread(windows: &[Vec<u32>], tokens: usize) -> Vec<Vec<u32>> {
    let count = (tokens / windows.first().map_or(1, |window| window.len().max(1))).clamp(1, windows.len().max(1));
    (0..count.min(windows.len())).map(|i| windows[i * windows.len() / count].clone()).collect()
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

    #[test]
    fn windows_are_spread_over_all() {
        let windows: Vec<Vec<u32>> = (0..10).map(|i| vec![i; 4]).collect();
        let firsts = |tokens| spread(&windows, tokens).iter().map(|window| window[0]).collect::<Vec<_>>();
        assert_eq!(firsts(3), [0]);
        assert_eq!(firsts(16), [0, 2, 5, 7]);
        assert_eq!(firsts(1000), (0..10).collect::<Vec<_>>());
        assert!(spread(&[], 8).is_empty());
    }
}
