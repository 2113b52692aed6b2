//! Normalisation of rows by mean and standard deviation.

use super::kernel::grid;
use super::lanes::lanes;
use super::recorder::Recorder;
use super::storage::bytes;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::layer_norm`].
pub(super) fn layer_norm(gpu: &Recorder, x: &Tensor, [gain, bias]: [&Tensor; 2], epsilon: f32) -> Result<Tensor> {
    shapes::per_column(x, gain)?;
    shapes::per_column(x, bias)?;
    let out = Tensor::on_device(x.rows, x.columns, gpu.allocate(bytes(x.count()))?);
    if x.count() > 0 {
        let (declarations, chunks) = lanes(x.columns);
        let kernel = gpu
            .kernel(("layer_norm", x.columns / chunks), 3, || [declarations, include_str!("layer_norm.wgsl")].concat());
        gpu.dispatch(
            &kernel,
            &[x.rows as u32, chunks as u32, (x.columns as f32).to_bits(), epsilon.to_bits()],
            &[x.device()?, gain.device()?, bias.device()?, out.device()?],
            grid(x.rows),
            24.0 * x.count() as f64,
        )?;
    }
    Ok(out)
}
