//! The forward pass with chosen rows kept: the activation matrices that everything else is measured
//! on.
//!
//! This module must not know what is measured on them.

use std::ops::Range;
use std::rc::Rc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::platform::off_heap::{Meter, OffHeapBuffer};
use crate::task::Task;
use crate::transformer::{Observer, Stream, Transformer, windows_per_chunk};

/// Bytes of whole streams that a calibration keeps, so that a changed model is run from the change
/// on only.
pub const STREAM_BUDGET: u64 = 256 << 20;

/// Which token positions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// So many, drawn without replacement.
    Count(usize),
    /// All that are not skipped.
    All,
    /// These: `(sequence, position)`, in this order.
    Chosen(Vec<(usize, usize)>),
}

/// `x[l]` at the chosen rows, for l = 0..=layers: matrices `[rows, columns]`, outside the
/// WebAssembly heap.
#[derive(Default)]
pub struct Activations {
    /// Number of chosen rows.
    pub rows: usize,
    /// Channels of the stream.
    pub columns: usize,
    states: Vec<Rc<OffHeapBuffer>>,
    /// Whole streams `x[l]` of some l, in ascending order: where a changed model can go on from.
    streams: Vec<(usize, Rc<Stream>)>,
}

impl Activations {
    /// Number of blocks; there is one matrix more.
    pub fn layers(&self) -> usize {
        self.states.len().saturating_sub(1)
    }

    /// `x[layer]` at the rows, row-major.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no such layer.
    pub fn hidden(&self, layer: usize) -> Result<Vec<f32>> {
        let states = self.states.get(layer).map(|states| states.to_f32());
        states.ok_or_else(|| Error::argument("layer", format!("is {layer}, expected 0 to {}", self.layers())))
    }

    /// The activation matrix of block `layer`: its output `x[layer + 1]`.
    ///
    /// # Errors
    /// As [`Activations::hidden`].
    pub fn output(&self, layer: usize) -> Result<Vec<f32>> {
        self.hidden(layer + 1)
    }

    /// Matrices `[rows, columns]` of the outputs of some layers, from memory; the embedding is
    /// zero.
    ///
    /// # Errors
    /// As [`OffHeapBuffer::zeros`].
    pub fn of_outputs(outputs: &[&[f32]], rows: usize, columns: usize, meter: &Meter) -> Result<Self> {
        let mut states = vec![Rc::new(OffHeapBuffer::zeros(4 * rows * columns, meter)?)];
        for output in outputs {
            states.push(Rc::new(OffHeapBuffer::from_f32(output, meter)?));
        }
        Ok(Self { rows, columns, states, streams: Vec::new() })
    }

    /// Some of the rows; whole streams are left out.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there are not so many rows.
    pub fn part(&self, rows: Range<usize>, meter: &Meter) -> Result<Self> {
        if rows.end > self.rows || rows.start > rows.end {
            return Err(Error::argument("rows", format!("are {rows:?} of {}", self.rows)));
        }
        let bytes = self.columns * 4;
        let mut values = vec![0; rows.len() * bytes];
        let part = |states: &Rc<OffHeapBuffer>| {
            states.read(rows.start * bytes, &mut values);
            let part = OffHeapBuffer::zeros(values.len(), meter)?;
            part.write(0, &values);
            Ok(Rc::new(part))
        };
        let states = self.states.iter().map(part).collect::<Result<_>>()?;
        Ok(Self { rows: rows.len(), columns: self.columns, states, streams: Vec::new() })
    }
}

