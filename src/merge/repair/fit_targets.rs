//! What one block is fitted by, several of its projections and again and again: its input, the
//! original model's activations over the blocks whose work it does, and what the block itself
//! gives. All is computed once, as far as there is room to keep it.
//!
//! Must not know what is fitted. What a block gives is kept on the condition that only what follows
//! is changed: the output of its heads while queries, keys and values stay, its neurons once their
//! input maps are settled.

use std::ops::Range;
use std::rc::Rc;

use super::activation_cache::{ChunkCache, MOST_KEPT, Room};
use crate::compute::Tensor;
use crate::error::{Error, Result};
use crate::task::Task;
use crate::transformer::{ActivationTrace, Stream, Transformer};

/// Inputs and reference activations of the fits of one block; see the module.
pub struct FitTargets<'a> {
    original: &'a Transformer,
    /// The original model's input of the first of its blocks.
    start: Stream,
    /// The original blocks whose work the block does.
    pub blocks: Range<usize>,
    /// The input of the block in the current model.
    pub input: Stream,
    /// The original's trace, as in [`ActivationTrace`], without its start.
    trace: Rc<ChunkCache>,
    attention_output: ChunkCache,
    neurons: ChunkCache,
    room: Room,
}

impl<'a> FitTargets<'a> {
    /// Nothing is computed yet. `input` and `start` are the inputs of the block and, in the
    /// original model, of the first of `blocks`.
    pub fn new(original: &'a Transformer, input: Stream, start: Stream, blocks: Range<usize>) -> Self {
        Self::within(MOST_KEPT, original, input, start, blocks)
    }

    fn within(bytes: u64, original: &'a Transformer, input: Stream, start: Stream, blocks: Range<usize>) -> Self {
        let (chunks, room) = (start.chunk_count(), Room::new(bytes));
        let [trace, attention_output, neurons] = [(); 3].map(|()| ChunkCache::new(chunks, &room));
        Self { original, start, blocks, input, trace: Rc::new(trace), attention_output, neurons, room }
    }

    /// The same for another block in the place of this one: of that nothing is known.
    ///
    /// # Errors
    /// What the engine's allocation fails with.
    pub fn for_another_block(&self) -> Result<Self> {
        let (engine, chunks) = (self.original.engine.as_ref(), self.start.chunk_count());
        Ok(Self {
            original: self.original,
            start: self.start.fork(engine)?,
            blocks: self.blocks.clone(),
            input: self.input.fork(engine)?,
            trace: self.trace.clone(),
            attention_output: ChunkCache::new(chunks, &self.room),
            neurons: ChunkCache::new(chunks, &self.room),
            room: self.room.clone(),
        })
    }

    /// The original model's activations on chunk `chunk`.
    ///
    /// # Errors
    /// As [`Transformer::trace`].
    pub async fn trace(&self, chunk: usize, task: &Task) -> Result<ActivationTrace> {
        let engine = self.original.engine.as_ref();
        let states = self.trace.get(engine, chunk, async || {
            let ActivationTrace { attention, output } =
                self.original.trace(self.blocks.clone(), &self.start, chunk, task).await?;
            Ok(attention.into_iter().flatten().skip(1).chain([output]).collect())
        });
        let mut states = states.await?;
        let input = self.start.states(engine, chunk)?;
        let Some(output) = states.pop() else {
            return Ok(ActivationTrace { attention: Vec::new(), output: input });
        };
        let mut states = std::iter::once(input).chain(states);
        let attention = std::iter::from_fn(|| Some([states.next()?, states.next()?])).collect();
        Ok(ActivationTrace { attention, output })
    }

    /// The output of the heads of the block, the first of the model `block`, on chunk `chunk`,
    /// `[tokens, heads * head_size]`, and the stream after its attention, `[tokens, hidden]`.
    ///
    /// # Errors
    /// As [`Transformer::attention_output`].
    pub async fn attention_output(&self, block: &Transformer, chunk: usize, task: &Task) -> Result<[Tensor; 2]> {
        let heads = async || Ok(vec![block.attention_output(0, &self.input, chunk, task).await?]);
        let heads = one(self.attention_output.get(block.engine.as_ref(), chunk, heads).await?)?;
        let stream = block.after_attention(0, &self.input, chunk, &heads, task).await?;
        Ok([heads, stream])
    }

    /// Its neurons, `[tokens, neurons]`, and the stream after its attention, `[tokens, hidden]`.
    ///
    /// # Errors
    /// As [`Transformer::mlp_activations`].
    pub async fn mlp_activations(&self, block: &Transformer, chunk: usize, task: &Task) -> Result<[Tensor; 2]> {
        let [_, stream] = self.attention_output(block, chunk, task).await?;
        let neurons = async || {
            let parallel = self.parallel_input(chunk)?;
            Ok(vec![block.mlp_activations(0, parallel.as_ref().unwrap_or(&stream), task).await?])
        };
        let neurons = one(self.neurons.get(block.engine.as_ref(), chunk, neurons).await?)?;
        Ok([neurons, stream])
    }

