//! `gate = activation(gate) * up`.

use super::activate::declaration;
use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use crate::compute::{Activation, Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::gated`].
pub(super) fn gated(gpu: &Recorder, gate: &mut Tensor, up: &Tensor, activation: Activation) -> Result<()> {
    shapes::same(gate, up)?;
    let fours = gate.count().div_ceil(4);
    if fours == 0 {
        return Ok(());
    }
    let (declaration, variant, [p, n, beta, eps]) = declaration(activation);
    let kernel = gpu.kernel(("gated", variant), 1, || [declaration, include_str!("gated.wgsl")].concat());
    gpu.dispatch(
        &kernel,
        &[fours as u32, p, n, beta, eps],
        &[up.device()?, gate.device()?],
        grid(fours.div_ceil(GROUP)),
        16.0 * gate.count() as f64,
    )
}
