//! What a model predicts, and how far a merged one has gone from it: perplexity, KL divergence,
//! top-1 agreement, teacher-forced.
//!
//! Logits are made tile by tile of the vocabulary and folded into running statistics; they never
//! exist whole.

use serde::{Deserialize, Serialize};

use crate::compute::{Tensor, start_state, statistics as s};
use crate::error::{Error, Result};
use crate::task::{Step, Task};
use crate::transformer::{Stream, Transformer};

/// How well a model predicts a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Loss {
    /// Mean negative log-likelihood per prediction, nats.
    pub nll: f64,
    /// exp(nll).
    pub perplexity: f64,
}

/// How a merged model compares with the one that it was made of, on the same predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergence {
    /// The merged model's loss.
    pub merged: Loss,
    /// Mean KL(dense || merged), nats.
    pub kl: f64,
    /// Share of predictions whose most likely token is the same.
    pub top1_agreement: f64,
}

/// What an evaluation found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Number of predictions: window - 1 for each window.
    pub tokens: usize,
    /// The first model's loss.
    pub dense: Loss,
    /// The comparison, where there was a second model.
    pub divergence: Option<Divergence>,
}

/// Another model to measure beside the first: it, and the number of first blocks that it has in
/// common.
pub type Second<'a> = (&'a Transformer, usize);

/// Measures a model on windows of equal length, and another one beside it.
///
/// # Errors
/// [`Error::BadArgument`] for windows of fewer than two tokens, [`Error::NotFinite`] when logits
/// are not numbers, [`Error::Cancelled`], or what reading and computing fail with.
pub async fn evaluate(
    dense: &Transformer,
    second: Option<Second<'_>>,
    windows: &[Vec<u32>],
    task: &Task,
) -> Result<Evaluation> {
    let window = windows.first().map_or(0, Vec::len);
    if window < 2 {
        return Err(Error::argument("window", format!("is {window}, a prediction needs two tokens")));
    }
    let layers = dense.description.layers;
    let shared = second.map_or(layers, |(_, shared)| shared.min(layers));
    let second_layers = second.map_or(0, |(model, _)| model.description.layers.saturating_sub(shared));
    let step = task.step("evaluate", layers + second_layers + dense.head_tiles().len(), "blocks");

    let mut stream = dense.embed(windows, task).await?;
    dense.forward(&mut stream, 0..shared, None, task, &step).await?;
    let mut other = None;
    if let Some((model, _)) = second {
        let mut fork = stream.fork(dense.engine.as_ref())?;
        model.forward(&mut fork, shared..model.description.layers, None, task, &step).await?;
        other = Some((model, fork));
    }
    dense.forward(&mut stream, shared..layers, None, task, &step).await?;
    let mut streams = vec![(dense, &stream)];
    streams.extend(other.iter().map(|(model, stream)| (*model, stream)));
    predictions(&streams, windows, task, &step).await
}

/// A model that many others are compared with on the same windows: its states are computed once.
pub struct Baseline<'a> {
    dense: &'a Transformer,
    windows: Vec<Vec<u32>>,
    /// `x[l]` of some l, ascending; the last is after all blocks.
    streams: Vec<(usize, Stream)>,
}

