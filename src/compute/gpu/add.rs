//! `x += y`.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::add`].
pub(super) fn add(gpu: &Recorder, x: &mut Tensor, y: &Tensor) -> Result<()> {
    shapes::same(x, y)?;
    let fours = x.count().div_ceil(4);
    if fours == 0 {
        return Ok(());
    }
    let kernel = gpu.kernel(("add", 0), 1, || include_str!("add.wgsl").into());
    gpu.dispatch(
        &kernel,
        &[fours as u32],
        &[y.device()?, x.device()?],
        grid(fours.div_ceil(GROUP)),
        8.0 * x.count() as f64,
    )
}
