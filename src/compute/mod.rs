//! The operations that a transformer needs, on two engines.
//!
//! [`Compute`] is the one interface; [`cpu::Cpu`] (gemm, SIMD) and [`gpu::Gpu`] (WGSL through wgpu)
//! implement it, and the first is the oracle of the second. Operations enqueue and return; only
//! [`Compute::read`] and [`Compute::yield_now`] wait. This module must not know of models,
//! families, files or the web. Each engine sees of the other only what a tensor of it holds.

pub mod cpu;
pub mod gpu;
mod operations;
mod shapes;
pub mod sliced;
pub mod statistics;
mod tensor;

pub use operations::{Activation, Attention, Compute, EngineInfo, Pairs, RotatedHeads};
pub use statistics::start_state;
pub use tensor::{Matrix, Tensor};