impl<'a> Baseline<'a> {
    /// Runs the windows through the model, and keeps streams of at most `budget` bytes, the first
    /// and the last at least.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub async fn new(dense: &'a Transformer, windows: Vec<Vec<u32>>, budget: u64, task: &Task) -> Result<Self> {
        let window = windows.first().map_or(0, Vec::len);
        if window < 2 {
            return Err(Error::argument("window", format!("is {window}, a prediction needs two tokens")));
        }
        let layers = dense.description.layers;
        let step = task.step("evaluate", layers, "blocks");
        let mut stream = dense.embed(&windows, task).await?;
        let kept = (budget / stream.bytes().max(1)).clamp(1, layers.max(1) as u64) as usize;
        let stride = layers.div_ceil(kept).max(1);
        let mut streams = vec![(0, stream.fork(dense.engine.as_ref())?)];
        for first in (0..layers).step_by(stride) {
            let next = (first + stride).min(layers);
            dense.forward(&mut stream, first..next, None, task, &step).await?;
            streams.push((next, stream.fork(dense.engine.as_ref())?));
        }
        Ok(Self { dense, windows, streams })
    }

    /// Compares `model`, whose first `shared` blocks are those of the baseline.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub async fn compare(&self, model: &Transformer, shared: usize, task: &Task) -> Result<Evaluation> {
        let layers = model.description.layers;
        let usable = |(at, _): &&(usize, Stream)| *at <= shared.min(layers);
        let (Some((first, start)), Some((_, last))) = (self.streams.iter().rfind(usable), self.streams.last()) else {
            return Err(Error::internal("there is nothing to compare with"));
        };
        let step = task.step("evaluate", layers - first + model.head_tiles().len(), "blocks");
        let mut stream = start.fork(model.engine.as_ref())?;
        model.forward(&mut stream, *first..layers, None, task, &step).await?;
        predictions(&[(self.dense, last), (model, &stream)], &self.windows, task, &step).await
    }

    /// Mean KL(dense || changed), nats, of a model that differs from the dense one before
    /// block `first` only; `stream` is what it has there.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub async fn divergence_after(&self, mut stream: Stream, first: usize, task: &Task) -> Result<f64> {
        let layers = self.dense.description.layers;
        let step = task.step("evaluate", layers - first + self.dense.head_tiles().len(), "blocks");
        self.dense.forward(&mut stream, first..layers, None, task, &step).await?;
        let last = self.streams.last().map_or(&stream, |(_, last)| last);
        let found = predictions(&[(self.dense, last), (self.dense, &stream)], &self.windows, task, &step).await?;
        Ok(found.divergence.map_or(0.0, |divergence| divergence.kl))
    }

    /// The windows.
    pub fn windows(&self) -> &[Vec<u32>] {
        &self.windows
    }
}

/// The loss of a model on windows whose stream `x[first]` is at hand.
///
/// # Errors
/// As [`evaluate`].
pub async fn loss_after(
    model: &Transformer,
    mut stream: Stream,
    first: usize,
    windows: &[Vec<u32>],
    task: &Task,
) -> Result<Loss> {
    let layers = model.description.layers;
    let step = task.step("evaluate", layers - first + model.head_tiles().len(), "blocks");
    model.forward(&mut stream, first..layers, None, task, &step).await?;
    Ok(predictions(&[(model, &stream)], windows, task, &step).await?.dense)
}

/// Reads one text: the loss over its predictions, and the logits after the token at `position`.
///
/// # Errors
/// As [`evaluate`]; [`Error::BadArgument`] when there is no such token.
pub async fn read_text(model: &Transformer, ids: &[u32], position: usize, task: &Task) -> Result<(Loss, Vec<f32>)> {
    if ids.len() < 2 || position >= ids.len() {
        return Err(Error::argument("text", format!("it has {} tokens, position {position} was asked for", ids.len())));
    }
    let layers = model.description.layers;
    let windows = [ids.to_vec()];
    let step = task.step("evaluate", layers + model.head_tiles().len(), "blocks");
    let mut stream = model.embed(&windows, task).await?;
    model.forward(&mut stream, 0..layers, None, task, &step).await?;
    let loss = predictions(&[(model, &stream)], &windows, task, &step).await?.dense;
    let engine = model.engine.as_ref();
    let states = engine.gather(&stream.states(engine, 0)?, &[position as u32])?;
    Ok((loss, model.logits(states, task).await?))
}

