//! A linear map over a gap: fitted on the calibration's rows, accepted if held-out windows agree
//! (ReplaceMe, arXiv 2505.02819). A matrix T, folded into the down projection of the surviving
//! block, brings its output closest to what the original model has after the gap; T is a diagonal
//! where a norm sits between that projection and the stream.

use std::rc::Rc;

use crate::error::Result;
use crate::evaluate::evaluate;
use crate::merge::plan::FitPlan;
use crate::merge::recipe::RecipeStep;
use crate::merge::select::scores::SelectionScores;
use crate::merge::state::{MergeState, RepairMap};
use crate::platform::off_heap::OffHeapBuffer;
use crate::regression::{Features, NormalEquations, Samples};
use crate::task::Task;
use crate::transformer::Transformer;

/// A repair that held-out windows reject is tried once more with a ridge so many times larger.
const SECOND_TRY: f64 = 10.0;

/// Repairs the gap that `step`, the last one recorded, left; returns the ridge of the repair that
/// was accepted and recorded. `number` is the index of the step in its recipe.
///
/// # Errors
/// [`crate::error::Error::Cancelled`], [`crate::error::Error::Degenerate`] where the fit has no
/// solution, or what reading and computing fail with.
pub async fn repair_gap(
    plan: &FitPlan,
    scores: &SelectionScores<'_>,
    state: &mut MergeState,
    (number, step): (usize, &RecipeStep),
    warnings: &mut Vec<String>,
    task: &Task,
) -> Result<Option<f64>> {
    let context = scores.context;
    let original = &context.original;
    let index = state.index_of(step.keep)?;
    let windows = &scores.calibration()?.sample.windows;
    let (fitted, held_out) = plan.split(windows.len())?;
    let (current, _) = context.build(state, task).await?;
    let equations = gap_equations(&current, scores, state, index, fitted, task).await?;
    let ridge = plan.ridge_for(equations.rows(), original.description.hidden, warnings);
    let before = match held_out {
        0 => None,
        _ => Some(evaluate(&current, None, &windows[fitted..], task).await?.dense.nll),
    };
    for ridge in [ridge, ridge * SECOND_TRY] {
        let map = equations.map(original.engine.as_ref(), ridge).await?;
        let map = RepairMap { step: number, values: OffHeapBuffer::from_f32(&map, &context.meter)? };
        state.set_repair(index, Some(Rc::new(map)));
        let Some(before) = before else { return Ok(Some(ridge)) };
        let (repaired, _) = context.build(state, task).await?;
        if evaluate(&repaired, None, &windows[fitted..], task).await?.dense.nll < before {
            return Ok(Some(ridge));
        }
    }
    state.set_repair(index, None);
    Ok(None)
}

/// The normal equations of block `index` of `current`, over the first `windows` windows.
async fn gap_equations(
    current: &Transformer,
    scores: &SelectionScores<'_>,
    state: &MergeState,
    index: usize,
    windows: usize,
    task: &Task,
) -> Result<NormalEquations> {
    let description = &scores.context.original.description;
    let engine = current.engine.as_ref();
    // Where the next survivor begins is where the gap ends.
    let end = state.begins(index + 1, description.layers);
    let target = scores.original_stream(end, usize::MAX, task).await?;
    let input = scores.block_input(current, state, index, usize::MAX, task).await?;
    let (hidden, window) = (description.hidden, scores.calibration()?.info().window);
    let mut equations = match current.description.kind_of(index).mlp_post_norm() {
        Some(_) => NormalEquations::diagonal(hidden),
        None => NormalEquations::full(engine, hidden, hidden)?,
    };
    let step = task.step("repair", windows * window, "rows");
    for chunk in 0..input.chunk_count() {
        let mut parts = current.block_parts(index, &input, chunk, task).await?;
        engine.add(&mut parts.stream, 1.0, &parts.added)?;
        let target = target.states(engine, chunk)?;
        let left = (windows * window).saturating_sub(equations.rows());
        let samples = Samples { features: &[Features::all(&parts.added)], current: &parts.stream, target: &target };
        equations.add(engine, samples, window, left, task).await?;
        step.advance(parts.stream.rows)?;
    }
    Ok(equations)
}
