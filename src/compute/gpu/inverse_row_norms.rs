//! Factors over the norms of rows.

use super::kernel::grid;
use super::lanes::lanes;
use super::recorder::Recorder;
use super::storage::bytes;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::inverse_row_norms`].
pub(super) fn inverse_row_norms(gpu: &Recorder, x: &Tensor, factors: &[f32]) -> Result<Tensor> {
    shapes::per_row(x, factors.len())?;
    let out = Tensor::on_device(x.rows, 1, gpu.allocate(bytes(x.rows))?);
    if x.count() > 0 {
        let values = gpu.allocate(bytes(x.rows))?;
        gpu.write(&values, 0, bytemuck::cast_slice(factors));
        let (declarations, chunks) = lanes(x.columns);
        let kernel = gpu.kernel(("inverse_row_norms", x.columns / chunks), 2, || {
            [declarations, include_str!("inverse_row_norms.wgsl")].concat()
        });
        gpu.dispatch(
            &kernel,
            &[x.rows as u32, chunks as u32],
            &[x.device()?, &values, out.device()?],
            grid(x.rows),
            8.0 * x.count() as f64,
        )?;
    }
    Ok(out)
}
