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

mod saliency;

use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, MatRef, Side};

use crate::compute::Compute;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::task::Task;
use crate::transformer::product_rows;

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
mod tests {
    use super::*;
    use crate::compute::cpu::Cpu;

    /// Rows of one window: the first is a sink.
    fn add(sums: &mut Sums, [y, m, t]: [&[f32]; 3]) -> Result<()> {
        let rows = Rows { read: m, stream: y, added: Some(m), target: t };
        pollster::block_on(sums.add(&Cpu::default(), rows, usize::MAX, usize::MAX, &Task::silent()))
    }

    /// Reproducible values in about [-1, 1].
    pub(super) fn values(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed * 7919 + 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// The normal equations, residual by residual: (M'WM + mu I)(T - I) = M'W(t - y - M).
    #[test]
    fn the_map_solves_its_normal_equations() {
        for (rows, d) in [(1, 1), (7, 3), (64, 17), (200, 31)] {
            let (y, m, t) = (values(rows * d, 1), values(rows * d, 2), values(rows * d, 3));
            let mut sums = Sums::whole(d, d).unwrap();
            let half = rows / 2 * d;
            add(&mut sums, [&y[..half], &m[..half], &t[..half]]).unwrap();
            add(&mut sums, [&y[half..], &m[half..], &t[half..]]).unwrap();
            assert_eq!(sums.rows(), rows);
            let map = sums.map(0.3).unwrap();
            let weight = |i: usize| {
                let norm: f64 = t[i * d..(i + 1) * d].iter().map(|v| f64::from(*v).powi(2)).sum();
                if i == 0 || i == half / d { 100.0 / norm } else { 1.0 / norm }
            };
            let gram = |a: usize, b: usize| -> f64 {
                (0..rows).map(|i| weight(i) * f64::from(m[i * d + a]) * f64::from(m[i * d + b])).sum()
            };
            let mu = 0.3 * (0..d).map(|i| gram(i, i)).sum::<f64>() / d as f64;
            for a in 0..d {
                for b in 0..d {
                    let delta = |c: usize| f64::from(map[c * d + b]) - f64::from(c == b);
                    let left: f64 = (0..d).map(|c| gram(a, c) * delta(c)).sum::<f64>() + mu * delta(a);
                    let residual =
                        |i: usize| f64::from(t[i * d + b]) - f64::from(y[i * d + b]) - f64::from(m[i * d + b]);
                    let right: f64 = (0..rows).map(|i| weight(i) * f64::from(m[i * d + a]) * residual(i)).sum();
                    let scale = gram(a, a) + mu;
                    assert!((left - right).abs() < 1e-6 * scale, "rows {rows}, D {d}, [{a}, {b}]: {left} {right}");
                }
            }
        }
    }

    #[test]
    fn the_diagonal_is_the_best_of_each_channel_alone() {
        let (y, m, t) = (values(40 * 3, 1), values(40 * 3, 2), values(40 * 3, 3));
        let mut sums = Sums::diagonal(3);
        add(&mut sums, [&y, &m, &t]).unwrap();
        let map = sums.map(0.3).unwrap();
        let weight = |i: usize| {
            let sink = if i == 0 { 100.0 } else { 1.0 };
            sink / t[i * 3..(i + 1) * 3].iter().map(|v| f64::from(*v).powi(2)).sum::<f64>()
        };
        let gram = |c: usize| (0..40).map(|i| weight(i) * f64::from(m[i * 3 + c]).powi(2)).sum::<f64>();
        let mu = 0.3 * (gram(0) + gram(1) + gram(2)) / 3.0;
        for (c, factor) in map.into_iter().enumerate() {
            // The derivative of the weighted error of T M, and of mu (T - 1)^2.
            let slope = |i: usize| {
                let at = i * 3 + c;
                let error = f64::from(t[at]) - f64::from(y[at]) - f64::from(factor) * f64::from(m[at]);
                weight(i) * f64::from(m[at]) * error
            };
            let left: f64 = (0..40).map(slope).sum();
            assert!((left - mu * (f64::from(factor) - 1.0)).abs() < 1e-5 * gram(c), "channel {c}");
        }
    }

    /// What a projection gains is the least squares of what it reads: (x'Wx + mu I) X = x'W(t - s), for other sizes than square, over a limit of rows.
    #[test]
    fn a_projection_is_fitted_by_its_normal_equations() {
        for (rows, inputs, outputs) in [(1, 1, 1), (5, 7, 2), (ROWS_AT_ONCE + 3, 13, 5)] {
            let (x, s, t) = (values(rows * inputs, 6), values(rows * outputs, 7), values(rows * outputs, 8));
            let mut sums = Sums::whole(inputs, outputs).unwrap();
            let read = Rows { read: &x, stream: &s, added: None, target: &t };
            let window = 3;
            let most = rows.min(ROWS_AT_ONCE + 2);
            pollster::block_on(sums.add(&Cpu::default(), read, window, most, &Task::silent())).unwrap();
            assert_eq!(sums.rows(), most);
            let change = sums.solve(0.3).unwrap();
            let weight = |i: usize| {
                let norm: f64 = t[i * outputs..(i + 1) * outputs].iter().map(|v| f64::from(*v).powi(2)).sum();
                if i.is_multiple_of(window) { 100.0 / norm } else { 1.0 / norm }
            };
            let read = |i: usize, a: usize| f64::from(x[i * inputs + a]);
            let gram = |a: usize, b: usize| (0..most).map(|i| weight(i) * read(i, a) * read(i, b)).sum::<f64>();
            let mu = 0.3 * (0..inputs).map(|i| gram(i, i)).sum::<f64>() / inputs as f64;
            for a in 0..inputs {
                for b in 0..outputs {
                    let left: f64 = (0..inputs).map(|c| gram(a, c) * change[c * outputs + b]).sum::<f64>();
                    let residual = |i: usize| f64::from(t[i * outputs + b]) - f64::from(s[i * outputs + b]);
                    let right: f64 = (0..most).map(|i| weight(i) * read(i, a) * residual(i)).sum();
                    let left = left + mu * change[a * outputs + b];
                    assert!((left - right).abs() < 1e-6 * (gram(a, a) + mu), "{rows} rows, [{a}, {b}]: {left} {right}");
                }
            }
        }
    }

    /// What a change gains is the difference of the squared errors without and with it, row by row.
    #[test]
    fn a_gain_is_by_how_much_the_error_falls() {
        for (rows, inputs, outputs) in [(1, 1, 1), (5, 7, 2), (ROWS_AT_ONCE + 3, 13, 5)] {
            let (x, s, t) = (values(rows * inputs, 6), values(rows * outputs, 7), values(rows * outputs, 8));
            let mut sums = Sums::whole(inputs, outputs).unwrap();
            let read = Rows { read: &x, stream: &s, added: None, target: &t };
            pollster::block_on(sums.add(&Cpu::default(), read, usize::MAX, usize::MAX, &Task::silent())).unwrap();
            let change: Vec<f64> = values(inputs * outputs, 9).into_iter().map(|v| f64::from(v) / 10.0).collect();
            let error = |by: f64| -> f64 {
                let row = |i: usize| {
                    let target = &t[i * outputs..(i + 1) * outputs];
                    let norm: f64 = target.iter().map(|v| f64::from(*v).powi(2)).sum();
                    let off = |o: usize| {
                        let reached: f64 =
                            (0..inputs).map(|a| f64::from(x[i * inputs + a]) * change[a * outputs + o]).sum();
                        f64::from(target[o]) - f64::from(s[i * outputs + o]) - by * reached
                    };
                    (0..outputs).map(|o| off(o).powi(2)).sum::<f64>() * if i == 0 { 100.0 } else { 1.0 } / norm
                };
                (0..rows).map(row).sum()
            };
            let (found, expected) = (sums.gain(&change).unwrap(), error(0.0) - error(1.0));
            assert!((found - expected).abs() < 1e-5 * (error(0.0) + error(1.0)), "{found} and {expected}");
        }
        assert!(Sums::diagonal(3).gain(&[0.0; 3]).is_err());
        assert!(Sums::whole(2, 2).unwrap().gain(&[0.0; 3]).is_err());
    }

    #[test]
    fn a_target_that_is_already_met_asks_for_no_change() {
        let (y, m) = (values(60, 4), values(60, 5));
        let t: Vec<f32> = y.iter().zip(&m).map(|(a, b)| a + b).collect();
        let mut sums = Sums::whole(6, 6).unwrap();
        add(&mut sums, [&y, &m, &t]).unwrap();
        let map = sums.map(0.3).unwrap();
        for (i, value) in map.iter().enumerate() {
            assert!((value - f32::from(u8::from(i / 6 == i % 6))).abs() < 1e-6);
        }
        assert!(Sums::whole(6, 6).unwrap().solve(0.3).is_err(), "nothing to fit");
        assert!(add(&mut sums, [&y, &m, &[0.0; 60]]).is_err(), "a target of norm 0");
        assert!(add(&mut sums, [&y, &m, &t[..6]]).is_err());
    }
}
