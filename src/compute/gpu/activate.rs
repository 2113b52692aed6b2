//! `x = activation(x)`, and the activations as parts of kernels.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use crate::compute::{Activation, Tensor};
use crate::error::Result;

/// The declaration of `activation`, and the number of the variant of a kernel that has it.
pub(super) fn declaration(activation: Activation) -> (&'static str, usize) {
    match activation {
        Activation::Silu => (include_str!("activation/silu.wgsl"), 0),
        Activation::Gelu => (include_str!("activation/gelu.wgsl"), 1),
        Activation::GeluTanh => (include_str!("activation/gelu_tanh.wgsl"), 2),
        Activation::Relu => (include_str!("activation/relu.wgsl"), 3),
        Activation::Relu2 => (include_str!("activation/relu2.wgsl"), 4),
    }
}

/// See [`crate::compute::Compute::activate`].
pub(super) fn activate(gpu: &Recorder, x: &mut Tensor, activation: Activation) -> Result<()> {
    let fours = x.count().div_ceil(4);
    if fours == 0 {
        return Ok(());
    }
    let (declaration, variant) = declaration(activation);
    let kernel = gpu.kernel(("activate", variant), 0, || [declaration, include_str!("activate.wgsl")].concat());
    gpu.dispatch(&kernel, &[fours as u32], &[x.device()?], grid(fours.div_ceil(GROUP)), 16.0 * x.count() as f64)
}
