//! `x = cap tanh(x / cap)`.

use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use crate::compute::{Tensor, shapes};
use crate::error::Result;

/// The declaration of `capped`, for every kernel that caps.
pub(super) const CAPPED: &str = include_str!("soft_cap/capped.wgsl");

/// See [`crate::compute::Compute::soft_cap`].
pub(super) fn soft_cap(gpu: &Recorder, x: &mut Tensor, cap: f32) -> Result<()> {
    shapes::soft_cap(cap)?;
    let fours = x.count().div_ceil(4);
    if fours == 0 {
        return Ok(());
    }
    let kernel = gpu.kernel(("soft_cap", 0), 0, || [CAPPED, include_str!("soft_cap.wgsl")].concat());
    let work = 32.0 * x.count() as f64;
    gpu.dispatch(&kernel, &[fours as u32, cap.to_bits()], &[x.device()?], grid(fours.div_ceil(GROUP)), work)
}
