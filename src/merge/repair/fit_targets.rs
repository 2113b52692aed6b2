//! What one block is fitted by, several of its projections and again and again: the stream that it reads, the original model's way over the blocks whose
//! work it does, and what the block itself gives on that stream. All is computed once, as far as there is room to keep it.
//!
//! Must not know what is fitted. What a block gives is kept under the condition that only what follows it is changed: its heads while queries, keys and
//! values are what they were, its neurons once what they read is settled.

use std::ops::Range;
use std::rc::Rc;

use super::chunk_cache::{ChunkCache, MOST_KEPT, Room};
use crate::compute::Tensor;
use crate::error::{Error, Result};
use crate::task::Task;
use crate::transformer::{Stream, Transformer, Way};

/// What a block is fitted by; see the module.
pub(super) struct Lesson<'a> {
    original: &'a Transformer,
    /// The original model's stream in front of the first of its blocks.
    start: Stream,
    /// The original blocks whose work the block does.
    pub blocks: Range<usize>,
    /// The stream of the current model in front of the block.
    pub input: Stream,
    /// The original's way, as in [`Way`], without its start.
    way: Rc<ChunkCache>,
    heads: ChunkCache,
    neurons: ChunkCache,
    room: Room,
}

impl<'a> Lesson<'a> {
    /// Nothing is computed yet. `input` and `start` are in front of the block and, in the original model, of the first of `blocks`.
    pub(super) fn new(original: &'a Transformer, input: Stream, start: Stream, blocks: Range<usize>) -> Self {
        Self::within(MOST_KEPT, original, input, start, blocks)
    }

    fn within(bytes: u64, original: &'a Transformer, input: Stream, start: Stream, blocks: Range<usize>) -> Self {
        let (chunks, room) = (start.chunk_count(), Room::new(bytes));
        let [way, heads, neurons] = [(); 3].map(|()| ChunkCache::new(chunks, &room));
        Self { original, start, blocks, input, way: Rc::new(way), heads, neurons, room }
    }

    /// The same for another block in the place of this one: of that nothing is known.
    ///
    /// # Errors
    /// What the engine's allocation fails with.
    pub(super) fn of_another_block(&self) -> Result<Self> {
        let (engine, chunks) = (self.original.engine.as_ref(), self.start.chunk_count());
        Ok(Self {
            original: self.original,
            start: self.start.fork(engine)?,
            blocks: self.blocks.clone(),
            input: self.input.fork(engine)?,
            way: self.way.clone(),
            heads: ChunkCache::new(chunks, &self.room),
            neurons: ChunkCache::new(chunks, &self.room),
            room: self.room.clone(),
        })
    }

    /// What chunk `chunk` meets in the original model.
    ///
    /// # Errors
    /// As [`Transformer::way`].
    pub(super) async fn way(&self, chunk: usize, task: &Task) -> Result<Way> {
        let engine = self.original.engine.as_ref();
        let states = self.way.get(engine, chunk, async || {
            let Way { attention, behind } = self.original.way(self.blocks.clone(), &self.start, chunk, task).await?;
            Ok(attention.into_iter().flatten().skip(1).chain([behind]).collect())
        });
        let mut states = states.await?;
        let front = self.start.states(engine, chunk)?;
        let Some(behind) = states.pop() else {
            return Ok(Way { attention: Vec::new(), behind: front });
        };
        let mut states = std::iter::once(front).chain(states);
        let attention = std::iter::from_fn(|| Some([states.next()?, states.next()?])).collect();
        Ok(Way { attention, behind })
    }

    /// What the heads of the block, the first of the model `block`, give on chunk `chunk`, `[tokens, heads * head_size]`, and the stream behind its
    /// attention.
    ///
    /// # Errors
    /// As [`Transformer::heads`].
    pub(super) async fn heads(&self, block: &Transformer, chunk: usize, task: &Task) -> Result<[Tensor; 2]> {
        let heads = async || Ok(vec![block.heads(0, &self.input, chunk, task).await?]);
        let heads = one(self.heads.get(block.engine.as_ref(), chunk, heads).await?)?;
        let stream = block.behind_heads(0, &self.input, chunk, &heads, task).await?;
        Ok([heads, stream])
    }

    /// What its neurons give, `[tokens, neurons]`, and the stream behind its attention.
    ///
    /// # Errors
    /// As [`Transformer::neurons`].
    pub(super) async fn neurons(&self, block: &Transformer, chunk: usize, task: &Task) -> Result<[Tensor; 2]> {
        let [_, stream] = self.heads(block, chunk, task).await?;
        let neurons = async || {
            let beside = self.beside(chunk)?;
            Ok(vec![block.neurons(0, beside.as_ref().unwrap_or(&stream), task).await?])
        };
        let neurons = one(self.neurons.get(block.engine.as_ref(), chunk, neurons).await?)?;
        Ok([neurons, stream])
    }

