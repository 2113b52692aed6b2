//! Chosen rows of a tensor.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use super::storage::bytes;
use crate::compute::tensor::{Tensor, check};
use crate::error::Result;

/// See [`crate::compute::Compute::gather`].
pub(super) fn gather(gpu: &Recorder, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
    if let Some(row) = rows.iter().find(|row| **row as usize >= x.rows) {
        check(false, || format!("row {row} of {}", x.rows))?;
    }
    let count = rows.len() * x.columns;
    let out = Tensor::on_device(rows.len(), x.columns, gpu.allocate(bytes(count))?);
    if count > 0 {
        let numbers = gpu.allocate(bytes(rows.len()))?;
        gpu.write(&numbers, 0, bytemuck::cast_slice(rows));
        let kernel = gpu.kernel(("gather", 0), 2, || include_str!("gather.wgsl").into());
        gpu.dispatch(
            &kernel,
            &[rows.len() as u32, x.columns as u32],
            &[x.device()?, &numbers, out.device()?],
            grid(count.div_ceil(GROUP)),
            8.0 * count as f64,
        )?;
    }
    Ok(out)
}
