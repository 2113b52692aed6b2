//! Linear maps of the inputs of neurons that no longer get what they got in the original model:
//! those of a concatenated block, or of the later block of a pair that is to become one.
//!
//! In the original model the neurons of a later block get a stream that has passed the blocks
//! before it; here all get the same, the stream after the attention of the first. The best linear
//! guess of the one by the other, a matrix T for each original block, is folded into the rows of
//! gate and up: with n the input here and t the input there, T = I + (n'n + mu I)^-1 n'(t - n), and
//! W becomes W T'.

use std::rc::Rc;

use super::fit_targets::FitTargets;
use crate::architecture::{Projection, Role};
use crate::checkpoint::read::{read_values, readable_dtype};
use crate::compute::sliced::product;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::merge::choices::Norms;
use crate::merge::context::MergeContext;
use crate::merge::state::{Fitted, MergeState};
use crate::merge::tensors::folds_norm_of;
use crate::platform::off_heap::OffHeapBuffer;
use crate::regression::{Features, NormalEquations, Samples};
use crate::task::Task;
use crate::transformer::Transformer;

/// How strongly T is drawn to the identity: the input has few channels beside rows, and a tenth of
/// it served as well.
const RIDGE: f64 = 0.03;

/// The neurons whose inputs are mapped, and the attention whose output stream is their input.
struct MlpInputMap {
    /// A model of the block with that attention and those up to the one that has the neurons.
    blocks: Transformer,
    /// The place of the latter in it.
    place: usize,
    /// The original block of each neuron.
    from: Vec<usize>,
    /// Whether the original norms are in the rows of gate and up.
    folded: bool,
}

/// Fits gate and up of the survivor that is `place` after the one at `index` to the stream that the
/// attention of the latter gives. `targets` are those of that one; the neurons come from its
/// original blocks.
///
/// # Errors
/// As [`NormalEquations::map`]; [`crate::error::Error::Cancelled`], or what reading and computing
/// fail with.
pub async fn fit_mlp_input_maps(
    context: &MergeContext,
    state: &mut MergeState,
    [index, place]: [usize; 2],
    targets: &FitTargets<'_>,
    task: &Task,
) -> Result<()> {
    let Some(survivor) = state.blocks().get(index + place) else {
        return Ok(());
    };
    let description = &context.original.description;
    let kind = description.kind_of(survivor.layer);
    let from: Vec<usize> = match &survivor.origins {
        Some(origins) => origins.neurons.iter().map(|(layer, _)| *layer).collect(),
        None => vec![survivor.layer; kind.neurons()],
    };
    let folded =
        survivor.origins.is_some() && context.norms == Norms::Fold && folds_norm_of(description, kind, Role::Up);
    let (blocks, _) = context.build(&state.part(index..index + place + 1), task).await?;
    let map = MlpInputMap { blocks, place, from, folded };
    let maps = input_maps(context, &map, targets, task).await?;
    let projections = &kind.projections;
    let of_neurons = |p: &&Projection| [Role::Gate, Role::Up].contains(&p.role);
    let mut done = Vec::new();
    for projection in projections.iter().filter(of_neurons) {
        if done.contains(&projection.name) {
            continue;
        }
        done.push(projection.name);
        let role = projections.iter().find(|p| p.name == projection.name).map_or(projection.role, |p| p.role);
        let mut sources = vec![None; projection.stored];
        for part in projections.iter().filter(of_neurons).filter(|p| p.name == projection.name) {
            for (neuron, layer) in map.from.iter().enumerate() {
                sources[part.stored_row(neuron)] = Some(*layer);
            }
        }
        let weights = apply_input_map(context, &map, projection, &sources, &maps, task).await?;
        state.set_fitted(index + place, Rc::new(Fitted { role, weights }));
    }
    Ok(())
}

