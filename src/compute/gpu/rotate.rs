//! Rotary position embedding.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::rotate`].
pub(super) fn rotate(
    gpu: &Recorder,
    x: &mut Tensor,
    head_size: usize,
    table: &Tensor,
    first: usize,
    length: usize,
) -> Result<()> {
    shapes::rotate(x, head_size, table, first, length)?;
    let (heads, half) = (x.columns / head_size, table.columns / 2);
    let pairs = x.rows * heads * half;
    if pairs == 0 {
        return Ok(());
    }
    let kernel = gpu.kernel(("rotate", 0), 1, || include_str!("rotate.wgsl").into());
    gpu.dispatch(
        &kernel,
        &[x.rows, heads, head_size, half, first, length].map(|value| value as u32),
        &[table.device()?, x.device()?],
        grid(pairs.div_ceil(GROUP)),
        16.0 * pairs as f64,
    )
}
