//! The map and the sums, residual by residual.

use faer::Mat;

use super::normal_equations::*;
use crate::compute::cpu::Cpu;
use crate::compute::{Compute, Tensor};
use crate::error::Result;
use crate::task::Task;

/// Rows of one window, the first a sink, for a map whose output is added to what it reads.
fn add(sums: &mut NormalEquations, [y, m, t]: [&[f32]; 3]) -> Result<()> {
    let engine = Cpu::default();
    let [y, m, t] = [y, m, t].map(|values| engine.upload(values.len() / sums.outputs, values).unwrap());
    let mut stream = y;
    engine.add(&mut stream, 1.0, &m).unwrap();
    let rows = Samples { features: &[Features::all(&m)], current: &stream, target: &t };
    pollster::block_on(sums.add(&engine, rows, usize::MAX, usize::MAX, &Task::silent()))
}

fn square(d: usize) -> NormalEquations {
    NormalEquations::full(&Cpu::default(), d, d).unwrap()
}

fn map(sums: &NormalEquations, ridge: f64) -> Result<Vec<f32>> {
    pollster::block_on(sums.map(&Cpu::default(), ridge))
}

/// Normal equations of a projection: x `[rows, inputs]`, s and t `[rows, outputs]`, windows of
/// `window` rows.
pub(super) fn projection(
    [x, s, t]: [&[f32]; 3],
    [rows, inputs, outputs]: [usize; 3],
    window: usize,
    most: usize,
) -> NormalEquations {
    let engine = Cpu::default();
    let [x, s, t] = [x, s, t].map(|values| engine.upload(rows, values).unwrap());
    let mut sums = NormalEquations::full(&engine, inputs, outputs).unwrap();
    // In two parts, side by side.
    let half = inputs / 2;
    let [first, second] = [0..half, half..inputs].map(numbers);
    let parts = [&first, &second].map(|channels| Features { values: &x, channels: Some(channels) });
    let whole = [Features::all(&x)];
    let features = if half == 0 { &whole[..] } else { &parts[..] };
    let rows = Samples { features, current: &s, target: &t };
    pollster::block_on(sums.add(&engine, rows, window, most, &Task::silent())).unwrap();
    sums
}

