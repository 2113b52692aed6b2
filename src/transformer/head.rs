//! From the last hidden states to logits, in tiles of the vocabulary. Must not know what the logits
//! are for.

use std::ops::Range;

use super::block::{Linear, scaled};
use super::model::Transformer;
use super::norm::NormWeights;
use super::stream::Stream;
use crate::architecture::EmbeddingProjection;
use crate::compute::Tensor;
use crate::compute::sliced::product;
use crate::error::{Error, Result};
use crate::task::Task;

/// Rows of the vocabulary that are multiplied at once: logits of 1,024 tokens then take 16 MB.
const HEAD_TILE: usize = 4096;

impl Transformer {
    /// A chunk of a stream that has passed all blocks as the head reads it,
    /// `[tokens, embedding_columns]`: through the final norm, if there is one, and times the factor
    /// of the logits.
    ///
    /// # Errors
    /// What reading and computing fail with.
    pub async fn normed(&self, stream: &Stream, chunk: usize) -> Result<Tensor> {
        let chunk = stream.chunk(chunk)?;
        self.before_head(self.engine.copy_to_engine(&chunk.states)?).await
    }

    async fn before_head(&self, mut states: Tensor) -> Result<Tensor> {
        if let Some(name) = &self.description.final_norm {
            let norm = NormWeights::load(&self.weights, &self.checkpoint, &self.description, name).await?;
            states = norm.apply(self.engine.as_ref(), &states, self.description.epsilon)?;
        }
        if let Some(EmbeddingProjection { out, .. }) = &self.description.embedding_projection {
            states = self.project(&states, out).await?;
        }
        // The head is linear: a factor of its few inputs is one of its many outputs.
        scaled(self.engine.as_ref(), states, self.description.logit_scale)
    }

    /// The tiles of the vocabulary: ranges of rows of the head.
    pub fn head_tiles(&self) -> Vec<Range<usize>> {
        let row_bytes = (self.description.embedding_columns() * 4) as u64;
        let rows = HEAD_TILE.min((self.engine.info().max_matrix_bytes / row_bytes.max(1)) as usize).max(1);
        (0..self.description.vocabulary)
            .step_by(rows)
            .map(|first| first..(first + rows).min(self.description.vocabulary))
            .collect()
    }

    /// One tile of the head (of the embedding, where they are tied).
    ///
    /// # Errors
    /// What reading and uploading fail with.
    pub async fn head_tile(&self, tile: Range<usize>) -> Result<Linear> {
        let d = &self.description;
        let name = d.head.as_ref().unwrap_or(&d.embedding);
        let weight = self.weights.matrix(name, self.checkpoint.tensor(name)?, tile.clone()).await?.matrix;
        let bias = match &d.head_bias {
            None => None,
            Some(name) => {
                let run = std::iter::once((tile.start, tile.len()));
                Some(self.weights.part_of_vector(name, self.checkpoint.tensor(name)?, run, 0.0).await?)
            }
        };
        Ok(Linear { weight, bias })
    }

    /// Logits of normed states against one tile, `[tokens, tile]`.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what the engine fails with.
    pub async fn tile_logits(&self, normed: &Tensor, tile: &Linear, task: &Task) -> Result<Tensor> {
        let engine = self.engine.as_ref();
        let mut logits = product(engine, task, normed, &tile.weight, tile.bias.as_deref()).await?;
        if let Some(cap) = self.description.logit_cap {
            engine.soft_cap(&mut logits, cap)?;
        }
        Ok(logits)
    }

    /// All logits of some states `[rows, hidden]` that have passed all blocks:
    /// `[rows, vocabulary]`, for few rows only.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn logits(&self, states: Tensor, task: &Task) -> Result<Vec<f32>> {
        let normed = self.before_head(states).await?;
        let mut values = vec![0.0; normed.rows * self.description.vocabulary];
        for tile in self.head_tiles() {
            let head = self.head_tile(tile.clone()).await?;
            let logits = self.engine.read(&self.tile_logits(&normed, &head, task).await?).await?;
            for (row, part) in values.chunks_exact_mut(self.description.vocabulary).zip(logits.chunks_exact(tile.len()))
            {
                row[tile.clone()].copy_from_slice(part);
            }
        }
        Ok(values)
    }

    /// The logits after the last of `ids`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] without ids, [`Error::Cancelled`], or what reading and computing fail
    /// with.
    pub async fn last_logits(&self, ids: &[u32], task: &Task) -> Result<Vec<f32>> {
        if ids.is_empty() {
            return Err(Error::argument("ids", "there is no token to predict from"));
        }
        let mut stream = self.embed(&[ids.to_vec()], task).await?;
        let step = task.step("logits", self.description.layers, "blocks");
        self.forward(&mut stream, 0..self.description.layers, None, task, &step).await?;
        let states = self.engine.copy_to_engine(&stream.chunks[0].states)?;
        let last = self.engine.gather(&states, &[ids.len() as u32 - 1])?;
        self.logits(last, task).await
    }
}
