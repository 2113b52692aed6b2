//! How fast this machine solves.

use faer::linalg::solvers::Solve;
use web_time::Instant;

use super::factored;
use crate::error::Result;

/// Channels of the system that is timed: some milliseconds.
const CHANNELS: usize = 256;

/// Seconds of a floating-point operation in a solution, measured on a small system of equations.
///
/// # Errors
/// None that this system can lead to; see [`super::Sums::solve`].
pub fn seconds_per_flop() -> Result<f64> {
    let n = CHANNELS;
    // The identity, with as many right sides.
    let sums: Vec<f64> = (0..2 * n * n).map(|i| f64::from(u8::from(i / (2 * n) == i % n))).collect();
    let flops = (n * n) as f64 * (n as f64 / 3.0 + 2.0 * n as f64);
    let mut best = f64::INFINITY;
    for _ in 0..2 {
        let begun = Instant::now();
        let (sums, factor) = factored(&sums, n, n, 1.0)?;
        let solution = factor.solve(sums.subcols(n, n));
        // Taken from the optimiser.
        std::hint::black_box(solution[(n - 1, n - 1)]);
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best / flops)
}
