//! Embedding, blocks, head: a decoder run one block at a time on any engine.
//!
//! A [`Stream`] holds the hidden states of all windows between two blocks; block l's weights are loaded, all of the stream runs through it, and
//! block l + 1 is being read meanwhile. This module must not know what the states are for: nothing of MKA, nothing of the web.

mod ahead;
mod block;
mod embed;
mod generate;
mod head;
mod rates;
mod stream;
mod weights;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;

use crate::architecture::rope::Rope;
use crate::architecture::{Description, Role};
use crate::checkpoint::Checkpoint;
use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};
use crate::task::{Step, Task};
use block::{Block, Pass, Positions};
pub use block::{Linear, Parts, product, product_rows};
pub use generate::{Decoder, Sampler};
pub use rates::Rates;
use stream::Chunk;
pub use stream::{Observer, Stream, windows_per_chunk};
pub use weights::{WeightStore, read_values};

/// A model on an engine; a copy shares its weights.
#[derive(Clone)]
pub struct Transformer {
    /// Where it computes.
    pub engine: Rc<dyn Compute>,
    /// The weights and the configuration.
    pub checkpoint: Rc<Checkpoint>,
    /// The model's shapes and names.
    pub description: Description,
    weights: Rc<WeightStore>,
    sizes: Sizes,
    /// Blocks that turned out to be nothing but zeros.
    empty: RefCell<BTreeSet<usize>>,
}

/// Bytes of a model's weights as they are stored.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// All that the model uses.
    pub all: u64,
    /// Its largest block.
    pub block: u64,
}

/// What a chunk of a stream meets in some blocks, on the engine.
pub struct Way {
    /// The stream in front of and behind the attention of each, `[tokens, hidden]`.
    pub attention: Vec<[Tensor; 2]>,
    /// The stream behind all of them, `[tokens, hidden]`.
    pub behind: Tensor,
}

impl Transformer {
    /// A model whose tensors have been checked against its description.
    ///
    /// # Errors
    /// What [`Description::check`] fails with.
    pub fn new(
        engine: Rc<dyn Compute>,
        weights: Rc<WeightStore>,
        checkpoint: Rc<Checkpoint>,
        description: Description,
    ) -> Result<Self> {
        description.check(&checkpoint)?;
        let bytes = |names: Vec<(String, Vec<u64>)>| -> u64 {
            names.iter().filter_map(|(name, _)| checkpoint.tensors.get(name)).map(|tensor| tensor.bytes).sum()
        };
        let blocks: Vec<u64> = (0..description.layers).map(|layer| bytes(description.block_tensors(layer))).collect();
        let sizes = Sizes {
            all: blocks.iter().sum::<u64>() + bytes(description.outer_tensors()),
            block: blocks.iter().copied().max().unwrap_or(0),
        };
        Ok(Self { engine, checkpoint, description, weights, sizes, empty: RefCell::default() })
    }

    /// Bytes of the weights.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Does `work`; when memory runs out, again with half of the budget.
    ///
    /// # Errors
    /// What `work` fails with.
    pub async fn with_less<T>(&self, mut work: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        loop {
            match work().await {
                Err(error) => self.weights.give_up_half(error)?,
                done => return done,
            }
        }
    }

    /// Blocks that were read and are nothing but zeros: they pass the stream on as it is.
    pub fn empty_blocks(&self) -> Vec<usize> {
        self.empty.borrow().iter().copied().collect()
    }

