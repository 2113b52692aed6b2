//! The hidden states of all windows between two blocks, in chunks, and who watches them pass. Must
//! not know what computes them.

use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};

/// The hidden states of some windows of equal length between two blocks: `x[l]`, all positions.
pub struct Stream {
    pub(super) chunks: Vec<Chunk>,
    pub(super) window: usize,
}

/// Hidden states `[sequences * window, hidden]` of a few windows, off the heap while no block works
/// on them.
pub(super) struct Chunk {
    pub(super) states: Tensor,
    pub(super) sequences: usize,
}

/// Somebody who wants some rows of every stream that passes.
pub trait Observer {
    /// The rows of chunk `chunk` that are wanted, counted inside the chunk.
    fn rows(&self, chunk: usize) -> &[u32];

    /// Receives `x[layer]` `[rows, hidden]` at the rows of chunk `chunk`.
    fn take(&mut self, layer: usize, chunk: usize, values: &[f32]);
}

impl Stream {
    /// A copy, for a model that goes on from here on its own way.
    ///
    /// # Errors
    /// What the engine's allocation fails with.
    pub fn fork(&self, engine: &dyn Compute) -> Result<Self> {
        self.fork_start(engine, usize::MAX)
    }

    /// A copy of the first chunks that have at most `tokens` tokens together; of the first one at
    /// least.
    ///
    /// # Errors
    /// As [`Stream::fork`].
    pub fn fork_start(&self, engine: &dyn Compute, tokens: usize) -> Result<Self> {
        let mut left = tokens;
        let fits = |(index, chunk): &(usize, &Chunk)| {
            let rest = left.checked_sub(chunk.states.rows);
            left = rest.unwrap_or(0);
            *index == 0 || rest.is_some()
        };
        let copy = |(_, chunk): (usize, &Chunk)| {
            Ok(Chunk { states: engine.offload(engine.copy_to_engine(&chunk.states)?)?, sequences: chunk.sequences })
        };
        let chunks = self.chunks.iter().enumerate().take_while(fits).map(copy).collect::<Result<_>>()?;
        Ok(Self { chunks, window: self.window })
    }

    /// Replaces the states of chunk `chunk` by others `[tokens, hidden]`.
    ///
    /// # Errors
    /// What the engine's allocation fails with.
    pub fn set_states(&mut self, engine: &dyn Compute, chunk: usize, states: Tensor) -> Result<()> {
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            chunk.states = engine.offload(states)?;
        }
        Ok(())
    }

    /// Tokens of each window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Number of windows.
    pub fn windows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.sequences).sum()
    }

    /// Number of chunks.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// The values of chunk `chunk`, `[tokens, hidden]`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no such chunk, or what reading fails with.
    pub async fn values(&self, engine: &dyn Compute, chunk: usize) -> Result<Vec<f32>> {
        engine.read(&self.chunk(chunk)?.states).await
    }

    /// The states of chunk `chunk`, `[tokens, hidden]`, ready to compute with.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no such chunk, or what the engine fails with.
    pub fn states(&self, engine: &dyn Compute, chunk: usize) -> Result<Tensor> {
        engine.copy_to_engine(&self.chunk(chunk)?.states)
    }

    pub(super) fn chunk(&self, index: usize) -> Result<&Chunk> {
        self.chunks
            .get(index)
            .ok_or_else(|| Error::internal(format!("chunk {index} of {} was asked for", self.chunks.len())))
    }

    /// Bytes that the states take.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| 4 * (chunk.states.rows * chunk.states.columns) as u64).sum()
    }
}

/// How many windows of `window` tokens a chunk has, so that it holds about as many tokens as the
/// engine likes.
pub fn windows_per_chunk(engine: &dyn Compute, window: usize) -> usize {
    (engine.info().chunk_tokens / window.max(1)).max(1)
}