/// The positions to keep out of `sequences` windows of `window` tokens, the first `skip` of each
/// left out: sorted for a draw, as given otherwise.
///
/// The draw is by ChaCha8 from `seed`, without replacement; a count beyond what there is takes all.
///
/// # Errors
/// [`Error::BadArgument`] when no position is left, or a chosen one does not exist.
pub fn choose_rows(
    rows: &Rows,
    sequences: usize,
    window: usize,
    skip: usize,
    seed: u64,
) -> Result<Vec<(usize, usize)>> {
    let usable = window.saturating_sub(skip);
    let pool = sequences * usable;
    let position = |index: usize| (index / usable, skip + index % usable);
    let chosen = match rows {
        Rows::Chosen(chosen) => {
            if let Some((s, p)) = chosen.iter().find(|(s, p)| *s >= sequences || *p >= window) {
                return Err(Error::argument(
                    "rows",
                    format!("[{s}, {p}] lies outside {sequences} sequences of {window} tokens"),
                ));
            }
            chosen.clone()
        }
        Rows::All => (0..pool).map(position).collect(),
        Rows::Count(count) => {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut drawn = rand::seq::index::sample(&mut random, pool, (*count).min(pool)).into_vec();
            drawn.sort_unstable();
            drawn.into_iter().map(position).collect()
        }
    };
    if chosen.is_empty() {
        return Err(Error::argument(
            "rows",
            format!("no position is left of {sequences} windows of {window} tokens, {skip} of each skipped"),
        ));
    }
    Ok(chosen)
}

/// What is run: windows of equal length, and the rows `(sequence, position)` to keep of them.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Token ids.
    pub windows: Vec<Vec<u32>>,
    /// The rows, in the order of the activation matrices.
    pub chosen: Vec<(usize, usize)>,
}

/// Runs a sample through a model and keeps `x[l]` at its rows, for every l.
///
/// # Errors
/// [`Error::NotFinite`] when an activation is not a number, [`Error::Cancelled`], or what reading
/// and computing fail with.
pub async fn calibrate(model: &Transformer, sample: &Sample, meter: &Meter, task: &Task) -> Result<Activations> {
    let stream = model.embed(&sample.windows, task).await?;
    let mut collector = Collector::new(model, sample, Vec::new(), meter)?;
    model.observe(&stream, &mut collector).await?;
    run(model, stream, 0, Vec::new(), collector, task).await
}

/// The same sample on a model whose first `untouched` blocks are those that `before` was run on:
/// what comes before is taken over.
///
/// # Errors
/// As [`calibrate`].
pub async fn calibrate_again(
    model: &Transformer,
    sample: &Sample,
    before: &Activations,
    untouched: usize,
    meter: &Meter,
    task: &Task,
) -> Result<Activations> {
    let usable = before.streams.iter().take_while(|(layer, _)| *layer <= untouched);
    let streams: Vec<(usize, Rc<Stream>)> = usable.cloned().collect();
    let Some((layer, stream)) = streams.last().cloned() else {
        return calibrate(model, sample, meter, task).await;
    };
    let stream = stream.fork(model.engine.as_ref())?;
    let collector = Collector::new(model, sample, before.states[..=layer].to_vec(), meter)?;
    run(model, stream, layer, streams, collector, task).await
}

/// The stream `x[layer]` of a model whose first `usable` blocks are those that `known` was run on,
/// of the first windows of the sample, which have at most `tokens` tokens together.
///
/// # Errors
/// [`Error::Cancelled`], or what reading and computing fail with.
pub async fn stream_at(
    model: &Transformer,
    sample: &Sample,
    known: &Activations,
    usable: usize,
    layer: usize,
    tokens: usize,
    task: &Task,
) -> Result<Stream> {
    let kept = known.streams.iter().rev().find(|(at, _)| *at <= usable.min(layer));
    let (from, mut stream) = match kept {
        Some((at, stream)) => (*at, stream.fork_start(model.engine.as_ref(), tokens)?),
        None => (0, model.embed(&sample.windows, task).await?.fork_start(model.engine.as_ref(), tokens)?),
    };
    let step = task.step("calibrate", layer - from, "blocks");
    model.forward(&mut stream, from..layer, None, task, &step).await?;
    Ok(stream)
}

