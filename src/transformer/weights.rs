//! Weights on their way from a source to an engine: read in chunks, checked, uploaded in their stored format, kept while the budget allows.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use crate::architecture::readable_dtype;
use crate::checkpoint::StoredTensor;
use crate::checkpoint::source::ByteSource;
use crate::compute::{Compute, Matrix, Tensor};
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// Weights are read in chunks of about this many bytes, so that no tensor is ever whole on the WebAssembly heap.
const CHUNK_BYTES: usize = 4 << 20;

/// Where a weight comes from: the address of its source and its first byte. Two models that share a tensor share its upload.
type Key = (*const (), u64);

struct Resident<T> {
    source: Weak<dyn ByteSource>,
    value: Rc<T>,
    bytes: u64,
}

/// Loads weights onto an engine and keeps those that fit the budget.
pub struct WeightStore {
    engine: Rc<dyn Compute>,
    budget: Cell<u64>,
    matrices: RefCell<HashMap<Key, Resident<Matrix>>>,
    vectors: RefCell<HashMap<Key, Resident<Tensor>>>,
}

impl WeightStore {
    /// A store that keeps at most `budget` bytes of weights resident.
    pub fn new(engine: Rc<dyn Compute>, budget: u64) -> Self {
        Self { engine, budget: budget.into(), matrices: RefCell::default(), vectors: RefCell::default() }
    }

    /// Lets go of the weights of models that are closed.
    pub fn sweep(&self) {
        self.matrices.borrow_mut().retain(|_, resident| resident.source.strong_count() > 0);
        self.vectors.borrow_mut().retain(|_, resident| resident.source.strong_count() > 0);
    }

    /// The rows `rows` of a stored matrix `[_, columns]`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a weight is not finite, or, with `refuse_zeros`, when all are zero; or what reading and uploading fail with.
    pub async fn matrix(
        &self,
        name: &str,
        tensor: &StoredTensor,
        rows: std::ops::Range<usize>,
        refuse_zeros: bool,
    ) -> Result<Rc<Matrix>> {
        let dtype = readable_dtype(name, tensor)?;
        let columns = tensor.shape.last().copied().unwrap_or(0) as usize;
        let row_bytes = columns * dtype.size();
        let start = tensor.start + (rows.start * row_bytes) as u64;
        let key = key_of(tensor, start);
        if let Some(resident) = self.matrices.borrow().get(&key) {
            return Ok(resident.value.clone());
        }
        let mut matrix = self.engine.matrix(rows.len(), columns, dtype)?;
        let step = (CHUNK_BYTES / row_bytes.max(1)).max(1);
        let mut zeros = refuse_zeros;
        for first in (0..rows.len()).step_by(step) {
            let count = step.min(rows.len() - first);
            let bytes = tensor.source.read(start + (first * row_bytes) as u64, count * row_bytes).await?;
            check_finite(name, dtype, &bytes)?;
            zeros &= bytes.iter().all(|byte| *byte == 0);
            self.engine.write_rows(&mut matrix, first, &bytes)?;
        }
        if zeros {
            return Err(Error::NotFinite {
                what: format!("the tensor {name}"),
                found: "all its values are zero".into(),
            });
        }
        let (value, bytes) = (Rc::new(matrix), (rows.len() * row_bytes) as u64);
        let held: u64 = self.matrices.borrow().values().map(|resident| resident.bytes).sum();
        if held + bytes <= self.budget.get() {
            let source = Rc::downgrade(&tensor.source);
            self.matrices.borrow_mut().insert(key, Resident { source, value: value.clone(), bytes });
        }
        Ok(value)
    }

    /// A stored vector as a tensor `[1, n]`.
    ///
    /// # Errors
    /// As [`WeightStore::matrix`].
    pub async fn vector(&self, name: &str, tensor: &StoredTensor) -> Result<Rc<Tensor>> {
        let key = key_of(tensor, tensor.start);
        if let Some(resident) = self.vectors.borrow().get(&key) {
            return Ok(resident.value.clone());
        }
        let values = read_values(name, tensor, 0, tensor.bytes as usize).await?;
        let value = Rc::new(self.engine.upload(1, &values)?);
        let resident = Resident { source: Rc::downgrade(&tensor.source), value: value.clone(), bytes: tensor.bytes };
        self.vectors.borrow_mut().insert(key, resident);
        Ok(value)
    }
}

fn key_of(tensor: &StoredTensor, start: u64) -> Key {
    (Rc::as_ptr(&tensor.source).cast(), start)
}

/// Reads and decodes `length` bytes of a tensor, from byte `offset` of it on.
///
/// # Errors
/// [`Error::NotFinite`] when a value is not finite, or what reading fails with.
pub async fn read_values(name: &str, tensor: &StoredTensor, offset: u64, length: usize) -> Result<Vec<f32>> {
    let dtype = readable_dtype(name, tensor)?;
    let bytes = tensor.source.read(tensor.start + offset, length).await?;
    check_finite(name, dtype, &bytes)?;
    let mut values = vec![0.0; length / dtype.size()];
    dtype.decode(&bytes, &mut values);
    Ok(values)
}

/// Fails when a value has all bits of its exponent set: an infinity or not a number.
fn check_finite(name: &str, dtype: Dtype, bytes: &[u8]) -> Result<()> {
    let any16 =
        |mask: u16| bytes.as_chunks::<2>().0.iter().fold(false, |any, b| any | (u16::from_le_bytes(*b) & mask == mask));
    let broken = match dtype {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .fold(false, |any, b| any | (u32::from_le_bytes(*b) & 0x7f80_0000 == 0x7f80_0000)),
        Dtype::F16 => any16(0x7c00),
        Dtype::Bf16 => any16(0x7f80),
    };
    if broken {
        return Err(Error::NotFinite {
            what: format!("the tensor {name}"),
            found: "it has values that are infinite or not a number".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_and_nan_are_found_in_every_format() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            for (value, fine) in
                [(1.0e4, true), (-0.0, true), (f32::INFINITY, false), (f32::NEG_INFINITY, false), (f32::NAN, false)]
            {
                let mut bytes = Vec::new();
                dtype.encode(&[1.0, 2.0, value, 3.0], &mut bytes);
                assert_eq!(check_finite("w", dtype, &bytes).is_ok(), fine, "{value} as {dtype:?}");
            }
        }
    }
}
