//! Rows of one tensor into another: a copy that the device does without a kernel.

use super::recorder::Recorder;
use super::storage::bytes;
use crate::compute::tensor::{Tensor, check};
use crate::error::Result;

/// See [`crate::compute::Compute::copy_rows`].
pub(super) fn copy_rows(gpu: &Recorder, target: &mut Tensor, first: usize, source: &Tensor) -> Result<()> {
    let fits = target.columns == source.columns && first + source.rows <= target.rows;
    check(fits, || format!("{} rows into {} from {first} on", source.rows, target.rows))?;
    if source.count() == 0 {
        return Ok(());
    }
    gpu.copy(source.device()?, target.device()?, bytes(first * target.columns), bytes(source.count()))
}
