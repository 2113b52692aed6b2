//! Tensors and stored matrices: one type each for both engines, with the engine's storage inside.
//! Must not know the operations.

use super::gpu::DeviceBuffer;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::platform::off_heap::OffHeapBuffer;

/// `f32` values `[rows, columns]`, row-major, on the engine that made it.
#[derive(Debug)]
pub struct Tensor {
    /// Number of rows: token positions, mostly.
    pub rows: usize,
    /// Number of columns: channels, mostly.
    pub columns: usize,
    /// The values, on the engine.
    pub(super) storage: TensorStorage,
}

/// Where the values of a tensor are.
#[derive(Debug)]
pub(super) enum TensorStorage {
    /// On the heap, for the CPU engine.
    Host(Vec<f32>),
    /// Outside the WebAssembly heap, little-endian `f32`; no operation takes it.
    OffHeap(OffHeapBuffer),
    /// On the device of the WebGPU engine.
    Device(DeviceBuffer),
}

impl Tensor {
    /// The same values seen as `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when the number of values would change.
    pub fn reshaped(mut self, rows: usize, columns: usize) -> Result<Self> {
        if rows * columns != self.rows * self.columns {
            return Err(shape_error(format!("[{}, {}] cannot become [{rows}, {columns}]", self.rows, self.columns)));
        }
        (self.rows, self.columns) = (rows, columns);
        Ok(self)
    }
}

/// A weight matrix `[rows, columns]` = `[outputs, inputs]` in its stored format, on the engine that
/// made it.
#[derive(Debug)]
pub struct Matrix {
    /// Number of rows: outputs.
    pub rows: usize,
    /// Number of columns: inputs.
    pub columns: usize,
    /// The stored format, decoded by the operation that uses the matrix.
    pub dtype: Dtype,
    /// The values, on the engine.
    pub(super) storage: MatrixStorage,
}

/// Where the values of a matrix are.
#[derive(Debug)]
pub(super) enum MatrixStorage {
    /// Outside the WebAssembly heap, rows as they are stored in a file, for the CPU engine.
    OffHeap(OffHeapBuffer),
    /// On the device of the WebGPU engine, rows filled up to whole fours.
    Device(DeviceBuffer),
}

/// The error for operands that do not fit together.
pub(super) fn shape_error(found: String) -> Error {
    Error::argument("shape", found)
}

/// Fails with `what` unless `fits`.
pub(super) fn check(fits: bool, what: impl FnOnce() -> String) -> Result<()> {
    if fits { Ok(()) } else { Err(shape_error(what())) }
}
