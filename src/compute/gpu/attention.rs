//! Causal softmax attention.

use std::ops::Range;

use super::kernel::GROUP;
use super::lanes::lanes;
use super::recorder::Recorder;
use super::soft_cap::CAPPED;
use crate::compute::{Attention, Tensor, shapes};
use crate::error::Result;

/// See [`crate::compute::Compute::attention`].
pub(super) fn attention(
    gpu: &Recorder,
    [q, k, v]: [&Tensor; 3],
    shape: &Attention,
    kv_heads: Range<usize>,
    out: &mut Tensor,
) -> Result<()> {
    let (length, keys) = shapes::attention(q, k, v, shape, &kv_heads, out)?;
    let group = shape.heads / shape.kv_heads;
    let heads = kv_heads.len() * group;
    if heads == 0 || q.rows == 0 {
        return Ok(());
    }
    let (declarations, chunks) = lanes(shape.head_size);
    // Both the lanes and their number follow from the head size.
    let kernel = gpu.kernel(("attention", shape.head_size), 3, || {
        let constant = format!("const CHUNKS = {chunks}u;\n");
        [declarations, &constant, CAPPED, include_str!("attention.wgsl")].concat()
    });
    let window = shape.window.and_then(|window| u32::try_from(window).ok()).unwrap_or(u32::MAX);
    let seen = (shape.past as f64 + (length as f64 + 1.0) / 2.0).min(window.into());
    let row_flops = 4.0 * (heads * shape.head_size) as f64 * seen;
    // Long sequences are cut, so that no submission is long.
    let slice = ((gpu.slice_flops() / row_flops) as usize).next_multiple_of(GROUP).max(GROUP);
    for first in (0..q.rows).step_by(slice) {
        let last = (first + slice).min(q.rows);
        let sizes = [first, last, shape.heads, shape.kv_heads, kv_heads.start * group, length, keys, shape.past];
        let mut parameters = sizes.map(|value| value as u32).to_vec();
        parameters.extend([window, shape.scale.to_bits(), shape.cap.unwrap_or(0.0).to_bits()]);
        gpu.dispatch(
            &kernel,
            &parameters,
            &[q.device()?, k.device()?, v.device()?, out.device()?],
            ((last - first).div_ceil(GROUP) as u32, heads as u32),
            row_flops * (last - first) as f64,
        )?;
    }
    Ok(())
}