/// T, row-major, for each original block that has given neurons.
async fn input_maps(
    context: &MergeContext,
    map: &MlpInputMap,
    targets: &FitTargets<'_>,
    task: &Task,
) -> Result<Vec<(usize, Vec<f32>)>> {
    let original = &context.original;
    let engine = original.engine.as_ref();
    let (hidden, parallel) = (original.description.hidden, original.description.parallel);
    let MlpInputMap { blocks, place, from, folded } = map;
    let mut equations = Vec::new();
    for layer in targets.blocks.clone().filter(|layer| from.contains(layer)) {
        equations.push((layer, NormalEquations::full(engine, hidden, hidden)?));
    }
    for chunk in 0..targets.input.chunk_count() {
        let here = match targets.parallel_input(chunk)? {
            Some(stream) => stream,
            None => {
                let [_, stream] = targets.attention_output(blocks, chunk, task).await?;
                stream
            }
        };
        let here = blocks.mlp_input(*place, here, task).await?;
        let there = targets.trace(chunk, task).await?.attention;
        for (layer, [before, after]) in targets.blocks.clone().zip(there) {
            let Some((_, equations)) = equations.iter_mut().find(|(source, _)| *source == layer) else { continue };
            let there = if parallel { before } else { after };
            // With the original norm in the rows of gate and up, their input is what the new norm
            // makes of the stream.
            let there = match folded {
                true => blocks.mlp_input(*place, there, task).await?,
                false => original.mlp_input(layer, there, task).await?,
            };
            let samples = Samples { features: &[Features::all(&here)], current: &here, target: &there };
            equations.add(engine, samples, targets.input.window(), usize::MAX, task).await?;
        }
    }
    let mut maps = Vec::new();
    for (layer, equations) in equations {
        maps.push((layer, equations.map(engine, RIDGE).await?));
    }
    Ok(maps)
}

