//! The WebGPU engine: the operations as WGSL kernels through wgpu, in the browser and, natively, on
//! Vulkan.
//!
//! One operation is one `.wgsl` file and the `.rs` file of the same name; the CPU engine is its
//! oracle (`tests/gpu_operations.rs`, in a browser `tests/wasm_gpu.rs`). What wgpu needs besides
//! (devices, buffers, submissions, faults) is in modules that know no operation.
//!
//! The kernels use no subgroups and, where they can, no shared memory: wgpu does not expose
//! subgroups on the web, and a software adapter is slow at barriers. Products keep 8 x 8 sums in
//! registers, which serves both kinds of adapters.

mod activate;
mod adapter;
mod add;
mod attention;
mod buffer;
mod copy_rows;
mod faults;
mod gated;
mod gather;
mod head_statistics;
mod inverse_row_norms;
mod kernel;
mod lanes;
mod layer_norm;
mod matmul;
mod recorder;
mod rms_norm;
mod rotate;
mod self_check;
mod signal;
mod soft_cap;
mod storage;
mod transpose;

use std::ops::Range;

use super::operations::{Activation, Attention, Compute, EngineInfo, RotatedHeads};
use super::tensor::{Matrix, MatrixStorage, Tensor, check};
use crate::dtype::Dtype;
use crate::error::{Pending, Result};
pub use buffer::DeviceBuffer;
use recorder::Recorder;
use storage::{ROW_GRAIN, bytes};

/// Floating-point operations of one submission on a software adapter: about 100 ms at the 4 GFLOPS
/// that two cores reach.
const SOFTWARE_SLICE: f64 = 4.0e8;
/// The same on hardware: about 100 ms on the weakest GPUs in use, a few ms on others.
const HARDWARE_SLICE: f64 = 4.0e9;

/// The WebGPU engine.
pub struct Gpu {
    info: EngineInfo,
    recorder: Recorder,
}

impl Gpu {
    /// Takes the fastest adapter, and checks that it computes right.
    ///
    /// # Errors
    /// [`crate::error::Error::NoWebGpu`] where there is no adapter, it gives no device, or its
    /// products are wrong.
    pub async fn create() -> Result<Self> {
        let found = adapter::find().await?;
        let largest = adapter::largest_buffer(&found.device);
        let slice_flops = if found.software { SOFTWARE_SLICE } else { HARDWARE_SLICE };
        let info = EngineInfo {
            backend: "webgpu",
            adapter: found.name,
            software: found.software,
            max_matrix_bytes: largest,
            chunk_tokens: 2048,
            slice_flops,
        };
        let recorder = Recorder::new(found.device, found.queue, largest, slice_flops);
        let gpu = Self { info, recorder };
        self_check::run(&gpu).await?;
        Ok(gpu)
    }
}

impl Compute for Gpu {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn memory(&self) -> (u64, u64) {
        self.recorder.memory()
    }

    fn zeros(&self, rows: usize, columns: usize) -> Result<Tensor> {
        let buffer = self.recorder.allocate(bytes(rows * columns))?;
        Ok(Tensor::on_device(rows, columns, buffer))
    }

    fn upload(&self, rows: usize, values: &[f32]) -> Result<Tensor> {
        let columns = values.len().checked_div(rows).unwrap_or(0);
        check(rows * columns == values.len(), || format!("{} values in {rows} rows", values.len()))?;
        let tensor = self.zeros(rows, columns)?;
        self.recorder.write(tensor.device()?, 0, bytemuck::cast_slice(values));
        Ok(tensor)
    }

    fn matrix(&self, rows: usize, columns: usize, dtype: Dtype) -> Result<Matrix> {
        let elements = (rows * columns.next_multiple_of(ROW_GRAIN)) as u64;
        let buffer = self.recorder.allocate(elements * dtype.size() as u64)?;
        Ok(Matrix { rows, columns, dtype, storage: MatrixStorage::Device(buffer) })
    }

