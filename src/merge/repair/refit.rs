//! Fitting the projections to the stream anew when all layers are gone: a block after the other, front to back, each to the original model's states. What
//! was repaired on the way is replaced.
//!
//! The output projection is fitted to the original block's post-attention stream, then the down projection to the stream that the next survivor had in
//! front of it in the original model; each on what the blocks in front of it give now, so that a block makes up for the errors of those before.
//!
//! A concatenated block has the heads of one of those that it does the work of: its output projection is fitted to what the attention of all of them adds.
//! And its neurons read what comes of that, so what they read is fitted too, before the down projection is: see [`super::readers`].
//!
//! Ridges are found and the whole is judged on held-out windows; then the same is fitted on all.
//!
//! A token that ends a document has a state far larger than others (a sink, as position 0). A text without one says nothing about it, and a fit to such a
//! text can ruin all that follows one: so some windows are given one.

use std::rc::Rc;

use super::Model;
use super::lesson::Lesson;
use super::measured::Measured;
use super::plan::FitPlan;
use super::repairing::{ridge, split};
use super::trials::{JUDGE_TOKENS, spread};
use crate::architecture::{Role, readable_dtype};
use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};
use crate::evaluate::Baseline;
use crate::merge::combine::Norms;
use crate::merge::recipe::RecipeRefit;
use crate::merge::repair::{Read, Rows, Sums, finite};
use crate::merge::{Fitted, Survivors};
use crate::parked::Parked;
use crate::task::Task;
use crate::transformer::{Stream, Transformer, Way, read_values};

/// Weights are changed in pieces of about so many values.
const PIECE: usize = 1 << 20;

/// In one window of so many, the token in the middle is replaced by one that ends a document.
const WINDOWS_PER_END: usize = 4;