/// Holds the predictions of one or two models, whose streams have passed all blocks, against the
/// windows.
async fn predictions(
    streams: &[(&Transformer, &Stream)],
    windows: &[Vec<u32>],
    task: &Task,
    step: &Step<'_>,
) -> Result<Evaluation> {
    let Some((dense, _)) = streams.first() else {
        return Err(Error::internal("there is no model to measure"));
    };
    let window = windows.first().map_or(0, Vec::len);
    let engine = dense.engine.as_ref();
    let mut chunks = Vec::new();
    let per_chunk = crate::transformer::windows_per_chunk(engine, window);
    for (index, group) in windows.chunks(per_chunk).enumerate() {
        let predicting = predicting_rows(group.len(), window);
        let mut normed = Vec::new();
        for (model, stream) in streams {
            let states = model.normed(stream, index).await?;
            normed.push(engine.offload(engine.gather(&states, &predicting)?)?);
        }
        let targets: Vec<u32> = group.iter().flat_map(|ids| ids[1..].to_vec()).collect();
        chunks.push(Chunk { normed, targets });
    }
    let sums = dense.with_less(async || sums_of(dense, &chunks, task, step).await).await?;
    sums.finish(streams.len() > 1)
}

/// The statistics of all predictions, tile after tile of the head.
async fn sums_of(dense: &Transformer, chunks: &[Chunk], task: &Task, step: &Step<'_>) -> Result<Sums> {
    let engine = dense.engine.as_ref();
    let mut states = chunks.iter().map(|chunk| start_state(engine, chunk.targets.len())).collect::<Result<Vec<_>>>()?;
    for tile in dense.head_tiles() {
        let head = dense.head_tile(tile.clone()).await?;
        for (chunk, state) in chunks.iter().zip(&mut states) {
            let mut logits = Vec::new();
            for normed in &chunk.normed {
                logits.push(dense.tile_logits(&engine.copy_to_engine(normed)?, &head, task).await?);
            }
            engine.head_statistics(&logits[0], logits.get(1), tile.start, &chunk.targets, state)?;
            engine.yield_now().await?;
        }
        step.advance(1)?;
    }
    let mut sums = Sums::default();
    for state in &states {
        let state = engine.read(state).await?;
        state.chunks_exact(s::COLUMNS).for_each(|row| sums.add(row));
    }
    Ok(sums)
}

struct Chunk {
    /// Normed states of the positions that predict, of each model.
    normed: Vec<Tensor>,
    targets: Vec<u32>,
}

/// The rows of a chunk that predict a token of the same window: all but the last of each.
fn predicting_rows(sequences: usize, window: usize) -> Vec<u32> {
    (0..sequences * window).filter(|row| row % window + 1 < window).map(|row| row as u32).collect()
}

#[derive(Default)]
struct Sums {
    tokens: usize,
    dense: f64,
    merged: f64,
    kl: f64,
    agreed: usize,
}

impl Sums {
    /// Adds one row of statistics.
    fn add(&mut self, row: &[f32]) {
        let at = |index: usize| f64::from(row[index]);
        let log_sum = |first: usize| at(first + s::SUM).ln() + at(first + s::MAX);
        self.tokens += 1;
        self.dense += log_sum(0) - at(s::TARGET);
        self.merged += log_sum(s::SECOND) - at(s::SECOND + s::TARGET);
        self.kl += at(s::CROSS) / at(s::SUM) - log_sum(0) + log_sum(s::SECOND);
        self.agreed += usize::from(row[s::BEST] == row[s::SECOND + s::BEST]);
    }

    fn finish(&self, compared: bool) -> Result<Evaluation> {
        let tokens = self.tokens as f64;
        let loss = |sum: f64| Loss { nll: sum / tokens, perplexity: (sum / tokens).exp() };
        if !self.dense.is_finite() || (compared && !(self.merged.is_finite() && self.kl.is_finite())) {
            return Err(Error::NotFinite {
                what: "the model's predictions".into(),
                found: "logits are infinite or not a number".into(),
            });
        }
        let divergence = compared.then(|| Divergence {
            merged: loss(self.merged),
            // Never negative in exact arithmetic; rounding may take it a little below.
            kl: (self.kl / tokens).max(0.0),
            top1_agreement: self.agreed as f64 / tokens,
        });
        Ok(Evaluation { tokens: self.tokens, dense: loss(self.dense), divergence })
    }
}
