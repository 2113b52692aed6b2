//! A model on an engine, and its pass: each block's weights are loaded, all of the stream runs
//! through it, and the next block is read meanwhile. Must not know what the states are for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;

use super::block::{Block, Pass, Positions};
use super::prefetch;
use super::stream::{Chunk, Observer, Stream};
use super::weights::WeightStore;
use crate::architecture::Description;
use crate::architecture::rope::Rope;
use crate::checkpoint::Checkpoint;
use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};
use crate::task::{Step, Task};

/// A model on an engine; a copy shares its weights.
#[derive(Clone)]
pub struct Transformer {
    /// Where it computes.
    pub engine: Rc<dyn Compute>,
    /// The weights and the configuration.
    pub checkpoint: Rc<Checkpoint>,
    /// The model's shapes and names.
    pub description: Description,
    pub(super) weights: Rc<WeightStore>,
    pub(super) sizes: Sizes,
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

    /// Runs a stream through the blocks `layers`; `x[l + 1]` of every block goes past the observer.
    /// `step` counts blocks.
    ///
    /// The next block is read while one is at work, as far as the budget allows. When memory runs
    /// out, the budget is halved and the block is run again: the stream changes only when a block
    /// is done.
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
                    let (done, read) = prefetch::beside(pin!(work), read.as_mut(), may_read).await;
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

    pub(super) async fn load_block(&self, layer: usize) -> Result<Block> {
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

    pub(super) fn rope_tables(&self, positions: usize) -> Result<Vec<Tensor>> {
        let table = |rope: &Rope| self.engine.upload(positions, &rope.table(positions));
        self.description.ropes.iter().map(table).collect()
    }
}

/// All chunks of a stream after one block; `layer` is the index of the stream that they make.
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
