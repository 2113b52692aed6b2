//! Rotary position embedding.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use crate::compute::{Pairs, RotatedHeads, Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::rotate`].
pub(super) fn rotate(
    gpu: &Recorder,
    x: &mut Tensor,
    heads: RotatedHeads,
    table: &Tensor,
    first: usize,
    length: usize,
) -> Result<()> {
    shapes::rotate(x, heads.size, table, first, length)?;
    let (count, half) = (x.columns / heads.size, table.columns / 2);
    let (step, apart) = match heads.pairs {
        Pairs::Halves => (1, half),
        Pairs::Adjacent => (2, 1),
    };
    let pairs = x.rows * count * half;
    if pairs == 0 {
        return Ok(());
    }
    let kernel = gpu.kernel(("rotate", 0), 1, || include_str!("rotate.wgsl").into());
    gpu.dispatch(
        &kernel,
        &[x.rows, count, heads.size, half, first, length, step, apart].map(|value| value as u32),
        &[table.device()?, x.device()?],
        grid(pairs.div_ceil(GROUP)),
        16.0 * pairs as f64,
    )
}
