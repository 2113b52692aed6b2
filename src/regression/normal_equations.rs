//! The sums that a ridge regression is solved from, and the solution in `f64`.
//! Must not know models, nor what is fitted.

use std::cell::OnceCell;
use std::ops::Range;

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use crate::compute::sliced::product;
use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};
use crate::task::Task;

/// Position 0 of a sequence is an attention sink, far larger than the rest; left to its 1/|t| it
/// would not count, and the sink breaks.
const SINK_WEIGHT: f32 = 10.0;

/// Samples whose products are made at once.
pub(super) const ROWS_AT_ONCE: usize = 2048;

/// Columns of the sums that lie together.
pub(super) const BLOCK: usize = 256;

/// x'Wx and x'W(t - s), over all rows so far.
pub struct NormalEquations {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    rows: usize,
    pub(super) sums: Sums,
    /// That of x'Wx, once it was read.
    pub(super) diagonal: OnceCell<Vec<f32>>,
}

/// The sums, on the engine or, for a diagonal map, on the heap.
pub(super) enum Sums {
    /// The lower triangle of x'Wx and, below it, (t - s)'Wx, in blocks of [`BLOCK`] columns, each
    /// from its diagonal on: `[inputs - first + outputs, columns]`.
    Full(Vec<Tensor>),
    /// The diagonals of both, for a diagonal map: for each channel, sum w^2 x (t - s) / (sum w^2
    /// x^2 + mu).
    Diagonal(Vec<(f64, f64)>),
}

/// Samples to fit to, on an engine.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    /// The inputs x, side by side: `[rows, inputs]` together.
    pub features: &'a [Features<'a>],
    /// The stream as it is, s `[rows, outputs]`.
    pub current: &'a Tensor,
    /// The stream as it should be, t `[rows, outputs]`.
    pub target: &'a Tensor,
}

/// Channels of the inputs.
#[derive(Clone, Copy)]
pub struct Features<'a> {
    /// `[rows, channels]`.
    pub values: &'a Tensor,
    /// The channels that count, or none where all do.
    pub channels: Option<&'a [u32]>,
}

impl<'a> Features<'a> {
    /// All channels of `[rows, channels]`.
    pub fn all(values: &'a Tensor) -> Self {
        Self { values, channels: None }
    }

    fn count(&self) -> usize {
        self.channels.map_or(self.values.columns, <[u32]>::len)
    }
}

impl NormalEquations {
    /// NormalEquations over nothing, for a map `[inputs, outputs]`.
    ///
    /// # Errors
    /// What the engine's allocation fails with.
    pub fn full(engine: &dyn Compute, inputs: usize, outputs: usize) -> Result<Self> {
        let block = |columns: Range<usize>| engine.zeros(inputs - columns.start + outputs, columns.len());
        let blocks = blocks(inputs).map(block).collect::<Result<_>>()?;
        Ok(Self { inputs, outputs, rows: 0, sums: Sums::Full(blocks), diagonal: OnceCell::new() })
    }

    /// NormalEquations over nothing, for a diagonal map `[channels]`.
    pub fn diagonal(channels: usize) -> Self {
        let sums = Sums::Diagonal(vec![(0.0, 0.0); channels]);
        Self { inputs: channels, outputs: channels, rows: 0, sums, diagonal: OnceCell::new() }
    }

    /// Number of rows that were added.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the rows of whole windows of `window` tokens, `most` rows at the most.
    ///
    /// A row's weight w is 1/|t|, ten times that for a sink, position 0 of a window; it enters
    /// squared. A target of norm 0, or one that is not a number, shows in the sums, and fails what
    /// is solved from them.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when they differ in number, [`Error::Cancelled`], or what the engine
    /// fails with.
    pub async fn add(
        &mut self,
        engine: &dyn Compute,
        samples: Samples<'_>,
        window: usize,
        most: usize,
        task: &Task,
    ) -> Result<()> {
        let Samples { features, current, target } = samples;
        let fits = |values: &Tensor| (values.rows, values.columns) == (target.rows, self.outputs);
        let reads = features.iter().map(Features::count).sum::<usize>() == self.inputs;
        let same_rows = features.iter().all(|part| part.values.rows == target.rows);
        if !(reads && same_rows && fits(target) && fits(current)) {
            return Err(Error::internal("features, current stream and target of a fit differ in size"));
        }
        let count = target.rows.min(most);
        for first in (0..count).step_by(ROWS_AT_ONCE) {
            let some = numbers(first..(first + ROWS_AT_ONCE).min(count));
            let factors: Vec<f32> =
                some.iter().map(|row| if (*row as usize).is_multiple_of(window) { SINK_WEIGHT } else { 1.0 }).collect();
            let mut residual = engine.gather(target, &some)?;
            let weights = engine.inverse_row_norms(&residual, &factors)?;
            engine.add(&mut residual, -1.0, &engine.gather(current, &some)?)?;
            // Channel by channel, so that a product of two has a sum over rows for each pair of
            // channels.
            let mut channels = engine.zeros(self.inputs + self.outputs, some.len())?;
            let mut at = 0;
            for part in features {
                let mut values = engine.transpose(&engine.gather(part.values, &some)?, Some(&weights))?;
                if let Some(numbers) = part.channels {
                    values = engine.gather(&values, numbers)?;
                }
                engine.copy_rows(&mut channels, at, &values)?;
                at += values.rows;
            }
            engine.copy_rows(&mut channels, at, &engine.transpose(&residual, Some(&weights))?)?;
            self.add_products(engine, &channels, task).await?;
            self.rows += some.len();
        }
        Ok(())
    }

