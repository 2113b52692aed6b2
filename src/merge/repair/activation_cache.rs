//! Tensors that are computed once for each chunk of a stream, as far as there is room to keep them.
//! Must not know what they are.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use crate::compute::{Compute, Tensor};
use crate::error::Result;

/// Bytes that are kept at most beside one stream; what is beyond is computed each time it is asked
/// for.
pub const MOST_KEPT: u64 = 384 << 20;

/// Bytes that may still be kept; all copies are the same.
#[derive(Clone)]
pub struct Room(Rc<Cell<u64>>);

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self(Rc::new(Cell::new(bytes)))
    }
}

/// Some tensors for each chunk, off the heap.
pub struct ChunkCache {
    chunks: Vec<OnceCell<Vec<Tensor>>>,
    bytes: Cell<u64>,
    room: Room,
}

impl ChunkCache {
    /// Nothing is kept yet.
    pub fn new(chunks: usize, room: &Room) -> Self {
        Self { chunks: (0..chunks).map(|_| OnceCell::new()).collect(), bytes: Cell::new(0), room: room.clone() }
    }

    /// The tensors of a chunk, ready to compute with; `compute` is asked where they were not kept.
    ///
    /// # Errors
    /// What computing fails with, or the engine's allocation.
    pub async fn get(
        &self,
        engine: &dyn Compute,
        chunk: usize,
        compute: impl AsyncFnOnce() -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        if let Some(kept) = self.chunks.get(chunk).and_then(OnceCell::get) {
            return kept.iter().map(|tensor| engine.copy_to_engine(tensor)).collect();
        }
        let tensors = compute().await?;
        let bytes: u64 = tensors.iter().map(|tensor| 4 * (tensor.rows * tensor.columns) as u64).sum();
        if let (Some(left), Some(place)) = (self.room.0.get().checked_sub(bytes), self.chunks.get(chunk)) {
            let _ = place.set(
                tensors.iter().map(|tensor| engine.offload(engine.copy_to_engine(tensor)?)).collect::<Result<_>>()?,
            );
            self.room.0.set(left);
            self.bytes.set(self.bytes.get() + bytes);
        }
        Ok(tensors)
    }

    /// For how many chunks there was room.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.chunks.iter().filter(|kept| kept.get().is_some()).count()
    }
}

impl Drop for ChunkCache {
    fn drop(&mut self) {
        self.room.0.set(self.room.0.get() + self.bytes.get());
    }
}