/// The ridge is multiplied or divided by this, as long as that serves the held-out rows better, for each projection alone.
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
        let ridges = |_: usize| Some([ridge; 2]);
        let search = !plan.ridge_is_given;
        if held_out == 0 {
            let (books, refits) =
                self.fitted_anew(&windows[..fitted], None, survivors, ridges, measured.norms(), task).await?;
            *survivors = books;
            return Ok(refits);
        }
        let baseline = Baseline::new(&self.transformer, spread(&windows[fitted..], JUDGE_TOKENS), 0, task).await?;
        let divergence = async |books: &Survivors| {
            let (model, _) = self.merged(books, measured.norms(), task).await?;
            let found = baseline.compare(&model, 0, task).await?.divergence;
            Ok::<_, Error>(found.map_or(f64::INFINITY, |found| found.kl))
        };
        let judges = search.then_some(&windows[fitted..]);
        let (books, refits) =
            self.fitted_anew(&windows[..fitted], judges, survivors, ridges, measured.norms(), task).await?;
        if divergence(&books).await? >= divergence(survivors).await? {
            return Ok(Vec::new());
        }
        drop(books);
        // What was held out has decided; it is fitted on too now, as when the recipe is followed without these weights.
        let found = |layer: usize| refits.iter().find(|refit| refit.layer == layer).map(|refit| refit.ridges);
        let (books, refits) = self.fitted_anew(windows, None, survivors, found, measured.norms(), task).await?;
        *survivors = books;
        Ok(refits)
    }

    /// The books with every block from the first gap on fitted anew, on some windows; others, if there are, judge between ridges for each projection.
    /// `ridges` has those of a block's projections; a block without is not fitted.
    pub(super) async fn fitted_anew(
        &self,
        windows: &[Vec<u32>],
        judges: Option<&[Vec<u32>]>,
        survivors: &Survivors,
        ridges: impl Fn(usize) -> Option<[f64; 2]>,
        norms: Norms,
        task: &Task,
    ) -> Result<(Survivors, Vec<RecipeRefit>)> {
        let (engine, description) = (self.lab.engine.as_ref(), &self.transformer.description);
        let (mut survivors, mut refits) = (survivors.clone(), Vec::new());
        let layers = survivors.layers();
        // In front of it both models are the same.
        let start = survivors.first_gap();
        // The streams of the current and of the original model in front of a block, on their way from block to block.
        let mut all: Vec<[Stream; 2]> = Vec::new();
        for windows in std::iter::once(windows).chain(judges) {
            let mut input = self.transformer.embed(&self.with_ends(windows), task).await?;
            self.transformer.forward(&mut input, 0..start, None, task, &task.step("repair", start, "blocks")).await?;
            all.push([input.fork(engine)?, input]);
        }
        let step = task.step("refit", layers.len() - start, "blocks");
        let task = &task.inner();
        for (index, &layer) in layers.iter().enumerate().skip(start) {
            let gap = layer..survivors.begins(index + 1, description.layers);
            survivors.forget_repair(index);
            match ridges(layer) {
                Some(mut ridges) => {
                    let lesson =
                        |[input, start]: [Stream; 2]| Lesson::new(&self.transformer, input, start, gap.clone());
                    let lessons: Vec<Lesson<'_>> = all.into_iter().map(lesson).collect();
                    self.fit_block(&mut survivors, index, &lessons, &mut ridges, norms, task).await?;
                    refits.push(RecipeRefit { layer, ridges });
                    let block = self.alone(&survivors, index, norms, task).await?;
                    all = Vec::new();
                    for lesson in lessons {
                        all.push(lesson.done(&block, task).await?);
                    }
                }
                None => {
                    let block = self.alone(&survivors, index, norms, task).await?;
                    for [input, original] in &mut all {
                        let step = task.step("repair", gap.len() + 1, "blocks");
                        self.transformer.forward(original, gap.clone(), None, task, &step).await?;
                        block.forward(input, 0..1, None, task, &step).await?;
                    }
                }
            }
            step.advance(1)?;
        }
        Ok((survivors, refits))
    }

    /// Fits the survivor at `index` by the first lesson: what it writes to the stream and, where it was concatenated, what its neurons read. The second one,
    /// if there is one, judges between ridges.
    pub(super) async fn fit_block(
        &self,
        survivors: &mut Survivors,
        index: usize,
        lessons: &[Lesson<'_>],
        ridges: &mut [f64; 2],
        norms: Norms,
        task: &Task,
    ) -> Result<()> {
        let Some((lesson, judges)) = lessons.split_first() else {
            return Ok(());
        };
        let concatenated = survivors.blocks().get(index).is_some_and(|survivor| survivor.picks.is_some());
        for (role, ridge) in Fitted::WRITE.into_iter().zip(ridges) {
            if role == Role::Down && concatenated {
                self.fit_readers(survivors, [index, 0], lesson, norms, task).await?;
            }
            let block = self.alone(survivors, index, norms, task).await?;
            let fitting = Fitting { block: &block, role, concatenated };
            let fitted = self.fit(&fitting, lesson, judges.first(), ridge, task).await?;
            survivors.set_fitted(index, Rc::new(fitted));
        }
        Ok(())
    }

    /// The windows, some with a token in the middle that ends a document, if this model has one.
    pub(super) fn with_ends(&self, windows: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut windows = windows.to_vec();
        let vocabulary = self.transformer.description.vocabulary;
        let mut ends = self.tokenizer.as_ref().map_or(Vec::new(), |tokenizer| tokenizer.document_ends(vocabulary));
        let named = self.transformer.checkpoint.config.document_ends(vocabulary);
        ends.extend(named.into_iter().filter(|id| !ends.contains(id)).collect::<Vec<_>>());
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
    pub(super) async fn alone(
        &self,
        survivors: &Survivors,
        index: usize,
        norms: Norms,
        task: &Task,
    ) -> Result<Transformer> {
        Ok(self.merged(&survivors.part(index..index + 1), norms, task).await?.0)
    }

    /// One projection of a block, fitted anew with `ridge`; where there are judges, with the multiple of it that serves them best, which it becomes.
    async fn fit(
        &self,
        fitting: &Fitting<'_>,
        lesson: &Lesson<'_>,
        judges: Option<&Lesson<'_>>,
        ridge: &mut f64,
        task: &Task,
    ) -> Result<Fitted> {
        let engine = self.lab.engine.as_ref();
        let sums = self.sums(fitting, lesson, task).await?;
        let mut change = sums.solve(engine, *ridge, task).await?;
        if let Some(judges) = judges {
            let judges = self.sums(fitting, judges, task).await?;
            let (start, mut most) = (*ridge, judges.gain(engine, &change, task).await?);
            for step in [RIDGE_STEP, RIDGE_STEP.recip()] {
                for times in (1..=RIDGE_STEPS).map(|steps| step.powi(steps as i32)) {
                    let found = sums.solve(engine, start * times, task).await?;
                    let gain = judges.gain(engine, &found, task).await?;
                    if gain <= most || gain.is_nan() {
                        break;
                    }
                    (*ridge, most, change) = (start * times, gain, found);
                }
                // It has one best.
                if *ridge != start {
                    break;
                }
            }
        }
        drop(sums);
        let change = finite(engine.read(&change).await?)?;
        self.changed(fitting.block, fitting.role, &change).await
    }

    /// The sums that a projection is fitted by.
    async fn sums(&self, fitting: &Fitting<'_>, lesson: &Lesson<'_>, task: &Task) -> Result<Sums> {
        let Fitting { block, role, concatenated } = fitting;
        let (engine, description) = (self.lab.engine.as_ref(), &self.transformer.description);
        let inputs = match role {
            Role::Down => description.neurons(),
            _ => description.heads * description.head_size,
        };
        let mut sums = Sums::whole(engine, inputs, description.hidden)?;
        for chunk in 0..lesson.input.chunk_count() {
            let way = lesson.way(chunk, task).await?;
            let (read, stream, target) = match role {
                Role::Down => {
                    let [neurons, stream] = lesson.neurons(block, chunk, task).await?;
                    let stream = block.behind_neurons(0, stream, &neurons, task).await?;
                    (neurons, stream, way.behind)
                }
                _ => {
                    let [heads, stream] = lesson.heads(block, chunk, task).await?;
                    // Only the neurons of a concatenated block are taught to read a stream that more than one attention has passed.
                    let attentions = if *concatenated { usize::MAX } else { 1 };
                    (heads, stream, attended(engine, way, attentions)?)
                }
            };
            let rows = Rows { read: &[Read::all(&read)], stream: &stream, target: &target };
            sums.add(engine, rows, lesson.input.window(), usize::MAX, task).await?;
        }
        Ok(sums)
    }

    /// The weights of a projection of `block`, a model of one block, with `change` `[inputs, outputs]` added, rounded once.
    async fn changed(&self, block: &Transformer, role: Role, change: &[f32]) -> Result<Fitted> {
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
                *value += change[at];
            }
            let mut bytes = Vec::new();
            dtype.encode(&values, &mut bytes);
            weights.write(first * row_bytes, &bytes);
        }
        Ok(Fitted { role, weights })
    }
}

/// The stream behind the attention of the first block of a way, with what that of the next ones adds to it, `count` of them in all: `[tokens, hidden]`.
fn attended(engine: &dyn Compute, way: Way, count: usize) -> Result<Tensor> {
    let mut streams = way.attention.into_iter().take(count);
    let Some([_, mut sum]) = streams.next() else {
        return Ok(way.behind);
    };
    for [front, behind] in streams {
        engine.add(&mut sum, 1.0, &behind)?;
        engine.add(&mut sum, -1.0, &front)?;
    }
    Ok(sum)
}