    /// Adds the products of weighted channels `[inputs + outputs, rows]`.
    async fn add_products(&mut self, engine: &dyn Compute, channels: &Tensor, task: &Task) -> Result<()> {
        let (inputs, width) = (self.inputs, self.inputs + self.outputs);
        self.diagonal.take();
        match &mut self.sums {
            Sums::Full(sums) => {
                for (columns, sums) in blocks(inputs).zip(sums) {
                    let block = engine.to_matrix(&engine.gather(channels, &numbers(columns.clone()))?)?;
                    let below = engine.gather(channels, &numbers(columns.start..width))?;
                    engine.add(sums, 1.0, &product(engine, task, &below, &block, None).await?)?;
                }
            }
            Sums::Diagonal(sums) => {
                let values = engine.read(channels).await?;
                let (x, r) = values.split_at(inputs * channels.columns);
                let dot =
                    |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                let channels = x.chunks_exact(channels.columns).zip(r.chunks_exact(channels.columns));
                for (sums, (x, r)) in sums.iter_mut().zip(channels) {
                    *sums = (sums.0 + dot(x, x), sums.1 + dot(x, r));
                }
            }
        }
        engine.yield_now().await
    }

    /// T, row-major, or its diagonal, solved in `f64` and rounded to `f32`: what a recipe keeps.
    ///
    /// # Errors
    /// [`Error::Degenerate`] when all that is read is zero, or the sums are not numbers; what
    /// reading them fails with.
    pub async fn map(&self, engine: &dyn Compute, ridge: f64) -> Result<Vec<f32>> {
        let (n, outputs) = (self.inputs, self.outputs);
        match &self.sums {
            Sums::Full(sums) => {
                let mut system = Mat::<f64>::zeros(n, n);
                let mut wanted = Mat::<f64>::zeros(n, outputs);
                for (columns, sums) in blocks(n).zip(sums) {
                    let values = engine.read(sums).await?;
                    for (row, values) in (columns.start..).zip(values.chunks_exact(columns.len())) {
                        for (column, value) in columns.clone().zip(values) {
                            match row.checked_sub(n) {
                                None => system[(row, column)] = f64::from(*value),
                                Some(output) => wanted[(column, output)] = f64::from(*value),
                            }
                        }
                    }
                }
                let change = solved(system, &wanted, ridge)?;
                let value = |i: usize| f64::from(i / outputs == i % outputs) + change[(i / outputs, i % outputs)];
                finite((0..n * outputs).map(|i| value(i) as f32).collect())
            }
            Sums::Diagonal(sums) => {
                let mu = damping(ridge, sums.iter().map(|(gram, _)| *gram))?;
                finite(sums.iter().map(|(gram, cross)| (1.0 + cross / (gram + mu)) as f32).collect())
            }
        }
    }
}

/// X for x'Wx, of which the lower triangle counts, and x'W(t - s), in `f64`.
pub(super) fn solved(mut system: Mat<f64>, wanted: &Mat<f64>, ridge: f64) -> Result<Mat<f64>> {
    let mu = damping(ridge, (0..system.nrows()).map(|i| system[(i, i)]))?;
    (0..system.nrows()).for_each(|i| system[(i, i)] += mu);
    Ok(system.llt(Side::Lower).map_err(|e| indefinite(&e))?.solve(wanted))
}

/// The columns of the blocks of so many.
pub(super) fn blocks(columns: usize) -> impl Iterator<Item = Range<usize>> {
    (0..columns).step_by(BLOCK).map(move |first| first..(first + BLOCK).min(columns))
}

/// Numbers of rows, as an engine gathers them.
pub(super) fn numbers(rows: Range<usize>) -> Vec<u32> {
    rows.map(|row| row as u32).collect()
}

pub(super) fn broken(found: String) -> Error {
    Error::Degenerate { what: "the system of equations of a fit".into(), found }
}

pub(super) fn indefinite(error: &impl std::fmt::Debug) -> Error {
    broken(format!("it is not positive definite: {error:?}"))
}

/// mu for a ridge, from the diagonal of M'WM.
pub(super) fn damping(ridge: f64, diagonal: impl ExactSizeIterator<Item = f64>) -> Result<f64> {
    let d = diagonal.len() as f64;
    let mu = ridge * diagonal.sum::<f64>() / d;
    if mu > 0.0 && mu.is_finite() { Ok(mu) } else { Err(broken(format!("its ridge is {mu}"))) }
}

/// The values, if all of them are numbers.
///
/// # Errors
/// [`Error::Degenerate`] if not.
pub fn finite(map: Vec<f32>) -> Result<Vec<f32>> {
    if map.iter().all(|value| value.is_finite()) { Ok(map) } else { Err(broken("its solution is not finite".into())) }
}
