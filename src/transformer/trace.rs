//! The parts of a block, one at a time: what its heads and its MLP give, and the residual stream
//! around them. Fits need these; a pass through whole blocks does not. Must not know what is
//! fitted.

use std::ops::Range;

use super::block::{Parts, Pass, Positions};
use super::model::Transformer;
use super::stream::Stream;
use crate::architecture::Role;
use crate::compute::Tensor;
use crate::error::Result;
use crate::task::Task;

/// The residual stream of one chunk on its way through some blocks, on the engine.
pub struct ActivationTrace {
    /// The stream before and after the attention of each block, `[tokens, hidden]`.
    pub attention: Vec<[Tensor; 2]>,
    /// The stream after the last block, `[tokens, hidden]`.
    pub output: Tensor,
}

impl Transformer {
    /// What the parts of block `layer` give on chunk `chunk` of its input.
    ///
    /// # Errors
    /// [`crate::error::Error::BadArgument`] when there is no such chunk,
    /// [`crate::error::Error::Cancelled`], or what reading and computing fail with.
    pub async fn block_parts(&self, layer: usize, input: &Stream, chunk: usize, task: &Task) -> Result<Parts> {
        let ropes = self.rope_tables(input.window)?;
        let block = self.load_block(layer).await?;
        let (states, positions) = self.chunk(input, chunk)?;
        block.parts(&self.pass(&ropes, task), states, positions).await
    }

    /// What the heads of block `layer` give on chunk `chunk` of its input, before the output
    /// projection: `[tokens, heads * head_size]`.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn attention_output(&self, layer: usize, input: &Stream, chunk: usize, task: &Task) -> Result<Tensor> {
        let ropes = self.rope_tables(input.window)?;
        let block = self.load_block(layer).await?;
        let (states, positions) = self.chunk(input, chunk)?;
        block.heads(&self.pass(&ropes, task), &states, positions).await
    }

    /// The stream after the attention of block `layer`, `[tokens, hidden]`, whose heads give
    /// `attention_output` on chunk `chunk` of its input.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn after_attention(
        &self,
        layer: usize,
        input: &Stream,
        chunk: usize,
        attention_output: &Tensor,
        task: &Task,
    ) -> Result<Tensor> {
        let block = self.load_block(layer).await?;
        let (mut states, _) = self.chunk(input, chunk)?;
        block.add_attended(&self.pass(&[], task), &mut states, attention_output).await?;
        Ok(states)
    }

    /// States `[tokens, hidden]` as gate and up of block `layer` get them: through the norm before
    /// its MLP, if there is one.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn mlp_input(&self, layer: usize, states: Tensor, task: &Task) -> Result<Tensor> {
        let block = self.load_block(layer).await?;
        let normed = block.input_of(&self.pass(&[], task), Role::Up, &states)?;
        Ok(normed.unwrap_or(states))
    }

    /// The neurons of block `layer`, `[tokens, neurons]`, before the down projection, where the
    /// input of its MLP is `states` `[tokens, hidden]`.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn mlp_activations(&self, layer: usize, states: &Tensor, task: &Task) -> Result<Tensor> {
        let block = self.load_block(layer).await?;
        block.inner(&self.pass(&[], task), states).await
    }

    /// The output of block `layer`, `[tokens, hidden]`, from the stream after its attention and
    /// from its neurons, `[tokens, neurons]`.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn after_mlp(&self, layer: usize, mut stream: Tensor, neurons: &Tensor, task: &Task) -> Result<Tensor> {
        self.load_block(layer).await?.add_inner(&self.pass(&[], task), &mut stream, neurons).await?;
        Ok(stream)
    }

    /// Traces chunk `chunk` of a stream, the input of the first of `layers`, through these blocks.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn trace(
        &self,
        layers: Range<usize>,
        input: &Stream,
        chunk: usize,
        task: &Task,
    ) -> Result<ActivationTrace> {
        let ropes = self.rope_tables(input.window)?;
        let pass = self.pass(&ropes, task);
        let (mut states, positions) = self.chunk(input, chunk)?;
        let mut attention = Vec::new();
        for layer in layers {
            let block = self.load_block(layer).await?;
            let before = self.engine.copy_to_engine(&states)?;
            attention.push([before, block.run_traced(&pass, &mut states, positions).await?]);
        }
        Ok(ActivationTrace { attention, output: states })
    }

    /// The states of a chunk, ready to compute with, and their positions.
    fn chunk(&self, stream: &Stream, chunk: usize) -> Result<(Tensor, Positions)> {
        let chunk = stream.chunk(chunk)?;
        let positions = Positions { sequences: chunk.sequences, length: stream.window, past: 0 };
        Ok((self.engine.copy_to_engine(&chunk.states)?, positions))
    }

    fn pass<'a>(&'a self, ropes: &'a [Tensor], task: &'a Task) -> Pass<'a> {
        Pass { engine: self.engine.as_ref(), description: &self.description, ropes, task }
    }
}
