//! Once all layers are removed: what every block from the first gap on writes to the stream is
//! fitted anew, from the first to the last, in closed form, to the original model's states. What
//! gaps were repaired by on the way is replaced.
//!
//! The output projection is fitted to the original block's stream after attention, then the down
//! projection to the input that the next survivor had in the original model; each on what the
//! blocks before it give now, so that a block makes up for the errors of those before.
//!
//! A concatenated block has the heads of one of those whose work it does: its output projection is
//! fitted to what the attention of all of them adds. And the input of its neurons is what comes of
//! that, so their inputs are mapped too, before the down projection is fitted: see
//! [`super::mlp_input_map`].
//!
//! Ridges are found, and the whole is validated, on held-out windows; then the same is fitted on
//! all.

use std::rc::Rc;

use super::fit_targets::FitTargets;
use super::mlp_input_map::fit_mlp_input_maps;
use crate::architecture::Role;
use crate::checkpoint::read::{read_values, readable_dtype};
use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};
use crate::evaluate::Baseline;
use crate::merge::context::MergeContext;
use crate::merge::plan::FitPlan;
use crate::merge::recipe::RecipeRefit;
use crate::merge::select::scores::SelectionScores;
use crate::merge::select::validation::{VALIDATION_TOKENS, spread};
use crate::merge::state::{Fitted, MergeState};
use crate::platform::off_heap::OffHeapBuffer;
use crate::regression::{Features, NormalEquations, Samples, finite};
use crate::task::Task;
use crate::transformer::{ActivationTrace, Stream, Transformer};

/// Weights are changed in pieces of about so many values.
const PIECE: usize = 1 << 20;

/// The ridge is multiplied or divided by this, as long as that serves the held-out rows better, for
/// each projection alone.
const RIDGE_STEP: f64 = 3.0;
/// At most so often.
const RIDGE_STEPS: u32 = 4;

/// What is fitted.
struct Fitting<'a> {
    /// The block, alone in a model.
    block: &'a Transformer,
    /// Its projection.
    role: Role,
    concatenated: bool,
}

/// Fits what every block from the first gap on writes to the stream anew; returns what was
/// recorded. Held-out windows decide between ridges, and whether any of it is kept.
///
/// # Errors
/// [`Error::Cancelled`], [`Error::Degenerate`] where a fit has no solution, or what reading and
/// computing fail with.
pub async fn refit(
    plan: &FitPlan,
    scores: &SelectionScores<'_>,
    state: &mut MergeState,
    warnings: &mut Vec<String>,
    task: &Task,
) -> Result<Vec<RecipeRefit>> {
    let (context, calibration) = (scores.context, scores.calibration()?);
    let (windows, window) = (&calibration.sample.windows, calibration.info().window);
    let (fitted, held_out) = plan.split(windows.len())?;
    let ridge = plan.ridge_for(fitted * window, context.original.description.neurons(), warnings);
    let ridges = |_: usize| Some([ridge; 2]);
    if held_out == 0 {
        let (fitted, refits) = refit_blocks(context, &windows[..fitted], None, state, ridges, task).await?;
        *state = fitted;
        return Ok(refits);
    }
    let baseline = Baseline::new(&context.original, spread(&windows[fitted..], VALIDATION_TOKENS), 0, task).await?;
    let divergence = async |state: &MergeState| {
        let (model, _) = context.build(state, task).await?;
        let found = baseline.compare(&model, 0, task).await?.divergence;
        Ok::<_, Error>(found.map_or(f64::INFINITY, |found| found.kl))
    };
    let validation = (!plan.ridge_is_given).then_some(&windows[fitted..]);
    let (candidate, refits) = refit_blocks(context, &windows[..fitted], validation, state, ridges, task).await?;
    if divergence(&candidate).await? >= divergence(state).await? {
        return Ok(Vec::new());
    }
    drop(candidate);
    // What was held out has decided; it is fitted on too now, as when the recipe is replayed
    // without these weights.
    let found = |layer: usize| refits.iter().find(|refit| refit.layer == layer).map(|refit| refit.ridges);
    let (fitted, refits) = refit_blocks(context, windows, None, state, found, task).await?;
    *state = fitted;
    Ok(refits)
}

