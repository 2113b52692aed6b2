//! What neurons read that stand in front of where they come from, in a concatenated block or in a pair that is to become one.
//!
//! In the original model the neurons of a block behind the first read a stream that has passed the blocks in front of them; here all read the same, what
//! the attention of the first gives. The best linear guess of the one by the other, a matrix T for each original block, is folded into the rows of gate
//! and up: with n what is read here and t what was read there, T = I + (n'n + mu I)^-1 n'(t - n) and W becomes W T'.

use std::rc::Rc;

use super::Model;
use super::lesson::Lesson;
use crate::architecture::{Projection, Role, readable_dtype};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::merge::combine::{Norms, folds_norm_of};
use crate::merge::repair::{Read, Rows, Sums};
use crate::merge::{Fitted, Survivors};
use crate::parked::Parked;
use crate::task::Task;
use crate::transformer::{Transformer, product, read_values};

/// How strongly T is drawn to the identity: what is read has few channels beside rows, and a tenth of it served as well.
const RIDGE: f64 = 0.03;

/// Neurons, and the attention that they read behind.
struct Readers {
    /// A model of the block with that attention and those up to the one that has the neurons.
    blocks: Transformer,
    /// The place of the latter in it.
    place: usize,
    /// The original block that each neuron comes from.
    from: Vec<usize>,
    /// Whether the original norms are in the rows of gate and up.
    folded: bool,
}

