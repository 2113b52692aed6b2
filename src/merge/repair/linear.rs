//! Repairing a gap: fit T on the calibration's rows, accept it if held-out windows agree; or measure by how much the stream grows.

use std::rc::Rc;

use super::Model;
use super::calibration::Calibration;
use super::measured::Measured;
use super::plan::FitPlan;
use super::repair_file::FILE;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::merge::growth::Growth;
use crate::merge::recipe::{Recipe, RecipeStep};
use crate::merge::repair::{Read, Rows, Sums};
use crate::merge::{RepairMap, Survivors};
use crate::parked::Parked;
use crate::task::Task;
use crate::transformer::Transformer;

/// A fit wants so many rows for each channel.
const ROWS_PER_CHANNEL: f64 = 10.0;
/// A repair that held-out windows reject is tried once more with a ridge so many times larger.
const SECOND_TRY: f64 = 10.0;
/// A repair that a recipe has: it was accepted when it was made.
const REPLAYED: FitPlan = FitPlan { ridge: 1.0, ridge_is_given: true, holdout: 0.0 };

/// The ridge for a fit of so many channels on so many rows, with a warning where they are few.
pub(super) fn ridge(plan: &FitPlan, rows: usize, channels: usize, warnings: &mut Vec<String>) -> f64 {
    let wanted = ROWS_PER_CHANNEL * channels as f64;
    if rows as f64 >= wanted {
        return plan.ridge;
    }
    let held_back = !plan.ridge_is_given && plan.holdout > 0.0;
    let mut warning = format!("A repair was fitted on {rows} rows; {wanted} or more are better.");
    if held_back {
        warning += " It is held back more strongly for that.";
    }
    if !warnings.contains(&warning) {
        warnings.push(warning);
    }
    if held_back { plan.ridge * wanted / rows as f64 } else { plan.ridge }
}

/// How many of some windows are fitted on, and how many behind them are held out.
pub(super) fn split(plan: &FitPlan, windows: usize) -> Result<(usize, usize)> {
    let held_out = (plan.holdout * windows as f64).ceil() as usize;
    match windows.saturating_sub(held_out) {
        0 => {
            let reason = format!("of {windows} windows, {held_out} are held out; none is left to fit on");
            Err(Error::argument("holdout", reason))
        }
        fitted => Ok((fitted, held_out)),
    }
}

impl Model {
    /// Repairs the gap that `step`, the last one booked, left; returns the ridge of the repair that was accepted and booked.
    #[expect(clippy::too_many_arguments, reason = "the state of a merge in progress, each part used by another line")]
    pub(super) async fn repair(
        &self,
        plan: &FitPlan,
        measured: &Measured<'_>,
        survivors: &mut Survivors,
        step: &RecipeStep,
        number: usize,
        warnings: &mut Vec<String>,
        task: &Task,
    ) -> Result<Option<f64>> {
        let index = survivors.index_of(step.keep)?;
        let windows = &measured.given()?.sample.windows;
        let (fitted, held_out) = split(plan, windows.len())?;
        let (current, _) = self.merged(survivors, measured.norms(), task).await?;
        let sums = self.gap_sums(&current, measured, survivors, index, fitted, task).await?;
        let ridge = ridge(plan, sums.rows(), self.transformer.description.hidden, warnings);
        let before = match held_out {
            0 => None,
            _ => Some(evaluate(&current, None, &windows[fitted..], task).await?.dense.nll),
        };
        for ridge in [ridge, ridge * SECOND_TRY] {
            let map = sums.map(self.lab.engine.as_ref(), ridge).await?;
            let map = RepairMap { step: number, values: Parked::from_f32(&map, &self.lab.meter)? };
            survivors.set_repair(index, Some(Rc::new(map)));
            let Some(before) = before else { return Ok(Some(ridge)) };
            let (repaired, _) = self.merged(survivors, measured.norms(), task).await?;
            if evaluate(&repaired, None, &windows[fitted..], task).await?.dense.nll < before {
                return Ok(Some(ridge));
            }
        }
        survivors.set_repair(index, None);
        Ok(None)
    }

