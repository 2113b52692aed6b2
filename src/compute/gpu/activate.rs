//! `x = activation(x)`, and the activations as parts of kernels.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use crate::compute::{Activation, Tensor};
use crate::error::Result;

/// The declaration of `activation`, the number of the variant of a kernel that has it, and the bits
/// of its numbers, which follow the size in the parameters of the kernel.
pub(super) fn declaration(activation: Activation) -> (&'static str, usize, [u32; 4]) {
    let (source, variant) = match activation {
        Activation::Silu => (include_str!("activation/silu.wgsl"), 0),
        Activation::Gelu => (include_str!("activation/gelu.wgsl"), 1),
        Activation::GeluTanh => (include_str!("activation/gelu_tanh.wgsl"), 2),
        Activation::Relu => (include_str!("activation/relu.wgsl"), 3),
        Activation::Relu2 => (include_str!("activation/relu2.wgsl"), 4),
        Activation::Xielu { .. } => (include_str!("activation/xielu.wgsl"), 5),
    };
    let numbers = match activation {
        Activation::Xielu { p, n, beta, eps } => [p, n, beta, eps],
        _ => [0.0; 4],
    };
    (source, variant, numbers.map(f32::to_bits))
}

/// See [`crate::compute::Compute::activate`].
pub(super) fn activate(gpu: &Recorder, x: &mut Tensor, activation: Activation) -> Result<()> {
    let fours = x.count().div_ceil(4);
    if fours == 0 {
        return Ok(());
    }
    let (declaration, variant, [p, n, beta, eps]) = declaration(activation);
    let kernel = gpu.kernel(("activate", variant), 0, || [declaration, include_str!("activate.wgsl")].concat());
    gpu.dispatch(
        &kernel,
        &[fours as u32, p, n, beta, eps],
        &[x.device()?],
        grid(fours.div_ceil(GROUP)),
        16.0 * x.count() as f64,
    )
}
