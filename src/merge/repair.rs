//! The linear repair of a gap: a matrix T, folded into the MLP's down projection of the surviving block, that brings its output closest to
//! what the original model has behind the gap (ReplaceMe, arXiv 2505.02819).
//!
//! With y the post-attention stream, M the MLP's output on the current model, t the original model's stream behind the gap and
//! W = diag(w^2): T = I + (M'WM + mu I)^-1 M'W(t - y - M), mu = ridge trace(M'WM) / D. Behind a norm, M is that norm's output and T a diagonal:
//! the same with the diagonals of M'WM and M'W(t - y - M) alone. Everything is `f64`. This module must not know how y, M and t come about.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};

use crate::error::{Error, Result};

/// Position 0 of a sequence is an attention sink, far larger than the rest; left to its 1/|t| it would not count, and the sink breaks.
const SINK_WEIGHT: f64 = 10.0;

/// The sums that T is solved from, over all rows so far.
pub struct Accumulator {
    hidden: usize,
    diagonal: bool,
    rows: usize,
    /// M'WM `[hidden, hidden]`, or its diagonal.
    gram: Vec<f64>,
    /// M'W(t - y - M) `[hidden, hidden]`, or its diagonal.
    cross: Vec<f64>,
}

impl Accumulator {
    /// Sums over nothing, for a stream of `hidden` channels; T is a matrix or a diagonal.
    pub fn new(hidden: usize, diagonal: bool) -> Self {
        let size = if diagonal { hidden } else { hidden * hidden };
        Self { hidden, diagonal, rows: 0, gram: vec![0.0; size], cross: vec![0.0; size] }
    }

    /// Number of rows that were added.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows: `stream` y, `mlp` M and `target` t, each `[rows, hidden]`; `sink(i)` says whether row i is position 0 of its sequence.
    ///
    /// A row's weight w is 1/|t|, ten times that for a sink; it enters squared.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when the three differ in size, [`Error::NotFinite`] when a target has norm 0 or is not a number.
    pub fn add(&mut self, stream: &[f32], mlp: &[f32], target: &[f32], sink: impl Fn(usize) -> bool) -> Result<()> {
        let d = self.hidden;
        if stream.len() != mlp.len() || mlp.len() != target.len() || !mlp.len().is_multiple_of(d.max(1)) {
            return Err(Error::argument("rows", "stream, MLP output and target of a repair differ in size"));
        }
        let rows = mlp.len() / d.max(1);
        let (mut x, mut r) = (Vec::with_capacity(mlp.len()), Vec::with_capacity(mlp.len()));
        for (i, ((y, m), t)) in stream.chunks_exact(d).zip(mlp.chunks_exact(d)).zip(target.chunks_exact(d)).enumerate()
        {
            let norm = t.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            if !(norm > 0.0 && norm.is_finite()) {
                let what = "a hidden state that a repair aims at".into();
                return Err(Error::NotFinite { what, found: format!("its norm is {norm}") });
            }
            let weight = if sink(i) { SINK_WEIGHT / norm } else { 1.0 / norm };
            x.extend(m.iter().map(|m| f64::from(*m) * weight));
            let residual = t.iter().zip(y).zip(m).map(|((t, y), m)| f64::from(*t) - f64::from(*y) - f64::from(*m));
            r.extend(residual.map(|value| value * weight));
        }
        self.rows += rows;
        if self.diagonal {
            for (x, r) in x.chunks_exact(d).zip(r.chunks_exact(d)) {
                self.gram.iter_mut().zip(x).for_each(|(sum, x)| *sum += x * x);
                self.cross.iter_mut().zip(x.iter().zip(r)).for_each(|(sum, (x, r))| *sum += x * r);
            }
            return Ok(());
        }
        let (x, r) = (MatRef::from_row_major_slice(&x, rows, d), MatRef::from_row_major_slice(&r, rows, d));
        for (sum, right) in [(&mut self.gram, x), (&mut self.cross, r)] {
            let sum = MatMut::from_row_major_slice_mut(sum, d, d);
            matmul(sum, Accum::Add, x.transpose(), right, 1.0, Par::Seq);
        }
        Ok(())
    }