    /// The sums of the fit of block `index` of `current`, over the first `windows` windows.
    async fn gap_sums(
        &self,
        current: &Transformer,
        measured: &Measured<'_>,
        survivors: &Survivors,
        index: usize,
        windows: usize,
        task: &Task,
    ) -> Result<Sums> {
        let engine = self.lab.engine.as_ref();
        // Where the next survivor begins is where the gap ends.
        let behind = survivors.begins(index + 1, self.transformer.description.layers);
        let target = measured.original_stream(behind, task).await?;
        let input = measured.stream_before(current, survivors, index, usize::MAX, task).await?;
        let (hidden, window) = (self.transformer.description.hidden, measured.given()?.info().window);
        let normed = self.transformer.description.norm_behind_mlp().is_some();
        let mut sums = if normed { Sums::diagonal(hidden) } else { Sums::whole(engine, hidden, hidden)? };
        let step = task.step("repair", windows * window, "rows");
        for chunk in 0..input.chunk_count() {
            let mut parts = current.block_parts(index, &input, chunk, task).await?;
            engine.add(&mut parts.stream, 1.0, &parts.added)?;
            let target = target.states(engine, chunk)?;
            let left = (windows * window).saturating_sub(sums.rows());
            let read = [Read::all(&parts.added)];
            let rows = Rows { read: &read, stream: &parts.stream, target: &target };
            sums.add(engine, rows, window, left, task).await?;
            step.advance(parts.stream.rows)?;
        }
        Ok(sums)
    }

    /// Measures by how much the stream grows over the gap that `step` left, and books it; returns it. None behind the last block, where the final
    /// norm makes it void.
    pub(super) async fn scale(
        &self,
        measured: &Measured<'_>,
        survivors: &mut Survivors,
        step: &RecipeStep,
        task: &Task,
    ) -> Result<Option<f64>> {
        let index = survivors.index_of(step.keep)?;
        let Some(behind) = survivors.blocks().get(index + 1).map(|next| next.layer) else {
            return Ok(None);
        };
        let engine = self.lab.engine.as_ref();
        let (current, _) = self.merged(survivors, measured.norms(), task).await?;
        let after = measured.original_stream(behind, task).await?;
        let mut before = measured.stream_before(&current, survivors, index, usize::MAX, task).await?;
        let progress = task.step("repair", 1 + before.chunk_count(), "chunks");
        current.forward(&mut before, index..index + 1, None, task, &progress).await?;
        let mut growth = Growth::new(self.transformer.description.hidden);
        for chunk in 0..before.chunk_count() {
            growth.add(&before.values(engine, chunk).await?, &after.values(engine, chunk).await?)?;
            progress.advance(1)?;
        }
        // The current stream is smaller than the original by the scales of the gaps in front.
        let scale = growth.factor()? / survivors.scale_before(index);
        survivors.set_scale(index, scale)?;
        Ok(Some(scale))
    }

    /// The books of a recipe whose matrices are not at hand: they are fitted anew, with the ridges that the recipe has.
    pub(super) async fn repair_again(
        &self,
        recipe: &Recipe,
        calibration: Option<&Calibration>,
        task: &Task,
    ) -> Result<Survivors> {
        let Some(calibration) = calibration else {
            let reason =
                format!("the recipe has repairs; pass the content of its {FILE}, or a calibration to fit them anew");
            return Err(Error::argument("repair", reason));
        };
        let measured = Measured::replaying(self, recipe.norms()?, calibration);
        let mut survivors = Survivors::all(recipe.model.layers);
        for (number, step) in recipe.steps.iter().enumerate() {
            survivors.merge(step.keep, step.gone, &step.join())?;
            if let Some(scale) = step.scale {
                survivors.set_scale(survivors.index_of(step.keep)?, scale)?;
            }
            if let Some(ridge) = step.ridge {
                let plan = FitPlan { ridge, ..REPLAYED };
                self.repair(&plan, &measured, &mut survivors, step, number, &mut Vec::new(), task).await?;
            }
        }
        if !recipe.refits.is_empty() {
            let ridges = |layer| recipe.refits.iter().find(|refit| refit.layer == layer).map(|refit| refit.ridges);
            let windows = &calibration.sample.windows;
            (survivors, _) = self.fitted_anew(windows, None, &survivors, ridges, recipe.norms()?, task).await?;
        }
        Ok(survivors)
    }
}