/// The state with every block from the first gap on fitted anew, on some windows; others, if there
/// are, validate the ridges of each projection. `ridges` has those of a block's projections; a
/// block without is not fitted.
///
/// # Errors
/// As [`refit`].
pub async fn refit_blocks(
    context: &MergeContext,
    windows: &[Vec<u32>],
    validation: Option<&[Vec<u32>]>,
    state: &MergeState,
    ridges: impl Fn(usize) -> Option<[f64; 2]>,
    task: &Task,
) -> Result<(MergeState, Vec<RecipeRefit>)> {
    let original = &context.original;
    let engine = original.engine.as_ref();
    let (mut state, mut refits) = (state.clone(), Vec::new());
    let layers = state.layers();
    // Before it both models are the same.
    let start = state.first_gap();
    // The inputs of a block in the current and in the original model, carried from block to block.
    let mut all: Vec<[Stream; 2]> = Vec::new();
    for windows in std::iter::once(windows).chain(validation) {
        let mut input = original.embed(&context.with_separator_tokens(windows), task).await?;
        original.forward(&mut input, 0..start, None, task, &task.step("repair", start, "blocks")).await?;
        all.push([input.fork(engine)?, input]);
    }
    let step = task.step("refit", layers.len() - start, "blocks");
    let task = &task.inner();
    for (index, &layer) in layers.iter().enumerate().skip(start) {
        let gap = layer..state.begins(index + 1, original.description.layers);
        state.forget_repair(index);
        match ridges(layer) {
            Some(mut ridges) => {
                let targets_of = |[input, start]: [Stream; 2]| FitTargets::new(original, input, start, gap.clone());
                let targets: Vec<FitTargets<'_>> = all.into_iter().map(targets_of).collect();
                fit_block(context, &mut state, index, &targets, &mut ridges, task).await?;
                refits.push(RecipeRefit { layer, ridges });
                let block = context.single_block_model(&state, index, task).await?;
                all = Vec::new();
                for targets in targets {
                    all.push(targets.outputs(&block, task).await?);
                }
            }
            None => {
                let block = context.single_block_model(&state, index, task).await?;
                for [input, reference] in &mut all {
                    let step = task.step("repair", gap.len() + 1, "blocks");
                    original.forward(reference, gap.clone(), None, task, &step).await?;
                    block.forward(input, 0..1, None, task, &step).await?;
                }
            }
        }
        step.advance(1)?;
    }
    Ok((state, refits))
}