    /// T `[hidden, hidden]`, row-major, or its diagonal `[hidden]`, rounded to `f32`: what a recipe keeps.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when the MLP's output is all zero, or the sums are not numbers.
    pub fn solve(&self, ridge: f64) -> Result<Vec<f32>> {
        let d = self.hidden;
        let trace: f64 = self.gram.iter().step_by(if self.diagonal { 1 } else { d + 1 }).sum();
        let mu = ridge * trace / d as f64;
        if !(mu > 0.0 && mu.is_finite()) {
            return Err(broken(format!("its ridge is {mu}")));
        }
        if self.diagonal {
            let map: Vec<f32> = self.gram.iter().zip(&self.cross).map(|(m, r)| (1.0 + r / (m + mu)) as f32).collect();
            return finite(map);
        }
        let gram = MatRef::from_row_major_slice(&self.gram, d, d);
        let system = Mat::from_fn(d, d, |i, j| gram[(i, j)] + if i == j { mu } else { 0.0 });
        let factor = system.llt(Side::Lower).map_err(|e| broken(format!("it is not positive definite: {e:?}")))?;
        let solution = factor.solve(MatRef::from_row_major_slice(&self.cross, d, d));
        let map: Vec<f32> = (0..d * d).map(|i| (solution[(i / d, i % d)] + f64::from(i / d == i % d)) as f32).collect();
        finite(map)
    }
}

fn broken(found: String) -> Error {
    Error::NotFinite { what: "the repair's system of equations".into(), found }
}

fn finite(map: Vec<f32>) -> Result<Vec<f32>> {
    if map.iter().all(|value| value.is_finite()) { Ok(map) } else { Err(broken("its solution is not finite".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reproducible values in about [-1, 1].
    fn values(n: usize, seed: u64) -> Vec<f32> {
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
            let mut sums = Accumulator::new(d, false);
            let half = rows / 2 * d;
            sums.add(&y[..half], &m[..half], &t[..half], |i| i == 0).unwrap();
            sums.add(&y[half..], &m[half..], &t[half..], |_| false).unwrap();
            assert_eq!(sums.rows(), rows);
            let map = sums.solve(0.3).unwrap();
            let weight = |i: usize| {
                let norm: f64 = t[i * d..(i + 1) * d].iter().map(|v| f64::from(*v).powi(2)).sum();
                if i == 0 && half > 0 { 100.0 / norm } else { 1.0 / norm }
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

    /// Channel by channel, the minimum of sum w^2 (t - y - T M)^2 + mu (T - 1)^2, found by bisection of its slope.
    #[test]
    fn a_diagonal_is_the_best_factor_of_each_channel() {
        for (rows, d) in [(1, 1), (9, 4), (130, 7)] {
            let (y, m, t) = (values(rows * d, 1), values(rows * d, 2), values(rows * d, 3));
            let mut sums = Accumulator::new(d, true);
            let half = rows / 2 * d;
            sums.add(&y[..half], &m[..half], &t[..half], |i| i == 0).unwrap();
            sums.add(&y[half..], &m[half..], &t[half..], |_| false).unwrap();
            let weight = |i: usize| {
                let norm: f64 = t[i * d..(i + 1) * d].iter().map(|v| f64::from(*v).powi(2)).sum();
                if i == 0 && half > 0 { 100.0 / norm } else { 1.0 / norm }
            };
            let at = |values: &[f32], i: usize, c: usize| f64::from(values[i * d + c]);
            let squares = |c: usize| (0..rows).map(|i| weight(i) * at(&m, i, c).powi(2)).sum::<f64>();
            let mu = 0.3 * (0..d).map(squares).sum::<f64>() / d as f64;
            for (c, found) in sums.solve(0.3).unwrap().into_iter().enumerate() {
                let slope = |factor: f64| {
                    let off = |i: usize| at(&t, i, c) - at(&y, i, c) - factor * at(&m, i, c);
                    mu * (factor - 1.0) - (0..rows).map(|i| weight(i) * at(&m, i, c) * off(i)).sum::<f64>()
                };
                let (mut low, mut high) = (-1.0e3, 1.0e3);
                for _ in 0..80 {
                    let middle = (low + high) / 2.0;
                    if slope(middle) > 0.0 { high = middle } else { low = middle }
                }
                assert!((f64::from(found) - low).abs() < 1e-5 * (1.0 + low.abs()), "{rows} x {d}, {c}: {found} {low}");
            }
        }
    }

    #[test]
    fn a_target_that_is_already_met_asks_for_no_change() {
        let (y, m) = (values(60, 4), values(60, 5));
        let t: Vec<f32> = y.iter().zip(&m).map(|(a, b)| a + b).collect();
        let mut sums = Accumulator::new(6, false);
        sums.add(&y, &m, &t, |_| false).unwrap();
        let map = sums.solve(0.3).unwrap();
        for (i, value) in map.iter().enumerate() {
            assert!((value - f32::from(u8::from(i / 6 == i % 6))).abs() < 1e-6);
        }
        assert!(Accumulator::new(6, false).solve(0.3).is_err(), "nothing to fit");
        assert!(sums.add(&y, &m, &[0.0; 60], |_| false).is_err(), "a target of norm 0");
        assert!(sums.add(&y, &m, &t[..6], |_| false).is_err());
    }
}
