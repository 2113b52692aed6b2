//! Root-mean-square normalisation of rows.

use super::kernel::grid;
use super::lanes::lanes;
use super::recorder::Recorder;
use super::storage::bytes;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::rms_norm`].
pub(super) fn rms_norm(gpu: &Recorder, x: &Tensor, gain: &Tensor, epsilon: f32) -> Result<Tensor> {
    shapes::per_column(x, gain)?;
    let out = Tensor::on_device(x.rows, x.columns, gpu.allocate(bytes(x.count()))?);
    if x.count() > 0 {
        let (declarations, chunks) = lanes(x.columns);
        let kernel =
            gpu.kernel(("rms_norm", x.columns / chunks), 2, || [declarations, include_str!("rms_norm.wgsl")].concat());
        gpu.dispatch(
            &kernel,
            &[x.rows as u32, chunks as u32, (x.columns as f32).to_bits(), epsilon.to_bits()],
            &[x.device()?, gain.device()?, out.device()?],
            grid(x.rows),
            16.0 * x.count() as f64,
        )?;
    }
    Ok(out)
}
