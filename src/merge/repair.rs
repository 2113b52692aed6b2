//! Repairs of a gap in closed form.
//!
//! Linear: a matrix T, folded into the MLP's down projection of the surviving block, that brings its output closest to what the original model has
//! behind the gap (ReplaceMe, arXiv 2505.02819); a diagonal T where a norm sits between that projection and the stream.
//!
//! With y the post-attention stream, M the MLP's output on the current model, t the original model's stream behind the gap and
//! W = diag(w^2): T = I + (M'WM + mu I)^-1 M'W(t - y - M), mu = ridge trace(M'WM) / D.
//!
//! The same least squares fit a projection that writes to the stream anew: with x what it reads (heads or neurons) and s the stream behind it,
//! X = (x'Wx + mu I)^-1 x'W(t - s) is what is added to its weights; the ridge draws it to what it was. This module must not know how x, y, M, s and t come
//! about.

mod pace;
mod saliency;

use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, MatRef, Side};

use crate::compute::Compute;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::task::Task;
use crate::transformer::product_rows;

pub use pace::seconds_per_flop;

/// Position 0 of a sequence is an attention sink, far larger than the rest; left to its 1/|t| it would not count, and the sink breaks.
const SINK_WEIGHT: f64 = 10.0;

/// Rows whose products are summed in `f32`, before they are added to the others in `f64`.
const ROWS_AT_ONCE: usize = 1024;

/// Columns of sums that are made at once.
const TILE: usize = 512;

/// The sums that a map is solved from, over all rows so far: products in `f32` on an engine, a few thousand rows at a time, added up in `f64`.
pub struct Sums {
    inputs: usize,
    outputs: usize,
    rows: usize,
    map: Map,
}

enum Map {
    /// The lower triangle of x'Wx and, behind it in each row, x'W(t - s): `[inputs, inputs + outputs]`.
    Whole(Vec<f64>),
    /// The diagonals of both, for a diagonal map: for each channel, sum w^2 x (t - s) / (sum w^2 x^2 + mu).
    Diagonal(Vec<(f64, f64)>),
}

/// Rows to fit to.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// What the map reads, x `[rows, inputs]`.
    pub read: &'a [f32],
    /// The stream as it is, s `[rows, outputs]`.
    pub stream: &'a [f32],
    /// What is to be added to it first.
    pub added: Option<&'a [f32]>,
    /// The stream as it should be, t `[rows, outputs]`.
    pub target: &'a [f32],
}

impl Rows<'_> {
    /// The rows `rows` of them.
    fn slice(&self, rows: std::ops::Range<usize>, inputs: usize, outputs: usize) -> Self {
        let of = |columns: usize| rows.start * columns..rows.end * columns;
        Self {
            read: &self.read[of(inputs)],
            stream: &self.stream[of(outputs)],
            added: self.added.map(|added| &added[of(outputs)]),
            target: &self.target[of(outputs)],
        }
    }
}

impl Sums {
    /// Sums over nothing, for a map `[inputs, outputs]`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when there is no room for them.
    pub fn whole(inputs: usize, outputs: usize) -> Result<Self> {
        let length = inputs.saturating_mul(inputs.saturating_add(outputs));
        let mut sums = Vec::new();
        let what = || format!("there is no room for the sums of a fit of {inputs} to {outputs} channels");
        sums.try_reserve_exact(length).map_err(|_| Error::OutOfMemory { what: what() })?;
        sums.resize(length, 0.0);
        Ok(Self { inputs, outputs, rows: 0, map: Map::Whole(sums) })
    }

    /// Sums over nothing, for a diagonal map `[channels]`.
    pub fn diagonal(channels: usize) -> Self {
        Self { inputs: channels, outputs: channels, rows: 0, map: Map::Diagonal(vec![(0.0, 0.0); channels]) }
    }

