//! From token ids to the first hidden states: rows of the embedding, positions. Must not know
//! blocks.

use std::collections::BTreeSet;

use super::model::Transformer;
use super::stream::{Chunk, Stream, windows_per_chunk};
use crate::architecture::{EmbeddingProjection, Learned};
use crate::checkpoint::read::{read_values, readable_dtype};
use crate::compute::Tensor;
use crate::compute::sliced::product;
use crate::error::{Error, Result};
use crate::task::Task;

/// With so few different tokens, their rows of the embedding are read one by one.
const FEW_ROWS: usize = 64;
/// The embedding is read in chunks of about this many bytes otherwise.
const EMBEDDING_CHUNK: usize = 4 << 20;

impl Transformer {
    /// The embeddings of windows of equal length: `x[0]`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for an id outside the vocabulary or a window beyond the learned
    /// positions, [`Error::NotFinite`] for weights that are not usable.
    pub async fn embed(&self, windows: &[Vec<u32>], task: &Task) -> Result<Stream> {
        let window = windows.first().map_or(0, Vec::len);
        self.check_positions(window)?;
        let mut chunks = Vec::new();
        for group in windows.chunks(windows_per_chunk(self.engine.as_ref(), window)) {
            let states = self.embed_rows(&group.concat(), window, 0).await?;
            chunks.push(Chunk { states: self.engine.offload(states)?, sequences: group.len() });
            self.engine.yield_now().await?;
            task.check()?;
        }
        Ok(Stream { chunks, window })
    }

    /// Fails where positions are learned and there are fewer than `window`.
    pub(super) fn check_positions(&self, window: usize) -> Result<()> {
        let positions = self.description.positions;
        if self.description.learned.is_some() && window > positions {
            return Err(Error::argument("window", format!("is {window}, the model has learned {positions} positions")));
        }
        Ok(())
    }

    /// The rows of the embedding for these ids, `[ids, hidden]`, with their positions: `past`,
    /// `past + 1`… in each run of `window` ids.
    pub(super) async fn embed_rows(&self, ids: &[u32], window: usize, past: usize) -> Result<Tensor> {
        let (name, columns, vocabulary) =
            (self.description.embedding.as_str(), self.description.embedding_columns(), self.description.vocabulary);
        let tensor = self.checkpoint.tensor(name)?;
        let row_bytes = tensor.bytes as usize / vocabulary;
        let distinct: BTreeSet<usize> = ids.iter().map(|id| *id as usize).collect();
        if let Some(id) = distinct.last().filter(|id| **id >= vocabulary) {
            return Err(Error::argument("ids", format!("{id} is outside the vocabulary of {vocabulary}")));
        }
        let chunk_rows = if distinct.len() <= FEW_ROWS { 1 } else { (EMBEDDING_CHUNK / row_bytes.max(1)).max(1) };
        let mut values = vec![0.0; ids.len() * columns];
        let mut last_chunk = None;
        for id in &distinct {
            let chunk = id / chunk_rows;
            if last_chunk.replace(chunk) == Some(chunk) {
                continue;
            }
            let first = chunk * chunk_rows;
            let count = chunk_rows.min(vocabulary - first);
            let rows = read_values(name, tensor, (first * row_bytes) as u64, count * row_bytes).await?;
            for (target, id) in values.chunks_exact_mut(columns).zip(ids) {
                if let Some(row) =
                    (*id as usize).checked_sub(first).and_then(|i| rows.get(i * columns..(i + 1) * columns))
                {
                    target.copy_from_slice(row);
                }
            }
        }
        if values.iter().all(|value| *value == 0.0) {
            return Err(Error::NotFinite {
                what: format!("the tensor {name}"),
                found: "all values of these tokens are zero".into(),
            });
        }
        if self.description.embedding_scale != 1.0 {
            values.iter_mut().for_each(|value| *value *= self.description.embedding_scale);
        }
        let mut states = self.engine.upload(ids.len(), &values)?;
        if let Some(EmbeddingProjection { into, .. }) = &self.description.embedding_projection {
            states = self.project(&states, into).await?;
        }
        if let Some(Learned { name, offset }) = &self.description.learned {
            let row_bytes = self.description.hidden * readable_dtype(name, self.checkpoint.tensor(name)?)?.size();
            let first = (past + offset) * row_bytes;
            let rows = read_values(name, self.checkpoint.tensor(name)?, first as u64, window * row_bytes).await?;
            let positions = self.engine.upload(ids.len(), &rows.repeat(ids.len() / window.max(1)))?;
            self.engine.add(&mut states, 1.0, &positions)?;
        }
        Ok(states)
    }

    /// x `[n, columns]` through the matrix `name`, `[_, columns]`, outside the blocks.
    pub(super) async fn project(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let tensor = self.checkpoint.tensor(name)?;
        let rows = tensor.shape.first().copied().unwrap_or(0) as usize;
        let loaded = self.weights.matrix(name, tensor, 0..rows).await?;
        if loaded.zeros {
            let found = "all its values are zero".into();
            return Err(Error::NotFinite { what: format!("the tensor {name}"), found });
        }
        product(self.engine.as_ref(), &Task::silent(), x, &loaded.matrix, None).await
    }
}