/// Fits the survivor at `index` by the first of `targets`: what it writes to the stream and, where
/// it was concatenated, the input maps of its neurons. The second one, if there is one, validates
/// the ridges.
///
/// # Errors
/// As [`refit`].
pub async fn fit_block(
    context: &MergeContext,
    state: &mut MergeState,
    index: usize,
    targets: &[FitTargets<'_>],
    ridges: &mut [f64; 2],
    task: &Task,
) -> Result<()> {
    let Some((targets, validation)) = targets.split_first() else {
        return Ok(());
    };
    let concatenated = state.blocks().get(index).is_some_and(|survivor| survivor.origins.is_some());
    for (role, ridge) in Fitted::WRITE.into_iter().zip(ridges) {
        if role == Role::Down && concatenated {
            fit_mlp_input_maps(context, state, [index, 0], targets, task).await?;
        }
        let block = context.single_block_model(state, index, task).await?;
        let fitting = Fitting { block: &block, role, concatenated };
        let fitted = fit(context, &fitting, targets, validation.first(), ridge, task).await?;
        state.set_fitted(index, Rc::new(fitted));
    }
    Ok(())
}

/// One projection of a block, fitted anew with `ridge`; where there is a validation set, with the
/// multiple of it that serves that best, which it becomes.
async fn fit(
    context: &MergeContext,
    fitting: &Fitting<'_>,
    targets: &FitTargets<'_>,
    validation: Option<&FitTargets<'_>>,
    ridge: &mut f64,
    task: &Task,
) -> Result<Fitted> {
    let engine = context.original.engine.as_ref();
    let equations = normal_equations(context, fitting, targets, task).await?;
    let mut change = equations.solve(engine, *ridge, task).await?;
    if let Some(validation) = validation {
        let held_out = normal_equations(context, fitting, validation, task).await?;
        let (start, mut most) = (*ridge, held_out.error_reduction(engine, &change, task).await?);
        for step in [RIDGE_STEP, RIDGE_STEP.recip()] {
            for times in (1..=RIDGE_STEPS).map(|steps| step.powi(steps as i32)) {
                let found = equations.solve(engine, start * times, task).await?;
                let reduction = held_out.error_reduction(engine, &found, task).await?;
                if reduction <= most || reduction.is_nan() {
                    break;
                }
                (*ridge, most, change) = (start * times, reduction, found);
            }
            // It has one best.
            if *ridge != start {
                break;
            }
        }
    }
    drop(equations);
    let change = finite(engine.read(&change).await?)?;
    changed(context, fitting.block, fitting.role, &change).await
}

/// The normal equations of a projection.
async fn normal_equations(
    context: &MergeContext,
    fitting: &Fitting<'_>,
    targets: &FitTargets<'_>,
    task: &Task,
) -> Result<NormalEquations> {
    let Fitting { block, role, concatenated } = fitting;
    let (engine, description) = (context.original.engine.as_ref(), &block.description);
    let inputs = match role {
        Role::Down => description.kind_of(0).neurons(),
        _ => description.heads * description.head_size,
    };
    let mut equations = NormalEquations::full(engine, inputs, description.hidden)?;
    for chunk in 0..targets.input.chunk_count() {
        let trace = targets.trace(chunk, task).await?;
        let (features, current, target) = match role {
            Role::Down => {
                let [neurons, stream] = targets.mlp_activations(block, chunk, task).await?;
                let current = block.after_mlp(0, stream, &neurons, task).await?;
                (neurons, current, trace.output)
            }
            _ => {
                let [heads, current] = targets.attention_output(block, chunk, task).await?;
                // Only the neurons of a concatenated block are fitted to a stream that more than
                // one attention has passed.
                let attentions = if *concatenated { usize::MAX } else { 1 };
                (heads, current, after_attentions(engine, trace, attentions)?)
            }
        };
        let samples = Samples { features: &[Features::all(&features)], current: &current, target: &target };
        equations.add(engine, samples, targets.input.window(), usize::MAX, task).await?;
    }
    Ok(equations)
}

/// The weights of a projection of `block`, a model of one block, with `change` `[inputs, outputs]`
/// added, rounded once.
async fn changed(context: &MergeContext, block: &Transformer, role: Role, change: &[f32]) -> Result<Fitted> {
    let d = &block.description;
    let projection = d.kind_of(0).projection(role)?;
    let name = d.block_tensor(0, projection.name, "weight");
    let tensor = block.checkpoint.tensor(&name)?;
    let dtype = readable_dtype(&name, tensor)?;
    let (inputs, outputs) = (projection.columns, projection.rows);
    // It was fitted to the stream, to which blocks of some families add a share of what they give.
    let share = d.residual_scale;
    let columns = if projection.transposed { outputs } else { inputs };
    let rows_at_once = (PIECE / columns.max(1)).max(1);
    let row_bytes = columns * dtype.size();
    let weights = OffHeapBuffer::zeros(tensor.bytes as usize, &context.meter)?;
    for first in (0..inputs * outputs / columns.max(1)).step_by(rows_at_once) {
        let count = rows_at_once.min(inputs * outputs / columns - first);
        let mut values = read_values(&name, tensor, (first * row_bytes) as u64, count * row_bytes).await?;
        for (i, value) in values.iter_mut().enumerate() {
            let (row, column) = (first + i / columns, i % columns);
            let at = if projection.transposed { row * outputs + column } else { column * outputs + row };
            *value += change[at] / share;
        }
        let mut bytes = Vec::new();
        dtype.encode(&values, &mut bytes);
        weights.write(first * row_bytes, &bytes);
    }
    Ok(Fitted { role, weights })
}

/// The stream after the attention of the first block of a trace, with what that of the next ones
/// adds to it, `count` of them in all: `[tokens, hidden]`.
fn after_attentions(engine: &dyn Compute, trace: ActivationTrace, count: usize) -> Result<Tensor> {
    let mut streams = trace.attention.into_iter().take(count);
    let Some([_, mut sum]) = streams.next() else {
        return Ok(trace.output);
    };
    for [before, after] in streams {
        engine.add(&mut sum, 1.0, &after)?;
        engine.add(&mut sum, -1.0, &before)?;
    }
    Ok(sum)
}
