//! Fitting the projections to the stream anew when all layers are gone: a block after the other, front to back, each to the original model's states. What
//! was repaired on the way is replaced.
//!
//! The output projection is fitted to the original block's post-attention stream, then the down projection to the stream that the next survivor had in
//! front of it in the original model; each on what the blocks in front of it give now, so that a block makes up for the errors of those before.
//!
//! A token that ends a document has a state far larger than others (a sink, as position 0). A text without one says nothing about it, and a fit to such a
//! text can ruin all that follows one: so some windows are given one.

use std::rc::Rc;

use super::Model;
use super::measured::Measured;
use super::plan::FitPlan;
use super::repairing::{ridge, split};
use crate::architecture::{Role, readable_dtype};
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::merge::recipe::RecipeRefit;
use crate::merge::repair::{Rows, Sums};
use crate::merge::{Fitted, Survivors};
use crate::parked::Parked;
use crate::task::Task;
use crate::transformer::{Stream, Transformer, read_values};

/// Weights are changed in pieces of about so many values.
const PIECE: usize = 1 << 20;

/// In one window of so many, the token in the middle is replaced by one that ends a document.
const WINDOWS_PER_END: usize = 4;

/// What the ridge is multiplied by, one after the other while held-out windows say that it helps.
const RIDGES: [f64; 4] = [1.0, 4.0, 16.0, 64.0];

/// What a block is fitted to.
struct Lesson<'a> {
    /// The block, alone in a model.
    block: &'a Transformer,
    /// Its original index.
    layer: usize,
    /// The stream in front of it.
    input: &'a Stream,
    /// The original model's stream: in front of the original block for its output projection, behind the gap for the down projection.
    original: &'a Stream,
    ridge: f64,
}

impl Model {
    /// Fits what every block from the first gap on writes to the stream anew; returns what was booked. Held-out windows decide between ridges, and
    /// whether any of it is kept.
    pub(super) async fn refit(
        &self,
        plan: &FitPlan,
        measured: &Measured<'_>,
        survivors: &mut Survivors,
        warnings: &mut Vec<String>,
        task: &Task,
    ) -> Result<Vec<RecipeRefit>> {
        let given = measured.given()?;
        let (windows, window) = (&given.sample.windows, given.info().window);
        let (fitted, held_out) = split(plan, windows.len())?;
        let ridge = ridge(plan, fitted * window, self.transformer.description.neurons(), warnings);
        // In front of it both models are the same.
        let start = survivors.first_gap();
        let mut front = self.transformer.embed(&self.with_ends(&windows[..fitted]), task).await?;
        self.transformer.forward(&mut front, 0..start, None, task, &task.step("repair", start, "blocks")).await?;
        if held_out == 0 {
            let (books, refits) = self.fitted_from(start, &front, survivors, ridge, measured, task).await?;
            *survivors = books;
            return Ok(refits);
        }
        let loss = async |books: &Survivors| {
            let (model, _) = self.merged(books, measured.norms(), task).await?;
            Ok::<_, Error>(evaluate(&model, None, &windows[fitted..], task).await?.dense.nll)
        };
        let (mut least, mut kept) = (loss(survivors).await?, Vec::new());
        let mut before = f64::INFINITY;
        for times in if plan.ridge_is_given { &RIDGES[..1] } else { &RIDGES[..] } {
            let (books, refits) = self.fitted_from(start, &front, survivors, ridge * times, measured, task).await?;
            let found = loss(&books).await?;
            if found < least {
                (least, kept) = (found, refits);
                *survivors = books;
            }
            // A stronger ridge than one that is too strong is no better.
            if found >= before {
                break;
            }
            before = found;
        }
        Ok(kept)
    }

    /// The books with every block from `start` on fitted anew; `front` is the stream there, the same in both models.
    async fn fitted_from(
        &self,
        start: usize,
        front: &Stream,
        survivors: &Survivors,
        ridge: f64,
        measured: &Measured<'_>,
        task: &Task,
    ) -> Result<(Survivors, Vec<RecipeRefit>)> {
        let engine = self.lab.engine.as_ref();
        let (mut original, mut input) = (front.fork(engine)?, front.fork(engine)?);
        let (mut survivors, mut refits) = (survivors.clone(), Vec::new());
        let layers = survivors.layers();
        let step = task.step("refit", layers.len() - start, "blocks");
        for (index, &layer) in layers.iter().enumerate().skip(start) {
            let behind = layers.get(index + 1).copied().unwrap_or(self.transformer.description.layers);
            survivors.forget_repair(index);
            for role in Fitted::ROLES {
                if role == Role::Down {
                    let passed = task.step("repair", behind - layer, "blocks");
                    self.transformer.forward(&mut original, layer..behind, None, task, &passed).await?;
                }
                let block = self.alone(&survivors, index, measured, task).await?;
                let lesson = Lesson { block: &block, layer, input: &input, original: &original, ridge };
                let fitted = self.fit(role, &lesson, task).await?;
                survivors.set_fitted(index, Rc::new(fitted));
            }
            refits.push(RecipeRefit { layer, ridge });
            let block = self.alone(&survivors, index, measured, task).await?;
            block.forward(&mut input, 0..1, None, task, &task.step("repair", 1, "blocks")).await?;
            step.advance(1)?;
        }
        Ok((survivors, refits))
    }