    fn write_rows(&self, matrix: &mut Matrix, first_row: usize, bytes: &[u8]) -> Result<()> {
        let row = matrix.columns * matrix.dtype.size();
        let whole = row > 0 && bytes.len().is_multiple_of(row) && first_row + bytes.len() / row <= matrix.rows;
        check(whole, || {
            format!("{} bytes from row {first_row} on of [{}, {}]", bytes.len(), matrix.rows, matrix.columns)
        })?;
        let stride = matrix.stride_in_fours() * ROW_GRAIN * matrix.dtype.size();
        let at = (first_row * stride) as u64;
        let buffer = matrix.device()?;
        if stride == row {
            self.recorder.write(buffer, at, bytes);
        } else {
            let mut padded = vec![0; bytes.len() / row * stride];
            for (to, from) in padded.chunks_exact_mut(stride).zip(bytes.chunks_exact(row)) {
                to[..row].copy_from_slice(from);
            }
            self.recorder.write(buffer, at, &padded);
        }
        Ok(())
    }

    fn read<'a>(&'a self, tensor: &'a Tensor) -> Pending<'a, Vec<f32>> {
        Box::pin(async move { self.recorder.read(tensor.device()?, tensor.count()).await })
    }

    fn offload(&self, tensor: Tensor) -> Result<Tensor> {
        Ok(tensor)
    }

    fn copy_to_engine(&self, tensor: &Tensor) -> Result<Tensor> {
        let mut copy = self.zeros(tensor.rows, tensor.columns)?;
        copy_rows::copy_rows(&self.recorder, &mut copy, 0, tensor)?;
        Ok(copy)
    }

    fn yield_now(&self) -> Pending<'_, ()> {
        Box::pin(self.recorder.yield_now())
    }

    fn matmul(
        &self,
        x: &Tensor,
        w: &Matrix,
        rows: Range<usize>,
        bias: Option<&Tensor>,
        out: &mut Tensor,
    ) -> Result<()> {
        matmul::matmul(&self.recorder, x, w, rows, bias, out)
    }

    fn rms_norm(&self, x: &Tensor, gain: &Tensor, epsilon: f32) -> Result<Tensor> {
        rms_norm::rms_norm(&self.recorder, x, gain, epsilon)
    }

    fn layer_norm(&self, x: &Tensor, gain: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor> {
        layer_norm::layer_norm(&self.recorder, x, [gain, bias], epsilon)
    }

    fn rotate(&self, x: &mut Tensor, heads: RotatedHeads, table: &Tensor, first: usize, length: usize) -> Result<()> {
        rotate::rotate(&self.recorder, x, heads, table, first, length)
    }

    fn attention(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        shape: &Attention,
        kv_heads: Range<usize>,
        out: &mut Tensor,
    ) -> Result<()> {
        attention::attention(&self.recorder, [q, k, v], shape, kv_heads, out)
    }

    fn gated(&self, gate: &mut Tensor, up: &Tensor, activation: Activation) -> Result<()> {
        gated::gated(&self.recorder, gate, up, activation)
    }

    fn activate(&self, x: &mut Tensor, activation: Activation) -> Result<()> {
        activate::activate(&self.recorder, x, activation)
    }

    fn soft_cap(&self, x: &mut Tensor, cap: f32) -> Result<()> {
        soft_cap::soft_cap(&self.recorder, x, cap)
    }

    fn add(&self, x: &mut Tensor, factor: f32, y: &Tensor) -> Result<()> {
        add::add(&self.recorder, x, factor, y)
    }

    fn inverse_row_norms(&self, x: &Tensor, factors: &[f32]) -> Result<Tensor> {
        inverse_row_norms::inverse_row_norms(&self.recorder, x, factors)
    }

    fn transpose(&self, x: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
        transpose::transpose(&self.recorder, x, weights)
    }

    fn to_matrix(&self, x: &Tensor) -> Result<Matrix> {
        matmul::to_matrix(&self.recorder, x)
    }

    fn gather(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        gather::gather(&self.recorder, x, rows)
    }

    fn copy_rows(&self, target: &mut Tensor, first: usize, source: &Tensor) -> Result<()> {
        copy_rows::copy_rows(&self.recorder, target, first, source)
    }

    fn head_statistics(
        &self,
        logits: &Tensor,
        second: Option<&Tensor>,
        first: usize,
        targets: &[u32],
        state: &mut Tensor,
    ) -> Result<()> {
        head_statistics::head_statistics(&self.recorder, logits, second, first, targets, state)
    }
}
