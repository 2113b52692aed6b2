//! Repairing a gap: fit T on the calibration's rows, accept it if held-out windows agree, keep it beside the recipe.

use std::collections::HashMap;
use std::rc::Rc;

use indexmap::IndexMap;
use safetensors::SafeTensors;

use super::calibration::Calibration;
use super::measured::Measured;
use super::plan::LinearPlan;
use super::{Model, Origin};
use crate::checkpoint::StoredTensor;
use crate::checkpoint::source::MemorySource;
use crate::checkpoint::write::{OutputFile, safetensors_file};
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::merge::recipe::{Recipe, RecipeRefit, RecipeStep};
use crate::merge::repair::{Growth, Sums};
use crate::merge::{RepairMap, Survivors};
use crate::parked::{Meter, Parked};
use crate::task::Task;
use crate::transformer::Transformer;

/// The file that keeps the matrices.
const FILE: &str = "repair.safetensors";
/// A fit wants so many rows for each channel.
const ROWS_PER_CHANNEL: f64 = 10.0;
/// A repair that held-out windows reject is tried once more with a ridge so many times larger.
const SECOND_TRY: f64 = 10.0;
/// Rows whose products are summed in `f32`, before they are added to the others in `f64`.
const ROWS_AT_ONCE: usize = 1024;

/// A repair that a recipe has: it was accepted when it was made.
const REPLAYED: LinearPlan = LinearPlan { ridge: 1.0, ridge_is_given: true, holdout: 0.0, refit: true };

/// How many of some windows are fitted on, and how many behind them are held out.
fn split(plan: &LinearPlan, windows: usize) -> Result<(usize, usize)> {
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
        plan: &LinearPlan,
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
        let ridge = self.ridge(plan, sums.rows(), warnings);
        let before = match held_out {
            0 => None,
            _ => Some(evaluate(&current, None, &windows[fitted..], task).await?.dense.nll),
        };
        for ridge in [ridge, ridge * SECOND_TRY] {
            let map = RepairMap { step: number, values: Parked::from_f32(&sums.solve(ridge)?, &self.lab.meter)? };
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
        let behind = survivors.blocks().get(index + 1).map_or(self.transformer.description.layers, |next| next.layer);
        let target = measured.original_stream(behind, task).await?;
        let input = measured.stream_before(current, survivors, index, usize::MAX, task).await?;
        let (hidden, window) = (self.transformer.description.hidden, measured.given()?.info().window);
        let normed = self.transformer.description.norm_behind_mlp().is_some();
        let mut sums = if normed { Sums::diagonal(hidden) } else { Sums::whole(hidden) };
        let mut rows = 0;
        let step = task.step("repair", windows * window, "rows");
        for chunk in 0..input.chunk_count() {
            let (stream, mlp) = current.block_halves(index, &input, chunk, task).await?;
            let target = target.values(engine, chunk).await?;
            let left = (windows * window).saturating_sub(rows);
            rows += self.add_rows(&mut sums, [&stream, &mlp, &target], window, left, task).await?;
            step.advance(stream.len() / hidden)?;
        }
        Ok(sums)
    }

    /// Adds rows of whole windows to sums, `most` of them at the most; returns how many.
    async fn add_rows(
        &self,
        sums: &mut Sums,
        [stream, mlp, target]: [&[f32]; 3],
        window: usize,
        most: usize,
        task: &Task,
    ) -> Result<usize> {
        let engine = self.lab.engine.as_ref();
        let hidden = self.transformer.description.hidden;
        let rows = (stream.len() / hidden).min(most);
        for first in (0..rows).step_by(ROWS_AT_ONCE) {
            let part = first * hidden..(first + ROWS_AT_ONCE).min(rows) * hidden;
            let parts = [&stream[part.clone()], &mlp[part.clone()], &target[part]];
            sums.add(engine, parts, |i| (first + i).is_multiple_of(window), task).await?;
            engine.pace().await?;
        }
        Ok(rows)
    }

    /// The ridge for a fit on so many rows, with a warning where they are few.
    fn ridge(&self, plan: &LinearPlan, rows: usize, warnings: &mut Vec<String>) -> f64 {
        let wanted = ROWS_PER_CHANNEL * self.transformer.description.hidden as f64;
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

    /// Fits the MLP of every block from the first gap on anew, front to back, each on what the blocks in front of it give now, to the original
    /// model's states; returns what was booked. Held-out windows decide over all of it.
    pub(super) async fn refit(
        &self,
        plan: &LinearPlan,
        measured: &Measured<'_>,
        survivors: &mut Survivors,
        steps: usize,
        task: &Task,
    ) -> Result<Vec<RecipeRefit>> {
        let engine = self.lab.engine.as_ref();
        let given = measured.given()?;
        let (windows, window) = (&given.sample.windows, given.info().window);
        let (fitted, held_out) = split(plan, windows.len())?;
        let (hidden, layers) = (self.transformer.description.hidden, self.transformer.description.layers);
        let normed = self.transformer.description.norm_behind_mlp().is_some();
        let before = survivors.clone();
        let (current, _) = self.merged(survivors, measured.norms(), task).await?;
        let start = survivors.first_gap();
        let mut input = measured.stream_before(&current, survivors, start, usize::MAX, task).await?;
        let mut at = survivors.blocks().get(start).map_or(0, |survivor| survivor.layer);
        let mut original = measured.original_stream(at, task).await?;
        let step = task.step("refit", survivors.blocks().len() - start, "blocks");
        let mut refits = Vec::new();
        for index in start..survivors.blocks().len() {
            let Some(alone) = survivors.alone(index) else { break };
            let layer = survivors.blocks()[index].layer;
            let behind = survivors.blocks().get(index + 1).map_or(layers, |next| next.layer);
            let passed = task.step("repair", behind - at, "blocks");
            self.transformer.forward(&mut original, at..behind, None, task, &passed).await?;
            at = behind;
            let (block, _) = self.merged(&alone, measured.norms(), task).await?;
            let mut sums = if normed { Sums::diagonal(hidden) } else { Sums::whole(hidden) };
            let mut rows = 0;
            for chunk in 0..input.chunk_count() {
                let (stream, mlp) = block.block_halves(0, &input, chunk, task).await?;
                let target = original.values(engine, chunk).await?;
                let left = (fitted * window).saturating_sub(rows);
                rows += self.add_rows(&mut sums, [&stream, &mlp, &target], window, left, task).await?;
            }
            let ridge = self.ridge(plan, sums.rows(), &mut Vec::new());
            let values = Parked::from_f32(&sums.solve(ridge)?, &self.lab.meter)?;
            let map = Rc::new(RepairMap { step: steps + layer, values });
            let mut repaired = alone;
            repaired.set_repair(0, Some(map.clone()));
            survivors.set_repair(index, Some(map));
            refits.push(RecipeRefit { layer, ridge });
            let (block, _) = self.merged(&repaired, measured.norms(), task).await?;
            block.forward(&mut input, 0..1, None, task, &passed).await?;
            step.advance(1)?;
        }
        if held_out > 0 {
            let (refitted, _) = self.merged(survivors, measured.norms(), task).await?;
            let loss = evaluate(&refitted, None, &windows[fitted..], task).await?.dense.nll;
            if loss >= evaluate(&current, None, &windows[fitted..], task).await?.dense.nll {
                *survivors = before;
                return Ok(Vec::new());
            }
        }
        Ok(refits)
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
                let plan = LinearPlan { ridge, ..REPLAYED };
                self.repair(&plan, &measured, &mut survivors, step, number, &mut Vec::new(), task).await?;
            }
        }
        if let Some(refit) = recipe.refits.first() {
            let plan = LinearPlan { ridge: refit.ridge, ..REPLAYED };
            self.refit(&plan, &measured, &mut survivors, recipe.steps.len(), task).await?;
        }
        Ok(survivors)
    }
}