    /// The input of an MLP that stands in parallel with attention: the input of the block. None
    /// where its input is the stream after attention.
    ///
    /// # Errors
    /// What the engine fails with.
    pub fn parallel_input(&self, chunk: usize) -> Result<Option<Tensor>> {
        match self.original.description.parallel {
            true => self.input.states(self.original.engine.as_ref(), chunk).map(Some),
            false => Ok(None),
        }
    }

    /// The output of the block in the current model, and that of the last of its blocks in the
    /// original one.
    ///
    /// # Errors
    /// As [`FitTargets::mlp_activations`] and [`FitTargets::trace`].
    pub async fn outputs(mut self, block: &Transformer, task: &Task) -> Result<[Stream; 2]> {
        let engine = self.original.engine.as_ref();
        for chunk in 0..self.input.chunk_count() {
            let original = self.trace(chunk, task).await?.output;
            let [neurons, stream] = self.mlp_activations(block, chunk, task).await?;
            let output = block.after_mlp(0, stream, &neurons, task).await?;
            self.input.set_states(engine, chunk, output)?;
            self.start.set_states(engine, chunk, original)?;
        }
        Ok([self.input, self.start])
    }
}

/// The only one.
fn one(tensors: Vec<Tensor>) -> Result<Tensor> {
    let missing = || Error::internal("a chunk was kept without its states");
    tensors.into_iter().next().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::choices::Norms;
    use crate::merge::miniature::open;

    /// One after the other and side by side, kept, kept in part, and never kept: all is what the
    /// blocks give one by one.
    #[test]
    fn what_is_kept_is_what_is_computed() {
        for miniature in ["llama", "phi"] {
            let (context, task) = (open(miniature, Norms::Fold), Task::silent());
            pollster::block_on(async {
                let (t, engine) = (&context.original, context.original.engine.as_ref());
                let read = async |states: &Tensor| engine.read(states).await.unwrap();
                // Windows long enough for several chunks.
                let window: Vec<u32> = (0..61).map(|i| (i * 17 + 1) % t.description.vocabulary as u32).collect();
                let windows = vec![window; 2 * engine.info().chunk_tokens / 61 + 1];
                let stream = t.embed(&windows, &task).await.unwrap();
                assert!(stream.chunk_count() > 1);
                let one_chunk = 4 * 4 * stream.values(engine, 0).await.unwrap().len() as u64;
                for room in [MOST_KEPT, one_chunk, 0] {
                    let [input, start] = [(); 2].map(|()| stream.fork(engine).unwrap());
                    let targets = FitTargets::within(room, t, input, start, 0..2);
                    for chunk in (0..stream.chunk_count()).chain(0..stream.chunk_count()) {
                        let trace = targets.trace(chunk, &task).await.unwrap();
                        let mut input = stream.fork(engine).unwrap();
                        for (layer, traced) in trace.attention.iter().enumerate() {
                            let parts = t.block_parts(layer, &input, chunk, &task).await.unwrap();
                            let [before, after] = [read(&traced[0]).await, read(&traced[1]).await];
                            assert_eq!(before, input.values(engine, chunk).await.unwrap(), "{miniature} {layer}");
                            assert_eq!(after, read(&parts.stream).await, "{miniature} {layer}");
                            if layer == 0 {
                                let [heads, _] = targets.attention_output(t, chunk, &task).await.unwrap();
                                let [neurons, stream] = targets.mlp_activations(t, chunk, &task).await.unwrap();
                                assert_eq!(read(&heads).await, read(&parts.attended).await, "{miniature}");
                                assert_eq!(read(&neurons).await, read(&parts.inner).await, "{miniature}");
                                assert_eq!(read(&stream).await, read(&parts.stream).await, "{miniature}");
                            }
                            let step = task.step("test", 1, "blocks");
                            t.forward(&mut input, layer..layer + 1, None, &task, &step).await.unwrap();
                        }
                        assert_eq!(trace.attention.len(), 2);
                        assert_eq!(read(&trace.output).await, input.values(engine, chunk).await.unwrap());
                    }
                    let (few, all) = (usize::from(room > 0), stream.chunk_count());
                    assert_eq!(targets.trace.count(), if room == MOST_KEPT { all } else { few });
                    assert_eq!(targets.neurons.count(), if room == MOST_KEPT { all } else { 0 });
                    // The outputs of the block and of the original's last.
                    let [input, original] = targets.outputs(t, &task).await.unwrap();
                    for (mut expected, found, layers) in
                        [(stream.fork(engine).unwrap(), input, 0..1), (stream.fork(engine).unwrap(), original, 0..2)]
                    {
                        let step = task.step("test", layers.len(), "blocks");
                        t.forward(&mut expected, layers, None, &task, &step).await.unwrap();
                        for chunk in 0..stream.chunk_count() {
                            let found = found.values(engine, chunk).await.unwrap();
                            assert_eq!(found, expected.values(engine, chunk).await.unwrap());
                        }
                    }
                }
            });
        }
    }
}