    /// Runs a stream through the blocks `layers`; `x[l + 1]` of every block goes past the observer. `step` counts blocks.
    ///
    /// The next block is read while one is at work, as far as the budget allows. When memory runs out, the budget is halved and the block is
    /// run again: the stream changes only when a block is done.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn forward(
        &self,
        stream: &mut Stream,
        layers: Range<usize>,
        mut observer: Option<&mut dyn Observer>,
        task: &Task,
        step: &Step<'_>,
    ) -> Result<()> {
        let ropes = self.rope_tables(stream.window)?;
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &ropes, task };
        self.weights.make_room(self.sizes.all, self.sizes.block);
        let mut next = None;
        let mut layer = layers.start;
        while layer < layers.end {
            let block = match next.take() {
                Some(block) => block,
                None => self.load_block(layer).await,
            };
            let ahead = layer + 1;
            let room = self.weights.loaded() + self.weights.room_ahead(self.sizes.block);
            let mut read = pin!(self.load_block(ahead));
            let done = match block {
                Err(error) => Err(error),
                Ok(block) => {
                    let work = run_block(&pass, &block, stream, ahead, &mut observer);
                    let may_read = || layers.contains(&ahead) && self.weights.loaded() <= room;
                    let (done, read) = ahead::beside(pin!(work), read.as_mut(), may_read).await;
                    next = read;
                    done
                }
            };
            match done {
                Ok(chunks) => {
                    stream.chunks = chunks;
                    layer = ahead;
                    step.advance(1)?;
                    if next.is_none() && layers.contains(&ahead) {
                        next = Some(read.await);
                    }
                }
                Err(error) => {
                    next = None;
                    self.weights.give_up_half(error)?;
                }
            }
        }
        Ok(())
    }

    /// What the parts of block `layer` give on chunk `chunk` of the stream in front of it.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no such chunk, [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn block_parts(&self, layer: usize, stream: &Stream, chunk: usize, task: &Task) -> Result<Parts> {
        let ropes = self.rope_tables(stream.window)?;
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &ropes, task };
        let block = self.load_block(layer).await?;
        let (states, positions) = self.chunk(stream, chunk)?;
        block.parts(&pass, states, positions).await
    }

    /// What the heads of block `layer` give on chunk `chunk` of the stream in front of it: `[tokens, heads * head_size]`.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn heads(&self, layer: usize, stream: &Stream, chunk: usize, task: &Task) -> Result<Tensor> {
        let ropes = self.rope_tables(stream.window)?;
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &ropes, task };
        let block = self.load_block(layer).await?;
        let (states, positions) = self.chunk(stream, chunk)?;
        block.heads(&pass, &states, positions).await
    }

    /// The stream behind the attention of block `layer`, whose heads give this on chunk `chunk` of the one in front of it.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn behind_heads(
        &self,
        layer: usize,
        stream: &Stream,
        chunk: usize,
        heads: &Tensor,
        task: &Task,
    ) -> Result<Tensor> {
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &[], task };
        let block = self.load_block(layer).await?;
        let (mut states, _) = self.chunk(stream, chunk)?;
        block.add_attended(&pass, &mut states, heads).await?;
        Ok(states)
    }

    /// What chunk `chunk` of a stream meets in the blocks `layers`; the stream is in front of the first of them.
    ///
    /// # Errors
    /// As [`Transformer::block_parts`].
    pub async fn way(&self, layers: Range<usize>, stream: &Stream, chunk: usize, task: &Task) -> Result<Way> {
        let ropes = self.rope_tables(stream.window)?;
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &ropes, task };
        let (mut states, positions) = self.chunk(stream, chunk)?;
        let mut attention = Vec::new();
        for layer in layers {
            let block = self.load_block(layer).await?;
            let front = self.engine.copy_to_engine(&states)?;
            attention.push([front, block.run_told(&pass, &mut states, positions).await?]);
        }
        Ok(Way { attention, behind: states })
    }

    /// States `[tokens, hidden]` as the neurons of block `layer` read them: through the norm in front of its MLP, if there is one.
    ///
    /// # Errors
    /// As [`Transformer::neurons`].
    pub async fn read_by_neurons(&self, layer: usize, states: Tensor, task: &Task) -> Result<Tensor> {
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &[], task };
        let block = self.load_block(layer).await?;
        let read = block.read_by(&pass, Role::Up, &states)?;
        Ok(read.unwrap_or(states))
    }

    /// The states of a chunk, ready to compute with, and where they stand.
    fn chunk(&self, stream: &Stream, chunk: usize) -> Result<(Tensor, Positions)> {
        let chunk = stream.chunk(chunk)?;
        let positions = Positions { sequences: chunk.sequences, length: stream.window, past: 0 };
        Ok((self.engine.copy_to_engine(&chunk.states)?, positions))
    }

    /// What the neurons of block `layer` give, `[tokens, neurons]`, where its MLP reads `states` `[tokens, hidden]`.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn neurons(&self, layer: usize, states: &Tensor, task: &Task) -> Result<Tensor> {
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &[], task };
        let block = self.load_block(layer).await?;
        block.inner(&pass, states).await
    }

    /// The stream behind block `layer`, whose neurons give `inner` `[tokens, neurons]`, from the one behind its attention.
    ///
    /// # Errors
    /// As [`Transformer::neurons`].
    pub async fn behind_neurons(
        &self,
        layer: usize,
        mut stream: Tensor,
        inner: &Tensor,
        task: &Task,
    ) -> Result<Tensor> {
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &[], task };
        self.load_block(layer).await?.add_inner(&pass, &mut stream, inner).await?;
        Ok(stream)
    }

    /// Shows an observer the stream as it is: `x[0]`, before any block.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn observe(&self, stream: &Stream, observer: &mut dyn Observer) -> Result<()> {
        for (index, chunk) in stream.chunks.iter().enumerate() {
            let states = self.engine.copy_to_engine(&chunk.states)?;
            show(self.engine.as_ref(), &states, 0, index, observer).await?;
        }
        Ok(())
    }

    async fn load_block(&self, layer: usize) -> Result<Block> {
        let block = Block::load(&self.weights, &self.checkpoint, &self.description, layer).await?;
        if block.empty {
            self.empty.borrow_mut().insert(layer);
            if self.empty.borrow().len() == self.description.layers {
                let found = "all their values are zero".into();
                return Err(Error::NotFinite { what: "the matrices of the model's blocks".into(), found });
            }
        }
        Ok(block)
    }

    fn rope_tables(&self, positions: usize) -> Result<Vec<Tensor>> {
        let table = |rope: &Rope| self.engine.upload(positions, &rope.table(positions));
        self.description.ropes.iter().map(table).collect()
    }
}

