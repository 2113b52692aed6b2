//! Repairing a gap: fit T on the calibration's rows, accept it if held-out windows agree, keep it beside the recipe.

use std::collections::HashMap;
use std::rc::Rc;

use indexmap::IndexMap;
use safetensors::SafeTensors;

use super::calibration::Calibration;
use super::measured::Measured;
use super::plan::RepairPlan;
use super::{Model, Origin};
use crate::checkpoint::StoredTensor;
use crate::checkpoint::source::MemorySource;
use crate::checkpoint::write::{OutputFile, safetensors_file};
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::merge::recipe::{Recipe, RecipeStep};
use crate::merge::repair::Accumulator;
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
/// Rows that are added to the sums between two pauses.
const ROWS_AT_ONCE: usize = 128;

impl Model {
    /// Repairs the gap that `step`, the last one booked, left; returns the ridge of the repair that was accepted and booked.
    #[expect(clippy::too_many_arguments, reason = "the state of a merge in progress, each part used by another line")]
    pub(super) async fn repair(
        &self,
        plan: &RepairPlan,
        measured: &Measured<'_>,
        survivors: &mut Survivors,
        step: &RecipeStep,
        number: usize,
        warnings: &mut Vec<String>,
        task: &Task,
    ) -> Result<Option<f64>> {
        let index = survivors.index_of(step.keep)?;
        let windows = &measured.given()?.sample.windows;
        let held_out = (plan.holdout * windows.len() as f64).ceil() as usize;
        let fitted = windows.len().saturating_sub(held_out);
        if fitted == 0 {
            let reason = format!("of {} windows, {held_out} are held out; none is left to fit on", windows.len());
            return Err(Error::argument("holdout", reason));
        }
        let (current, _) = self.merged(survivors, measured.norms(), task).await?;
        let sums = self.gap_sums(&current, measured, survivors, index, fitted, task).await?;
        let mut ridge = plan.ridge;
        let wanted = ROWS_PER_CHANNEL * self.transformer.description.hidden as f64;
        if (sums.rows() as f64) < wanted {
            let mut warning = format!("A repair was fitted on {} rows; {wanted} or more are better.", sums.rows());
            if !plan.ridge_is_given && held_out > 0 {
                ridge *= wanted / sums.rows() as f64;
                warning += " It is held back more strongly for that.";
            }
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
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
    ) -> Result<Accumulator> {
        let engine = self.lab.engine.as_ref();
        // Where the next survivor begins is where the gap ends.
        let behind = survivors.blocks().get(index + 1).map_or(self.transformer.description.layers, |next| next.layer);
        let target = measured.original_stream(behind, task).await?;
        let input = measured.stream_before(current, survivors, index, usize::MAX, task).await?;
        let (hidden, window) = (self.transformer.description.hidden, measured.given()?.info().window);
        let mut sums = Accumulator::new(hidden, self.transformer.description.norm_behind_mlp().is_some());
        let mut row = 0;
        let step = task.step("repair", windows * window, "rows");
        for chunk in 0..input.chunk_count() {
            let (stream, mlp) = current.block_halves(index, &input, chunk, task).await?;
            let target = target.values(engine, chunk).await?;
            let pieces = stream.chunks(ROWS_AT_ONCE * hidden).zip(mlp.chunks(ROWS_AT_ONCE * hidden));
            for ((stream, mlp), target) in pieces.zip(target.chunks(ROWS_AT_ONCE * hidden)) {
                let rows = (stream.len() / hidden).min((windows * window).saturating_sub(row));
                let part = rows * hidden;
                sums.add(&stream[..part], &mlp[..part], &target[..part], |i| (row + i).is_multiple_of(window))?;
                row += rows;
                engine.pace().await?;
                step.advance(rows)?;
            }
        }
        Ok(sums)
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
        let measured = Measured::new(self, recipe.norms()?, Some(calibration));
        let mut survivors = Survivors::all(recipe.model.layers);
        for (number, step) in recipe.steps.iter().enumerate() {
            survivors.merge(step.keep, step.gone, step.alpha)?;
            if let Some(ridge) = step.ridge {
                let plan = RepairPlan { ridge, ridge_is_given: true, holdout: 0.0 };
                self.repair(&plan, &measured, &mut survivors, step, number, &mut Vec::new(), task).await?;
            }
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
