//! Tensors and matrices as buffers of the device. Must not know the operations.

use super::buffer::DeviceBuffer;
use crate::compute::tensor::{Matrix, MatrixStorage, Tensor, TensorStorage, shape_error};
use crate::error::Result;

/// Rows of a matrix lie at multiples of so many elements, so that kernels read four at a time.
pub(super) const ROW_GRAIN: usize = 4;

impl Tensor {
    pub(super) fn on_device(rows: usize, columns: usize, buffer: DeviceBuffer) -> Self {
        Self { rows, columns, storage: TensorStorage::Device(buffer) }
    }

    pub(super) fn device(&self) -> Result<&DeviceBuffer> {
        match &self.storage {
            TensorStorage::Device(buffer) => Ok(buffer),
            _ => Err(shape_error("the tensor belongs to another engine".into())),
        }
    }

    /// Number of values.
    pub(super) fn count(&self) -> usize {
        self.rows * self.columns
    }
}

impl Matrix {
    pub(super) fn device(&self) -> Result<&DeviceBuffer> {
        match &self.storage {
            MatrixStorage::Device(buffer) => Ok(buffer),
            MatrixStorage::OffHeap(_) => Err(shape_error("the matrix belongs to another engine".into())),
        }
    }

    /// Elements from the start of one row to the next, in fours.
    pub(super) fn stride_in_fours(&self) -> usize {
        self.columns.div_ceil(ROW_GRAIN)
    }
}

/// Bytes of `count` values of a tensor.
pub(super) fn bytes(count: usize) -> u64 {
    count as u64 * 4
}