impl Model {
    /// Fits gate and up of the survivor that is `place` behind the one at `index`, to read what the attention of the latter gives. The stream of the
    /// current model and the original's way are in front of that one; its neurons come from the original blocks of that way.
    ///
    /// # Errors
    /// As [`Sums::map`]; [`crate::error::Error::Cancelled`], or what reading and computing fail with.
    pub(super) async fn fit_readers(
        &self,
        survivors: &mut Survivors,
        [index, place]: [usize; 2],
        lesson: &Lesson<'_>,
        norms: Norms,
        task: &Task,
    ) -> Result<()> {
        let Some(survivor) = survivors.blocks().get(index + place) else {
            return Ok(());
        };
        let description = &self.transformer.description;
        let from: Vec<usize> = match &survivor.picks {
            Some(picks) => picks.neurons.iter().map(|(layer, _)| *layer).collect(),
            None => vec![survivor.layer; description.neurons()],
        };
        let folded = survivor.picks.is_some() && norms == Norms::Fold && folds_norm_of(description, Role::Up);
        let (blocks, _) = self.merged(&survivors.part(index..index + place + 1), norms, task).await?;
        let readers = Readers { blocks, place, from, folded };
        let maps = self.reading_maps(&readers, lesson, task).await?;
        let projections = &description.projections;
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
                for (neuron, layer) in readers.from.iter().enumerate() {
                    sources[part.stored_row(neuron)] = Some(*layer);
                }
            }
            let weights = self.read_through(&readers, projection, &sources, &maps, task).await?;
            survivors.set_fitted(index + place, Rc::new(Fitted { role, weights }));
        }
        Ok(())
    }

    /// T, row-major, for each original block that gave neurons.
    async fn reading_maps(
        &self,
        readers: &Readers,
        lesson: &Lesson<'_>,
        task: &Task,
    ) -> Result<Vec<(usize, Vec<f32>)>> {
        let (engine, original) = (self.lab.engine.as_ref(), &self.transformer);
        let (hidden, parallel) = (original.description.hidden, original.description.parallel);
        let Readers { blocks, place, from, folded } = readers;
        let mut sums = Vec::new();
        for layer in lesson.blocks.clone().filter(|layer| from.contains(layer)) {
            sums.push((layer, Sums::whole(engine, hidden, hidden)?));
        }
        for chunk in 0..lesson.input.chunk_count() {
            let here = match lesson.beside(chunk)? {
                Some(stream) => stream,
                None => {
                    let [_, stream] = lesson.heads(blocks, chunk, task).await?;
                    stream
                }
            };
            let here = blocks.read_by_neurons(*place, here, task).await?;
            let there = lesson.way(chunk, task).await?.attention;
            for (layer, [front, behind]) in lesson.blocks.clone().zip(there) {
                let Some((_, sums)) = sums.iter_mut().find(|(source, _)| *source == layer) else { continue };
                let there = if parallel { front } else { behind };
                // With the original norm in the rows of gate and up, they read what the new one makes of the stream.
                let there = match folded {
                    true => blocks.read_by_neurons(*place, there, task).await?,
                    false => original.read_by_neurons(layer, there, task).await?,
                };
                let rows = Rows { read: &[Read::all(&here)], stream: &here, target: &there };
                sums.add(engine, rows, lesson.input.window(), usize::MAX, task).await?;
            }
        }
        let mut maps = Vec::new();
        for (layer, sums) in sums {
            maps.push((layer, sums.map(engine, RIDGE).await?));
        }
        Ok(maps)
    }

    /// The stored weights of a projection of the readers, each row of them times the map of the original block that it comes from.
    async fn read_through(
        &self,
        Readers { blocks, place, .. }: &Readers,
        projection: &Projection,
        sources: &[Option<usize>],
        maps: &[(usize, Vec<f32>)],
        task: &Task,
    ) -> Result<Parked> {
        let (engine, inputs, outputs) = (self.lab.engine.as_ref(), projection.columns, projection.stored);
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
            let mut read = Vec::with_capacity(rows.len() * inputs);
            for row in &rows {
                read.extend((0..inputs).map(|column| values[at(*row, column)]));
            }
            let mut matrix = engine.matrix(inputs, inputs, Dtype::F32)?;
            engine.write_rows(&mut matrix, 0, bytemuck::cast_slice(map))?;
            let mapped = product(engine, task, &engine.upload(rows.len(), &read)?, &matrix, None).await?;
            let mapped = engine.read(&mapped).await?;
            for (row, mapped) in rows.iter().zip(mapped.chunks_exact(inputs.max(1))) {
                mapped.iter().enumerate().for_each(|(column, value)| values[at(*row, column)] = *value);
            }
        }
        let mut bytes = Vec::new();
        dtype.encode(&values, &mut bytes);
        let weights = Parked::zeros(bytes.len(), &self.lab.meter)?;
        weights.write(0, &bytes);
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use faer::linalg::solvers::Solve;

    use super::*;
    use crate::compute::Tensor;
    use crate::merge::{Join, Kept};
    use crate::session::lesson::Lesson;
    use crate::session::miniature::open;

    /// Rows `[tokens, channels]` in f64.
    fn matrix(values: &[f32], channels: usize) -> Mat<f64> {
        Mat::from_fn(values.len() / channels, channels, |i, j| f64::from(values[i * channels + j]))
    }

    /// T of its definition: the ridge regression of what was read there on what is read here, in f64.
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

    /// Of all rows of gate and up, those of neurons in the block at `place`: that they are what they were `before`, times the map that is theirs.
    async fn check(before: &Transformer, after: &Transformer, place: usize, map_of: impl Fn(usize) -> Mat<f64>) {
        let d = &before.description;
        let values = async |model: &Transformer, name: &str| {
            let name = d.block_tensor(place, name, "weight");
            let tensor = model.checkpoint.tensor(&name).unwrap();
            (tensor.dtype, read_values(&name, tensor, 0, tensor.bytes as usize).await.unwrap())
        };
        for p in d.projections.iter().filter(|p| [Role::Gate, Role::Up].contains(&p.role)) {
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

    /// Gate and up of their own, in one tensor, stored the other way round, beside attention; norms by mean and deviation.
    #[test]
    fn each_neuron_reads_the_best_guess_of_what_it_read() {
        for miniature in ["llama", "qwen2-bf16", "phi3", "gpt2", "gpt_neox", "phi", "opt"] {
            let model = open(miniature);
            let (t, task) = (&model.transformer, Task::silent());
            let d = &t.description;
            let (neurons, half) = (d.neurons() as u32, d.neurons() as u32 / 2);
            let kept = Kept {
                neurons: [(0..half).collect(), (half..neurons).collect()],
                heads: [(0..d.kv_heads as u32).collect(), Vec::new()],
            };
            let mut joined = Survivors::all(d.layers);
            joined.merge(0, 1, &Join::Concatenate(kept)).unwrap();
            let windows: Vec<Vec<u32>> =
                (0..3).map(|w| (0..13).map(|i| (w * 31 + i * 17 + 1) % d.vocabulary as u32).collect()).collect();
            pollster::block_on(async {
                let engine = t.engine.as_ref();
                let input = t.embed(&windows, &task).await.unwrap();
                let original = t.way(0..2, &input, 0, &task).await.unwrap().attention;
                // A concatenated block, and the back one of two that are as they were.
                for (mut survivors, place) in [(joined, 0), (Survivors::all(d.layers), 1)] {
                    let model_of = async |survivors: &Survivors| {
                        model.merged(&survivors.part(0..place + 1), Norms::Fold, &task).await.unwrap().0
                    };
                    let [here, start] = [(); 2].map(|()| input.fork(engine).unwrap());
                    let lesson = Lesson::new(t, here, start, 0..2);
                    let before = model_of(&survivors).await;
                    model.fit_readers(&mut survivors, [0, place], &lesson, Norms::Fold, &task).await.unwrap();
                    let read = async |states: &[Tensor; 2]| {
                        let states = engine.copy_to_engine(&states[usize::from(!d.parallel)]);
                        let read = before.read_by_neurons(place, states.unwrap(), &task).await.unwrap();
                        matrix(&engine.read(&read).await.unwrap(), d.hidden)
                    };
                    let here = before.way(0..1, &input, 0, &task).await.unwrap().attention;
                    let here = read(&here[0]).await;
                    let [first, second] = [&original[0], &original[1]];
                    let maps = [expected(&here, &read(first).await, 13), expected(&here, &read(second).await, 13)];
                    let map_of = |row: usize| maps[usize::from(place == 1 || row >= half as usize)].clone();
                    check(&before, &model_of(&survivors).await, place, map_of).await;
                }
            });
        }
    }
}