/// All chunks of a stream behind one block; `layer` is the index of the stream that they make.
async fn run_block(
    pass: &Pass<'_>,
    block: &Block,
    stream: &Stream,
    layer: usize,
    observer: &mut Option<&mut dyn Observer>,
) -> Result<Vec<Chunk>> {
    let mut chunks = Vec::new();
    for (index, chunk) in stream.chunks.iter().enumerate() {
        let mut states = pass.engine.copy_to_engine(&chunk.states)?;
        let positions = Positions { sequences: chunk.sequences, length: stream.window, past: 0 };
        block.run(pass, &mut states, positions, None).await?;
        if let Some(observer) = observer {
            show(pass.engine, &states, layer, index, *observer).await?;
        }
        chunks.push(Chunk { states: pass.engine.offload(states)?, sequences: chunk.sequences });
    }
    if let Some(last) = chunks.last() {
        // A device tells late that it had no room; what is read from it is there.
        let last = pass.engine.copy_to_engine(&last.states)?;
        pass.engine.read(&pass.engine.gather(&last, &[0])?).await?;
    }
    Ok(chunks)
}

async fn show(
    engine: &dyn Compute,
    states: &Tensor,
    layer: usize,
    chunk: usize,
    observer: &mut dyn Observer,
) -> Result<()> {
    let rows = observer.rows(chunk).to_vec();
    if !rows.is_empty() {
        let values = engine.read(&engine.gather(states, &rows)?).await?;
        observer.take(layer, chunk, &values);
    }
    Ok(())
}