    /// What neurons read that stand side by side with attention: the stream as it comes. None where they read what is behind it.
    ///
    /// # Errors
    /// What the engine fails with.
    pub(super) fn beside(&self, chunk: usize) -> Result<Option<Tensor>> {
        match self.original.description.parallel {
            true => self.input.states(self.original.engine.as_ref(), chunk).map(Some),
            false => Ok(None),
        }
    }

    /// The current stream behind the block, and the original one behind the last of its blocks.
    ///
    /// # Errors
    /// As [`Lesson::neurons`] and [`Lesson::way`].
    pub(super) async fn done(mut self, block: &Transformer, task: &Task) -> Result<[Stream; 2]> {
        let engine = self.original.engine.as_ref();
        for chunk in 0..self.input.chunk_count() {
            let original = self.way(chunk, task).await?.behind;
            let [neurons, stream] = self.neurons(block, chunk, task).await?;
            let behind = block.behind_neurons(0, stream, &neurons, task).await?;
            self.input.set_states(engine, chunk, behind)?;
            self.start.set_states(engine, chunk, original)?;
        }
        Ok([self.input, self.start])
    }
}

/// The only one.
fn one(tensors: Vec<Tensor>) -> Result<Tensor> {
    let missing = || Error::argument("chunk", "it has no states");
    tensors.into_iter().next().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::miniature::open;

    /// One after the other and side by side, kept, kept in part, and never kept: all is what the blocks give one by one.
    #[test]
    fn what_is_kept_is_what_is_computed() {
        for miniature in ["llama", "phi"] {
            let (model, task) = (open(miniature), Task::silent());
            pollster::block_on(async {
                let (t, engine) = (&model.transformer, model.transformer.engine.as_ref());
                let read = async |states: &Tensor| engine.read(states).await.unwrap();
                // Windows long enough for several chunks.
                let window: Vec<u32> = (0..61).map(|i| (i * 17 + 1) % t.description.vocabulary as u32).collect();
                let windows = vec![window; 2 * engine.info().chunk_tokens / 61 + 1];
                let stream = t.embed(&windows, &task).await.unwrap();
                assert!(stream.chunk_count() > 1);
                let one_chunk = 4 * 4 * stream.values(engine, 0).await.unwrap().len() as u64;
                for room in [MOST_KEPT, one_chunk, 0] {
                    let [input, start] = [(); 2].map(|()| stream.fork(engine).unwrap());
                    let lesson = Lesson::within(room, t, input, start, 0..2);
                    for chunk in (0..stream.chunk_count()).chain(0..stream.chunk_count()) {
                        let way = lesson.way(chunk, &task).await.unwrap();
                        let mut front = stream.fork(engine).unwrap();
                        for (layer, told) in way.attention.iter().enumerate() {
                            let parts = t.block_parts(layer, &front, chunk, &task).await.unwrap();
                            let [ahead, behind] = [read(&told[0]).await, read(&told[1]).await];
                            assert_eq!(ahead, front.values(engine, chunk).await.unwrap(), "{miniature} {layer}");
                            assert_eq!(behind, read(&parts.stream).await, "{miniature} {layer}");
                            if layer == 0 {
                                let [heads, _] = lesson.heads(t, chunk, &task).await.unwrap();
                                let [neurons, stream] = lesson.neurons(t, chunk, &task).await.unwrap();
                                assert_eq!(read(&heads).await, read(&parts.attended).await, "{miniature}");
                                assert_eq!(read(&neurons).await, read(&parts.inner).await, "{miniature}");
                                assert_eq!(read(&stream).await, read(&parts.stream).await, "{miniature}");
                            }
                            let step = task.step("test", 1, "blocks");
                            t.forward(&mut front, layer..layer + 1, None, &task, &step).await.unwrap();
                        }
                        assert_eq!(way.attention.len(), 2);
                        assert_eq!(read(&way.behind).await, front.values(engine, chunk).await.unwrap());
                    }
                    let (few, all) = (usize::from(room > 0), stream.chunk_count());
                    assert_eq!(lesson.way.count(), if room == MOST_KEPT { all } else { few });
                    assert_eq!(lesson.neurons.count(), if room == MOST_KEPT { all } else { 0 });
                    // The block behind a stream of its own, the original's last.
                    let [input, original] = lesson.done(t, &task).await.unwrap();
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