    /// Number of rows that were added.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the rows of whole windows of `window` tokens, `most` rows at the most.
    ///
    /// A row's weight w is 1/|t|, ten times that for a sink, position 0 of a window; it enters squared.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when they differ in number, [`Error::NotFinite`] when a target has norm 0 or is not a number,
    /// [`Error::Cancelled`], or what the engine fails with.
    pub async fn add(
        &mut self,
        engine: &dyn Compute,
        rows: Rows<'_>,
        window: usize,
        most: usize,
        task: &Task,
    ) -> Result<()> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let count = rows.target.len() / outputs.max(1);
        let fits = |values: &[f32], columns: usize| values.len() == count * columns;
        if !(fits(rows.read, inputs)
            && fits(rows.target, outputs)
            && fits(rows.stream, outputs)
            && rows.added.is_none_or(|added| fits(added, outputs)))
        {
            return Err(Error::argument("rows", "what a fit reads, the stream and its target differ in size"));
        }
        let count = count.min(most);
        for first in (0..count).step_by(ROWS_AT_ONCE) {
            let end = (first + ROWS_AT_ONCE).min(count);
            self.add_some(
                engine,
                rows.slice(first..end, inputs, outputs),
                |i| (first + i).is_multiple_of(window),
                task,
            )
            .await?;
            engine.pace().await?;
        }
        Ok(())
    }

    async fn add_some(
        &mut self,
        engine: &dyn Compute,
        rows: Rows<'_>,
        sink: impl Fn(usize) -> bool,
        task: &Task,
    ) -> Result<()> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let count = rows.target.len() / outputs.max(1);
        // Channel by channel, so that a product of these two has a sum over rows for each pair of channels.
        let mut columns = vec![0.0f32; (inputs + outputs) * count];
        let (x, r) = columns.split_at_mut(inputs * count);
        for row in 0..count {
            let target = &rows.target[row * outputs..(row + 1) * outputs];
            let norm = target.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            if !(norm > 0.0 && norm.is_finite()) {
                let what = "a hidden state that a repair aims at".into();
                return Err(Error::NotFinite { what, found: format!("its norm is {norm}") });
            }
            let weight = if sink(row) { SINK_WEIGHT / norm } else { 1.0 / norm };
            for (channel, value) in rows.read[row * inputs..(row + 1) * inputs].iter().enumerate() {
                x[channel * count + row] = (f64::from(*value) * weight) as f32;
            }
            for (channel, (t, at)) in target.iter().zip(row * outputs..).enumerate() {
                let added = rows.added.map_or(0.0, |added| f64::from(added[at]));
                r[channel * count + row] = ((f64::from(*t) - f64::from(rows.stream[at]) - added) * weight) as f32;
            }
        }
        self.rows += count;
        match &mut self.map {
            Map::Whole(sums) => add_products(engine, sums, &columns, count, inputs, task).await,
            Map::Diagonal(sums) => {
                let dot =
                    |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                for ((sums, x), r) in sums.iter_mut().zip(x.chunks_exact(count)).zip(r.chunks_exact(count)) {
                    *sums = (sums.0 + dot(x, x), sums.1 + dot(x, r));
                }
                Ok(())
            }
        }
    }

    /// T, row-major, or its diagonal, rounded to `f32`: what a recipe keeps.
    ///
    /// # Errors
    /// As [`Sums::solve`].
    pub fn map(&self, ridge: f64) -> Result<Vec<f32>> {
        let identity = |i: usize| match self.map {
            Map::Whole(_) => f64::from(i / self.outputs == i % self.outputs),
            Map::Diagonal(_) => 1.0,
        };
        finite(self.solve(ridge)?.iter().enumerate().map(|(i, x)| (identity(i) + x) as f32).collect())
    }

    /// By how much X, `[inputs, outputs]`, makes the squared error smaller on these rows: 2 tr(X'x'W(t - s)) - tr(X'x'Wx X). Negative where it does not.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for a diagonal map, or an X of another size.
    pub fn gain(&self, change: &[f64]) -> Result<f64> {
        let (n, outputs) = (self.inputs, self.outputs);
        let Map::Whole(sums) = &self.map else {
            return Err(Error::argument("repair", "only a whole map is held against held-out rows"));
        };
        if change.len() != n * outputs {
            return Err(Error::argument("repair", format!("{} values for a map of {n} to {outputs}", change.len())));
        }
        let sums = MatRef::from_row_major_slice(sums, n, n + outputs);
        let change = MatRef::from_row_major_slice(change, n, outputs);
        let gram = Mat::from_fn(n, n, |i, j| sums[(i.max(j), i.min(j))]);
        let reached = gram * change;
        let at = |o: usize| (0..n).map(|i| change[(i, o)] * (2.0 * sums[(i, n + o)] - reached[(i, o)])).sum::<f64>();
        Ok((0..outputs).map(at).sum())
    }

    /// X, row-major `[inputs, outputs]`, or its diagonal.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when all that is read is zero, or the sums are not numbers.
    pub fn solve(&self, ridge: f64) -> Result<Vec<f64>> {
        let (n, outputs) = (self.inputs, self.outputs);
        match &self.map {
            Map::Whole(sums) => {
                let (sums, factor) = factored(sums, n, outputs, ridge)?;
                let solution = factor.solve(sums.subcols(n, outputs));
                Ok((0..n * outputs).map(|i| solution[(i / outputs, i % outputs)]).collect())
            }
            Map::Diagonal(sums) => {
                let mu = damping(ridge, sums.iter().map(|(gram, _)| *gram))?;
                Ok(sums.iter().map(|(gram, cross)| cross / (gram + mu)).collect())
            }
        }
    }
}