/// Goes on from `x[first]`, and keeps a whole stream now and then.
async fn run(
    model: &Transformer,
    mut stream: Stream,
    first: usize,
    mut streams: Vec<(usize, Rc<Stream>)>,
    mut collector: Collector,
    task: &Task,
) -> Result<Activations> {
    let layers = model.description.layers;
    let kept = (STREAM_BUDGET / stream.bytes().max(1)) as usize;
    let stride = layers.div_ceil(kept + 1);
    let step = task.step("calibrate", layers - first, "blocks");
    let mut layer = first;
    while layer < layers {
        let next = (layer + stride).min(layers);
        model.forward(&mut stream, layer..next, Some(&mut collector), task, &step).await?;
        layer = next;
        if layer < layers {
            streams.push((layer, Rc::new(stream.fork(model.engine.as_ref())?)));
        }
    }
    if let Some(layer) = collector.broken {
        let found = "it has values that are infinite or not a number".into();
        return Err(Error::NotFinite { what: format!("the hidden state x[{layer}]"), found });
    }
    Ok(Activations { rows: collector.rows, columns: collector.columns, states: collector.states, streams })
}

/// Sorts the rows that pass by into the activation matrices.
struct Collector {
    /// For each chunk, the rows to take, and where each belongs.
    wanted: Vec<(Vec<u32>, Vec<usize>)>,
    rows: usize,
    columns: usize,
    states: Vec<Rc<OffHeapBuffer>>,
    broken: Option<usize>,
}

impl Collector {
    /// `known` are the matrices of the first layers, which will not be written.
    fn new(model: &Transformer, sample: &Sample, known: Vec<Rc<OffHeapBuffer>>, meter: &Meter) -> Result<Self> {
        let (rows, columns) = (sample.chosen.len(), model.description.hidden);
        let window = sample.windows.first().map_or(0, Vec::len);
        let per_chunk = windows_per_chunk(model.engine.as_ref(), window);
        let mut wanted = vec![(Vec::new(), Vec::new()); sample.windows.len().div_ceil(per_chunk)];
        for (target, (sequence, position)) in sample.chosen.iter().enumerate() {
            let (rows, targets) = &mut wanted[sequence / per_chunk];
            rows.push((sequence % per_chunk * window + position) as u32);
            targets.push(target);
        }
        let mut states = known;
        while states.len() <= model.description.layers {
            states.push(Rc::new(OffHeapBuffer::zeros(rows * columns * 4, meter)?));
        }
        Ok(Self { wanted, rows, columns, states, broken: None })
    }
}

impl Observer for Collector {
    fn rows(&self, chunk: usize) -> &[u32] {
        self.wanted.get(chunk).map_or(&[], |(rows, _)| rows)
    }

    fn take(&mut self, layer: usize, chunk: usize, values: &[f32]) {
        if !values.iter().all(|value| value.is_finite()) {
            self.broken.get_or_insert(layer);
        }
        for (row, target) in values.chunks_exact(self.columns).zip(&self.wanted[chunk].1) {
            self.states[layer].write(target * self.columns * 4, bytemuck::cast_slice(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_skip_the_start_and_never_take_a_row_twice() {
        let draw = |seed| choose_rows(&Rows::Count(50), 4, 32, 8, seed).unwrap();
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        let mut rows = draw(3);
        assert!(rows.iter().all(|(s, p)| *s < 4 && (8..32).contains(p)));
        rows.dedup();
        assert_eq!(rows.len(), 50);
        assert_eq!(
            choose_rows(&Rows::Count(1000), 4, 32, 8, 0).unwrap(),
            choose_rows(&Rows::All, 4, 32, 8, 1).unwrap()
        );
    }

    #[test]
    fn impossible_rows_are_refused() {
        assert!(choose_rows(&Rows::Count(5), 4, 8, 8, 0).is_err());
        assert!(choose_rows(&Rows::Chosen(vec![(0, 8)]), 1, 8, 0, 0).is_err());
        assert!(choose_rows(&Rows::Chosen(vec![(1, 0)]), 1, 8, 0, 0).is_err());
        assert_eq!(
            choose_rows(&Rows::Chosen(vec![(0, 7), (0, 0)]), 1, 8, 8, 0).unwrap(),
            [(0, 7), (0, 0)],
            "chosen rows may be skipped ones"
        );
    }
}