/// The stored weights of a projection, each row of them times the map of its original block.
async fn apply_input_map(
    context: &MergeContext,
    MlpInputMap { blocks, place, .. }: &MlpInputMap,
    projection: &Projection,
    sources: &[Option<usize>],
    maps: &[(usize, Vec<f32>)],
    task: &Task,
) -> Result<OffHeapBuffer> {
    let engine = blocks.engine.as_ref();
    let (inputs, outputs) = (projection.columns, projection.stored);
    let name = blocks.description.block_tensor(*place, projection.name, "weight");
    let tensor = blocks.checkpoint.tensor(&name)?;
    let dtype = readable_dtype(&name, tensor)?;
    let mut values = read_values(&name, tensor, 0, tensor.bytes as usize).await?;
    let at = |row: usize, column: usize| match projection.transposed {
        true => column * outputs + row,
        false => row * inputs + column,
    };
    for (layer, map) in maps {
        let rows: Vec<usize> = (0..outputs).filter(|row| sources[*row] == Some(*layer)).collect();
        let mut stored = Vec::with_capacity(rows.len() * inputs);
        for row in &rows {
            stored.extend((0..inputs).map(|column| values[at(*row, column)]));
        }
        let mut matrix = engine.matrix(inputs, inputs, Dtype::F32)?;
        engine.write_rows(&mut matrix, 0, bytemuck::cast_slice(map))?;
        let mapped = product(engine, task, &engine.upload(rows.len(), &stored)?, &matrix, None).await?;
        let mapped = engine.read(&mapped).await?;
        for (row, mapped) in rows.iter().zip(mapped.chunks_exact(inputs.max(1))) {
            mapped.iter().enumerate().for_each(|(column, value)| values[at(*row, column)] = *value);
        }
    }
    let mut bytes = Vec::new();
    dtype.encode(&values, &mut bytes);
    let weights = OffHeapBuffer::zeros(bytes.len(), &context.meter)?;
    weights.write(0, &bytes);
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use faer::linalg::solvers::Solve;

    use super::*;
    use crate::compute::Tensor;
    use crate::merge::combine::ChannelSelection;
    use crate::merge::miniature::open;
    use crate::merge::state::Join;

    /// Rows `[tokens, channels]` in f64.
    fn matrix(values: &[f32], channels: usize) -> Mat<f64> {
        Mat::from_fn(values.len() / channels, channels, |i, j| f64::from(values[i * channels + j]))
    }

    /// T of its definition: the ridge regression of what was read there on what is read here, in
    /// f64.
    fn expected(here: &Mat<f64>, there: &Mat<f64>, window: usize) -> Mat<f64> {
        let (rows, d) = (here.nrows(), here.ncols());
        let weight = |i: usize| {
            let sink = if i.is_multiple_of(window) { 10.0 } else { 1.0 };
            sink / (0..d).map(|j| there[(i, j)].powi(2)).sum::<f64>().sqrt()
        };
        let x = Mat::from_fn(rows, d, |i, j| here[(i, j)] * weight(i));
        let y = Mat::from_fn(rows, d, |i, j| (there[(i, j)] - here[(i, j)]) * weight(i));
        let gram = x.transpose() * &x;
        let mu = RIDGE * (0..d).map(|i| gram[(i, i)]).sum::<f64>() / d as f64;
        let system = Mat::from_fn(d, d, |i, j| gram[(i, j)] + if i == j { mu } else { 0.0 });
        let change = system.partial_piv_lu().solve(x.transpose() * y);
        Mat::from_fn(d, d, |i, j| change[(i, j)] + f64::from(u8::from(i == j)))
    }

    /// Of all rows of gate and up, those of neurons in the block at `place`: that they are what
    /// they were `before`, times the map that is theirs.
    async fn check(before: &Transformer, after: &Transformer, place: usize, map_of: impl Fn(usize) -> Mat<f64>) {
        let d = &before.description;
        let values = async |model: &Transformer, name: &str| {
            let name = d.block_tensor(place, name, "weight");
            let tensor = model.checkpoint.tensor(&name).unwrap();
            (tensor.dtype, read_values(&name, tensor, 0, tensor.bytes as usize).await.unwrap())
        };
        for p in d.block().projections.iter().filter(|p| [Role::Gate, Role::Up].contains(&p.role)) {
            let ((dtype, old), (_, new)) = (values(before, p.name).await, values(after, p.name).await);
            let at = |row: usize, column: usize| {
                let row = p.stored_row(row);
                if p.transposed { column * p.stored + row } else { row * d.hidden + column }
            };
            let largest = old.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let within = f64::from(largest) * if dtype == safetensors::Dtype::BF16 { 1e-2 } else { 1e-4 };
            let mut moved = 0.0f64;
            for row in 0..p.rows {
                let map = map_of(row);
                for j in 0..d.hidden {
                    let sum: f64 = (0..d.hidden).map(|k| f64::from(old[at(row, k)]) * map[(j, k)]).sum();
                    let found = f64::from(new[at(row, j)]);
                    assert!((found - sum).abs() < within, "{} {} [{row}, {j}]: {found} {sum}", d.family, p.name);
                    moved = moved.max((found - f64::from(old[at(row, j)])).abs());
                }
            }
            assert!(moved > 10.0 * within, "{} {}: it is as it was", d.family, p.name);
        }
    }

    /// Gate and up of their own, in one tensor, stored the other way round, beside attention; norms
    /// by mean and deviation.
    #[test]
    fn each_neuron_reads_the_best_guess_of_what_it_read() {
        for miniature in ["llama", "qwen2-bf16", "phi3", "gpt2", "gpt_neox", "phi", "opt"] {
            let context = open(miniature, Norms::Fold);
            let (t, task) = (&context.original, Task::silent());
            let d = &t.description;
            let (neurons, half) = (d.neurons() as u32, d.neurons() as u32 / 2);
            let kept = ChannelSelection {
                neurons: [(0..half).collect(), (half..neurons).collect()],
                heads: [(0..d.kv_heads as u32).collect(), Vec::new()],
            };
            let mut joined = MergeState::all(d.layers);
            joined.merge(0, 1, &Join::Concatenate(kept)).unwrap();
            let windows: Vec<Vec<u32>> =
                (0..3).map(|w| (0..13).map(|i| (w * 31 + i * 17 + 1) % d.vocabulary as u32).collect()).collect();
            pollster::block_on(async {
                let engine = t.engine.as_ref();
                let input = t.embed(&windows, &task).await.unwrap();
                let original = t.trace(0..2, &input, 0, &task).await.unwrap().attention;
                // A concatenated block, and the later one of two that are as they were.
                for (mut state, place) in [(joined, 0), (MergeState::all(d.layers), 1)] {
                    let model_of =
                        async |state: &MergeState| context.build(&state.part(0..place + 1), &task).await.unwrap().0;
                    let [here, start] = [(); 2].map(|()| input.fork(engine).unwrap());
                    let targets = FitTargets::new(t, here, start, 0..2);
                    let before = model_of(&state).await;
                    fit_mlp_input_maps(&context, &mut state, [0, place], &targets, &task).await.unwrap();
                    let read = async |states: &[Tensor; 2]| {
                        let states = engine.copy_to_engine(&states[usize::from(!d.parallel)]);
                        let read = before.mlp_input(place, states.unwrap(), &task).await.unwrap();
                        matrix(&engine.read(&read).await.unwrap(), d.hidden)
                    };
                    let here = before.trace(0..1, &input, 0, &task).await.unwrap().attention;
                    let here = read(&here[0]).await;
                    let [first, second] = [&original[0], &original[1]];
                    let maps = [expected(&here, &read(first).await, 13), expected(&here, &read(second).await, 13)];
                    let map_of = |row: usize| maps[usize::from(place == 1 || row >= half as usize)].clone();
                    check(&before, &model_of(&state).await, place, map_of).await;
                }
            });
        }
    }
}