/// The sums as a matrix `[n, n + outputs]`, and the Cholesky factor of x'Wx + mu I.
fn factored(sums: &[f64], n: usize, outputs: usize, ridge: f64) -> Result<(MatRef<'_, f64>, Llt<f64>)> {
    let sums = MatRef::from_row_major_slice(sums, n, n + outputs);
    let mu = damping(ridge, (0..n).map(|i| sums[(i, i)]))?;
    let system = Mat::from_fn(n, n, |i, j| sums[(i.max(j), i.min(j))] + if i == j { mu } else { 0.0 });
    let factor = system.llt(Side::Lower).map_err(|e| broken(format!("it is not positive definite: {e:?}")))?;
    Ok((sums, factor))
}

/// Adds the lower triangle of x'x, and x'r, to sums `[inputs, inputs + outputs]`; `columns` `[inputs + outputs, rows]` has the columns of x, then those
/// of r. In tiles of so many columns that their products stay small beside the sums.
async fn add_products(
    engine: &dyn Compute,
    sums: &mut [f64],
    columns: &[f32],
    rows: usize,
    inputs: usize,
    task: &Task,
) -> Result<()> {
    let mut x = engine.matrix(inputs, rows, Dtype::F32)?;
    engine.write_rows(&mut x, 0, bytemuck::cast_slice(&columns[..inputs * rows]))?;
    let width = columns.len() / rows.max(1);
    for first in (0..width).step_by(TILE) {
        let end = (first + TILE).min(width);
        let tile = engine.upload(end - first, &columns[first * rows..end * rows])?;
        let products = engine.read(&product_rows(engine, task, &tile, &x, 0..end.min(inputs), None).await?).await?;
        for (column, products) in (first..end).zip(products.chunks_exact(inputs)) {
            if column < inputs {
                let sums = sums[column * width..][..=column].iter_mut();
                sums.zip(products).for_each(|(sum, product)| *sum += f64::from(*product));
            } else {
                let sums = sums.iter_mut().skip(column).step_by(width);
                sums.zip(products).for_each(|(sum, product)| *sum += f64::from(*product));
            }
        }
    }
    Ok(())
}

fn broken(found: String) -> Error {
    Error::NotFinite { what: "the repair's system of equations".into(), found }
}

/// mu for a ridge, from the diagonal of M'WM.
fn damping(ridge: f64, diagonal: impl ExactSizeIterator<Item = f64>) -> Result<f64> {
    let d = diagonal.len() as f64;
    let mu = ridge * diagonal.sum::<f64>() / d;
    if mu > 0.0 && mu.is_finite() { Ok(mu) } else { Err(broken(format!("its ridge is {mu}"))) }
}

fn finite(map: Vec<f32>) -> Result<Vec<f32>> {
    if map.iter().all(|value| value.is_finite()) { Ok(map) } else { Err(broken("its solution is not finite".into())) }
}

#[cfg(test)]
mod tests;
