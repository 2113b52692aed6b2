//! Products with stored weights, decoded in the kernel: one kernel for many rows, one for the few
//! rows of generation.
//!
//! Why tiles of 8 x 8 in registers: on SwiftShader loading a value costs more than using it, so
//! larger tiles are faster (at 512^3 in f32, per two CPU seconds: 4 x 4 3.0, 8 x 4 4.0, 8 x 8 4.9,
//! 16 x 8 6.1 GFLOPS), but 8 x 8 sums are what the registers of an integrated GPU hold. In Chromium
//! on two virtual cores this kernel reached 4.4 GFLOPS in f32 and 5.3 in bf16, natively on Mesa's
//! llvmpipe 8.6 and 11. No hardware GPU was at hand: there a tile in shared memory may be faster,
//! and is worth measuring.

use std::ops::Range;

use super::buffer::DeviceBuffer;
use super::kernel::{GROUP, grid};
use super::recorder::Recorder;
use super::storage::{ROW_GRAIN, bytes};
use crate::compute::shapes;
use crate::compute::tensor::{Matrix, MatrixStorage, Tensor};
use crate::dtype::Dtype;
use crate::error::Result;

/// Rows and columns that one workgroup of the kernel for many rows computes.
const TILE: usize = 64;
/// With at most so many rows of x the product is bound by reading the weights.
const FEW_ROWS: usize = 4;
/// Columns that one workgroup of the kernel for few rows computes.
const FEW_COLUMNS: usize = 8;

/// See [`crate::compute::Compute::matmul`].
pub(super) fn matmul(
    gpu: &Recorder,
    x: &Tensor,
    w: &Matrix,
    rows: Range<usize>,
    bias: Option<&Tensor>,
    out: &mut Tensor,
) -> Result<()> {
    shapes::matmul(x, w, &rows, bias, out)?;
    if rows.is_empty() || x.rows == 0 {
        return Ok(());
    }
    let k4 = w.stride_in_fours();
    let padded = if x.columns.is_multiple_of(4) { None } else { Some(pad(gpu, x, k4)?) };
    let x_values = match &padded {
        Some(buffer) => buffer,
        None => x.device()?,
    };
    let parameters = [x.rows, k4, rows.start, rows.end, out.columns, usize::from(bias.is_some())];
    let (decode, dtype) = match w.dtype {
        Dtype::F32 => (include_str!("decode/f32.wgsl"), 0),
        Dtype::F16 => (include_str!("decode/f16.wgsl"), 1),
        Dtype::Bf16 => (include_str!("decode/bf16.wgsl"), 2),
    };
    let (kernel, groups) = if x.rows <= FEW_ROWS {
        let computed = if x.rows == 1 { 1 } else { FEW_ROWS };
        let kernel = gpu.kernel(("matvec", dtype * FEW_ROWS + computed), 3, || {
            let constant = format!("const ROWS = {computed}u;\n");
            [decode, &constant, include_str!("matvec.wgsl")].concat()
        });
        (kernel, grid(rows.len().div_ceil(FEW_COLUMNS)))
    } else {
        let kernel = gpu.kernel(("matmul", dtype), 3, || [decode, include_str!("matmul.wgsl")].concat());
        let tiles = |count: usize| count.div_ceil(TILE) as u32;
        (kernel, (tiles(rows.len()), tiles(x.rows)))
    };
    let bias_values = match bias {
        Some(bias) => bias.device()?,
        None => x_values, // not read
    };
    gpu.dispatch(
        &kernel,
        &parameters.map(|value| value as u32),
        &[x_values, w.device()?, bias_values, out.device()?],
        groups,
        2.0 * x.rows as f64 * x.columns as f64 * rows.len() as f64,
    )
}

/// See [`crate::compute::Compute::to_matrix`].
pub(super) fn to_matrix(gpu: &Recorder, x: &Tensor) -> Result<Matrix> {
    let buffer = if x.columns.is_multiple_of(ROW_GRAIN) {
        let buffer = gpu.allocate(bytes(x.count()))?;
        if x.count() > 0 {
            gpu.copy(x.device()?, &buffer, 0, bytes(x.count()))?;
        }
        buffer
    } else {
        pad(gpu, x, x.columns.div_ceil(ROW_GRAIN))?
    };
    Ok(Matrix { rows: x.rows, columns: x.columns, dtype: Dtype::F32, storage: MatrixStorage::Device(buffer) })
}

/// The rows of x `[n, k]` filled up with zeros to whole fours, `[n, 4 k4]`. Real models do not need
/// it: their widths are multiples of 4.
fn pad(gpu: &Recorder, x: &Tensor, k4: usize) -> Result<DeviceBuffer> {
    let fours = x.rows * k4;
    let padded = gpu.allocate(fours as u64 * 16)?;
    let kernel = gpu.kernel(("pad", 0), 1, || include_str!("pad.wgsl").into());
    gpu.dispatch(
        &kernel,
        &[x.rows, x.columns, k4].map(|value| value as u32),
        &[x.device()?, &padded],
        grid(fours.div_ceil(GROUP)),
        32.0 * fours as f64,
    )?;
    Ok(padded)
}
