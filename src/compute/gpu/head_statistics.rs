//! Running statistics of tiles of logits.

use super::kernel::grid;
use super::recorder::Recorder;
use super::storage::bytes;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::head_statistics`].
pub(super) fn head_statistics(
    gpu: &Recorder,
    logits: &Tensor,
    second: Option<&Tensor>,
    first: usize,
    targets: &[u32],
    state: &mut Tensor,
) -> Result<()> {
    shapes::head_statistics(logits, second, targets, state)?;
    if logits.count() == 0 {
        return Ok(());
    }
    let numbers = gpu.allocate(bytes(targets.len()))?;
    gpu.write(&numbers, 0, bytemuck::cast_slice(targets));
    let kernel = gpu.kernel(("head_statistics", 0), 3, || include_str!("head_statistics.wgsl").into());
    gpu.dispatch(
        &kernel,
        &[logits.rows as u32, logits.columns as u32, first as u32, u32::from(second.is_some())],
        &[logits.device()?, second.unwrap_or(logits).device()?, &numbers, state.device()?],
        grid(logits.rows),
        if second.is_some() { 64.0 } else { 32.0 } * logits.count() as f64,
    )
}
