//! `x[..m] += factor y`.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::add`].
pub(super) fn add(gpu: &Recorder, x: &mut Tensor, factor: f32, y: &Tensor) -> Result<()> {
    shapes::first_rows(x, y)?;
    // What fills up the last four of y is 0.
    let fours = y.count().div_ceil(4);
    if fours == 0 {
        return Ok(());
    }
    let kernel = gpu.kernel(("add", 0), 1, || include_str!("add.wgsl").into());
    gpu.dispatch(
        &kernel,
        &[fours as u32, factor.to_bits()],
        &[y.device()?, x.device()?],
        grid(fours.div_ceil(GROUP)),
        8.0 * y.count() as f64,
    )
}
