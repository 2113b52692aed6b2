//! Rows become columns, each times its weight.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use super::storage::bytes;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// Rows and columns that one invocation moves.
const SQUARE: usize = 4;

/// See [`crate::compute::Compute::transpose`].
pub(super) fn transpose(gpu: &Recorder, x: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
    weights.map_or(Ok(()), |weights| shapes::per_row(x, weights.count()))?;
    let out = Tensor::on_device(x.columns, x.rows, gpu.allocate(bytes(x.count()))?);
    if x.count() > 0 {
        let kernel = gpu.kernel(("transpose", 0), 2, || include_str!("transpose.wgsl").into());
        let weight_values = match weights {
            Some(weights) => weights.device()?,
            None => x.device()?, // not read
        };
        let squares = x.rows.div_ceil(SQUARE) * x.columns.div_ceil(SQUARE);
        gpu.dispatch(
            &kernel,
            &[x.rows as u32, x.columns as u32, u32::from(weights.is_some())],
            &[x.device()?, weight_values, out.device()?],
            grid(squares.div_ceil(GROUP)),
            8.0 * x.count() as f64,
        )?;
    }
    Ok(out)
}