fn solve(sums: &NormalEquations, ridge: f64) -> Result<Vec<f32>> {
    let engine = Cpu::default();
    pollster::block_on(async { engine.read(&sums.solve(&engine, ridge, &Task::silent()).await?).await })
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
        let mut sums = square(d);
        let half = rows / 2 * d;
        if half > 0 {
            add(&mut sums, [&y[..half], &m[..half], &t[..half]]).unwrap();
        }
        add(&mut sums, [&y[half..], &m[half..], &t[half..]]).unwrap();
        assert_eq!(sums.rows(), rows);
        let map = map(&sums, 0.3).unwrap();
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
                let residual = |i: usize| f64::from(t[i * d + b]) - f64::from(y[i * d + b]) - f64::from(m[i * d + b]);
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
    let mut sums = NormalEquations::diagonal(3);
    add(&mut sums, [&y, &m, &t]).unwrap();
    let map = map(&sums, 0.3).unwrap();
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

/// What a projection gains is the least squares of what it reads: (x'Wx + mu I) X = x'W(t - s), for
/// other sizes than square, over a limit of rows.
#[test]
fn a_projection_is_fitted_by_its_normal_equations() {
    let sizes =
        [(1, 1, 1), (5, 7, 2), (ROWS_AT_ONCE + 3, 13, 5), (67, BLOCK, 3), (31, BLOCK + 1, 2), (97, 2 * BLOCK + 7, 4)];
    for (rows, inputs, outputs) in sizes {
        let (x, s, t) = (values(rows * inputs, 6), values(rows * outputs, 7), values(rows * outputs, 8));
        let window = 3;
        let most = rows.min(ROWS_AT_ONCE + 2);
        let sums = projection([&x, &s, &t], [rows, inputs, outputs], window, most);
        assert_eq!(sums.rows(), most);
        let change = solve(&sums, 0.3).unwrap();
        let weight = |i: usize| {
            let norm: f64 = t[i * outputs..(i + 1) * outputs].iter().map(|v| f64::from(*v).powi(2)).sum();
            if i.is_multiple_of(window) { 100.0 / norm } else { 1.0 / norm }
        };
        let read = |i: usize, a: usize| f64::from(x[i * inputs + a]);
        let gram = |a: usize, b: usize| (0..most).map(|i| weight(i) * read(i, a) * read(i, b)).sum::<f64>();
        let mu = 0.3 * (0..inputs).map(|i| gram(i, i)).sum::<f64>() / inputs as f64;
        for a in (0..inputs).step_by(inputs / 13 + 1) {
            for b in 0..outputs {
                let left = (0..inputs).map(|c| gram(a, c) * f64::from(change[c * outputs + b])).sum::<f64>();
                let residual = |i: usize| f64::from(t[i * outputs + b]) - f64::from(s[i * outputs + b]);
                let right: f64 = (0..most).map(|i| weight(i) * read(i, a) * residual(i)).sum();
                let left = left + mu * f64::from(change[a * outputs + b]);
                assert!((left - right).abs() < 3e-6 * (gram(a, a) + mu), "{rows} rows, [{a}, {b}]: {left} {right}");
            }
        }
    }
}

/// What a change gains is the difference of the squared errors without and with it, row by row.
#[test]
fn a_gain_is_by_how_much_the_error_falls() {
    let engine = Cpu::default();
    let gain = |sums: &NormalEquations, change: &Tensor| {
        pollster::block_on(sums.error_reduction(&engine, change, &Task::silent()))
    };
    for (rows, inputs, outputs) in [(1, 1, 1), (5, 7, 2), (ROWS_AT_ONCE + 3, 13, 5), (29, 2 * BLOCK + 7, 4)] {
        let (x, s, t) = (values(rows * inputs, 6), values(rows * outputs, 7), values(rows * outputs, 8));
        let sums = projection([&x, &s, &t], [rows, inputs, outputs], usize::MAX, usize::MAX);
        let change: Vec<f32> = values(inputs * outputs, 9).into_iter().map(|v| v / 10.0).collect();
        let error = |by: f64| -> f64 {
            let row = |i: usize| {
                let target = &t[i * outputs..(i + 1) * outputs];
                let norm: f64 = target.iter().map(|v| f64::from(*v).powi(2)).sum();
                let off = |o: usize| {
                    let reached: f64 =
                        (0..inputs).map(|a| f64::from(x[i * inputs + a]) * f64::from(change[a * outputs + o])).sum();
                    f64::from(target[o]) - f64::from(s[i * outputs + o]) - by * reached
                };
                (0..outputs).map(|o| off(o).powi(2)).sum::<f64>() * if i == 0 { 100.0 } else { 1.0 } / norm
            };
            (0..rows).map(row).sum()
        };
        let found = gain(&sums, &engine.upload(inputs, &change).unwrap()).unwrap();
        let expected = error(0.0) - error(1.0);
        assert!((found - expected).abs() < 1e-5 * (error(0.0) + error(1.0)), "{found} and {expected}");
    }
    let three = engine.zeros(3, 1).unwrap();
    assert!(gain(&NormalEquations::diagonal(3), &three).is_err());
    assert!(gain(&square(2), &three).is_err());
    assert!(solve(&NormalEquations::diagonal(3), 0.3).is_err());
}

#[test]
fn a_target_that_is_already_met_asks_for_no_change() {
    let (y, m) = (values(60, 4), values(60, 5));
    let t: Vec<f32> = y.iter().zip(&m).map(|(a, b)| a + b).collect();
    let mut sums = square(6);
    add(&mut sums, [&y, &m, &t]).unwrap();
    let found = map(&sums, 0.3).unwrap();
    for (i, value) in found.iter().enumerate() {
        assert!((value - f32::from(u8::from(i / 6 == i % 6))).abs() < 1e-6);
    }
    assert!(map(&square(6), 0.3).is_err() && solve(&square(6), 0.3).is_err(), "nothing to fit");
    assert!(add(&mut sums, [&y, &m, &t[..6]]).is_err());
    add(&mut sums, [&y, &m, &[0.0; 60]]).unwrap();
    assert!(map(&sums, 0.3).is_err() && solve(&sums, 0.3).is_err(), "a target of norm 0");
}

/// One direction ten thousand times as strong as the rest, and channels that are copies of others:
/// what a sink and dead neurons make of the sums. What is solved in `f32` serves the rows as well
/// as what is solved in `f64`.
#[test]
fn strong_directions_and_copies_are_solved_for() {
    let (rows, inputs, outputs) = (500, BLOCK + 44, 6);
    let mut x = values(rows * inputs, 10);
    for row in x.chunks_exact_mut(inputs) {
        row[3] *= 1.0e4;
        (row[7], row[8], row[290]) = (row[3], 0.0, row[5]);
    }
    let (s, t) = (values(rows * outputs, 11), values(rows * outputs, 12));
    let sums = projection([&x, &s, &t], [rows, inputs, outputs], usize::MAX, usize::MAX);
    for ridge in [0.3, 1.0e-3] {
        let engine = Cpu::default();
        let found = pollster::block_on(async {
            let change = sums.solve(&engine, ridge, &Task::silent()).await.unwrap();
            sums.error_reduction(&engine, &change, &Task::silent()).await.unwrap()
        });
        let weight = |i: usize| {
            let norm = t[i * outputs..(i + 1) * outputs].iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            if i == 0 { 10.0 / norm } else { 1.0 / norm }
        };
        let read = Mat::from_fn(rows, inputs, |i, a| weight(i) * f64::from(x[i * inputs + a]));
        let wanted = Mat::from_fn(rows, outputs, |i, o| {
            weight(i) * (f64::from(t[i * outputs + o]) - f64::from(s[i * outputs + o]))
        });
        let change = solved(read.transpose() * &read, &(read.transpose() * &wanted), ridge).unwrap();
        let best = wanted.squared_norm_l2() - (&wanted - &read * change).squared_norm_l2();
        assert!((found - best).abs() < 1e-4 * best, "ridge {ridge}: {found} and {best}");
    }
}
