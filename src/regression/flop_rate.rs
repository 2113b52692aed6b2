//! How fast this machine solves.

use faer::Mat;
use web_time::Instant;

use super::normal_equations::solved;
use crate::error::Result;

/// Channels of the system that is timed: some milliseconds.
const CHANNELS: usize = 256;

/// Seconds of a floating-point operation in a solution on the CPU in `f64`, measured on a small
/// system of equations.
///
/// # Errors
/// None that this system can lead to; see [`super::NormalEquations::map`].
pub fn seconds_per_flop() -> Result<f64> {
    let n = CHANNELS;
    let flops = (n * n) as f64 * (n as f64 / 3.0 + 2.0 * n as f64);
    let identity = Mat::<f64>::identity(n, n);
    let mut best = f64::INFINITY;
    for _ in 0..2 {
        let begun = Instant::now();
        let solution = solved(identity.clone(), &identity, 1.0)?;
        // Taken from the optimiser.
        std::hint::black_box(solution[(n - 1, n - 1)]);
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best / flops)
}