impl Origin {
    /// The matrices of the repairs, if there are any.
    pub(super) fn repair_file(&self) -> Result<Option<OutputFile>> {
        let mut tensors = IndexMap::new();
        let shape = RepairMap::shape(&self.dense.transformer.description);
        let shape: Vec<u64> = shape.into_iter().map(|size| size as u64).collect();
        let meter = &self.dense.lab.meter;
        for map in self.survivors.blocks().iter().filter_map(|survivor| survivor.repair.as_ref()) {
            let mut bytes = vec![0; map.values.len()];
            map.values.read(0, &mut bytes);
            let name = format!("T.{}", map.step);
            let source = Rc::new(MemorySource::new(name.clone(), &bytes, meter)?);
            let (dtype, bytes) = (safetensors::Dtype::F32, bytes.len() as u64);
            tensors.insert(name, StoredTensor { dtype, shape: shape.clone(), source, start: 0, bytes });
        }
        if tensors.is_empty() { Ok(None) } else { safetensors_file(FILE, &tensors).map(Some) }
    }
}

/// The matrices of this shape in the content of a `repair.safetensors`, by their step.
///
/// # Errors
/// [`Error::BadArgument`] when it is not such a file.
pub(super) fn read_maps(bytes: &[u8], shape: &[usize], meter: &Meter) -> Result<HashMap<usize, Rc<RepairMap>>> {
    let bad = |reason: String| Error::argument("repair", reason);
    let file = SafeTensors::deserialize(bytes).map_err(|e| bad(format!("it is not a {FILE}: {e}")))?;
    let mut maps = HashMap::new();
    for (name, tensor) in file.iter() {
        let step = name.strip_prefix("T.").and_then(|step| step.parse().ok());
        let step: usize = step.ok_or_else(|| bad(format!("it has a tensor {name:?}, expected T.<step>")))?;
        if tensor.dtype() != safetensors::Dtype::F32 || tensor.shape() != shape {
            return Err(bad(format!("{name} is {:?} {:?}, expected F32 {shape:?}", tensor.dtype(), tensor.shape())));
        }
        let values = Parked::zeros(tensor.data().len(), meter)?;
        values.write(0, tensor.data());
        maps.insert(step, Rc::new(RepairMap { step, values }));
    }
    Ok(maps)
}