    /// The windows, some with a token in the middle that ends a document, if this model has one.
    fn with_ends(&self, windows: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut windows = windows.to_vec();
        let ends = self.transformer.checkpoint.config.document_ends(self.transformer.description.vocabulary);
        for (place, window) in windows.iter_mut().step_by(WINDOWS_PER_END).enumerate() {
            let middle = window.len() / 2;
            // The first token of a window is a sink as it is.
            if let (Some(end), 1..) = (ends.get(place % ends.len().max(1)), middle) {
                window[middle] = *end;
            }
        }
        windows
    }

    /// A model of the survivor at `index` alone.
    async fn alone(
        &self,
        survivors: &Survivors,
        index: usize,
        measured: &Measured<'_>,
        task: &Task,
    ) -> Result<Transformer> {
        // There is one at each index of a list that was made of them.
        let alone = survivors.alone(index).unwrap_or_else(|| survivors.clone());
        Ok(self.merged(&alone, measured.norms(), task).await?.0)
    }

    /// One projection of a block, fitted anew.
    async fn fit(&self, role: Role, lesson: &Lesson<'_>, task: &Task) -> Result<Fitted> {
        let engine = self.lab.engine.as_ref();
        let description = &self.transformer.description;
        let inputs = match role {
            Role::Down => description.neurons(),
            _ => description.heads * description.head_size,
        };
        let mut sums = Sums::whole(inputs, description.hidden)?;
        for chunk in 0..lesson.input.chunk_count() {
            let parts = lesson.block.block_parts(0, lesson.input, chunk, task).await?;
            let (read, added, target) = match role {
                Role::Down => (&parts.inner, Some(&parts.added[..]), lesson.original.values(engine, chunk).await?),
                _ => {
                    let original = self.transformer.block_parts(lesson.layer, lesson.original, chunk, task).await?;
                    (&parts.attended, None, original.stream)
                }
            };
            let rows = Rows { read, stream: &parts.stream, added, target: &target };
            sums.add(engine, rows, lesson.input.window(), usize::MAX, task).await?;
        }
        let change = sums.solve(lesson.ridge)?;
        drop(sums);
        self.changed(lesson.block, role, &change).await
    }

    /// The weights of a projection of `block`, a model of one block, with `change` `[inputs, outputs]` added, rounded once.
    async fn changed(&self, block: &Transformer, role: Role, change: &[f64]) -> Result<Fitted> {
        let d = &block.description;
        let projection = d.projection(role)?;
        let name = d.block_tensor(0, projection.name, "weight");
        let tensor = block.checkpoint.tensor(&name)?;
        let dtype = readable_dtype(&name, tensor)?;
        let (inputs, outputs) = (projection.columns, projection.rows);
        let columns = if projection.transposed { outputs } else { inputs };
        let rows_at_once = (PIECE / columns.max(1)).max(1);
        let row_bytes = columns * dtype.size();
        let weights = Parked::zeros(tensor.bytes as usize, &self.lab.meter)?;
        for first in (0..inputs * outputs / columns.max(1)).step_by(rows_at_once) {
            let count = rows_at_once.min(inputs * outputs / columns - first);
            let mut values = read_values(&name, tensor, (first * row_bytes) as u64, count * row_bytes).await?;
            for (i, value) in values.iter_mut().enumerate() {
                let (row, column) = (first + i / columns, i % columns);
                let at = if projection.transposed { row * outputs + column } else { column * outputs + row };
                *value = (f64::from(*value) + change[at]) as f32;
            }
            let mut bytes = Vec::new();
            dtype.encode(&values, &mut bytes);
            weights.write(first * row_bytes, &bytes);
        }
        Ok(Fitted { role, weights })
    }
}
