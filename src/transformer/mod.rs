//! Embedding, blocks, head: a decoder run one block at a time on any engine.
//!
//! A [`Stream`] holds the hidden states of all windows between two blocks; block l's weights are loaded, all of the stream runs through it, and
//! block l + 1 is being read meanwhile. This module must not know what the states are for: nothing of MKA, nothing of the web.

mod ahead;
mod block;
mod generate;
mod rates;
mod weights;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;

use crate::architecture::rope::Rope;
use crate::architecture::{Description, Learned, Narrow, readable_dtype};
use crate::checkpoint::Checkpoint;
use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};
use crate::task::{Step, Task};
pub use block::Linear;
use block::{Block, NormWeights, Pass, Positions, product};
pub use generate::{Decoder, Sampler};
pub use rates::Rates;
pub use weights::{WeightStore, read_values};

/// Rows of the vocabulary that are multiplied at once: logits of 1,024 tokens then take 16 MB.
const HEAD_TILE: usize = 4096;
/// With so few different tokens, their rows of the embedding are read one by one.
const FEW_ROWS: usize = 64;
/// The embedding is read in chunks of about this many bytes otherwise.
const EMBEDDING_CHUNK: usize = 4 << 20;

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

/// The hidden states of some windows of equal length between two blocks: `x[l]`, all positions.
pub struct Stream {
    chunks: Vec<Chunk>,
    window: usize,
}

/// Hidden states `[sequences * window, hidden]` of a few windows, parked while no block works on them.
struct Chunk {
    states: Tensor,
    sequences: usize,
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

    /// A copy of the first chunks that have at most `tokens` tokens together; of the first one at least.
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
            Ok(Chunk { states: engine.park(engine.unpark(&chunk.states)?)?, sequences: chunk.sequences })
        };
        let chunks = self.chunks.iter().enumerate().take_while(fits).map(copy).collect::<Result<_>>()?;
        Ok(Self { chunks, window: self.window })
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

    fn chunk(&self, index: usize) -> Result<&Chunk> {
        self.chunks.get(index).ok_or_else(|| Error::argument("chunk", format!("{index} of {}", self.chunks.len())))
    }

    /// Bytes that the states take.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| 4 * (chunk.states.rows * chunk.states.columns) as u64).sum()
    }
}

/// How many windows of `window` tokens a chunk has, so that it holds about as many tokens as the engine likes.
pub fn windows_per_chunk(engine: &dyn Compute, window: usize) -> usize {
    (engine.info().chunk_tokens / window.max(1)).max(1)
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

    /// The embeddings of windows of equal length: `x[0]`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for an id outside the vocabulary or a window beyond the learned positions, [`Error::NotFinite`] for weights that are not usable.
    pub async fn embed(&self, windows: &[Vec<u32>], task: &Task) -> Result<Stream> {
        let window = windows.first().map_or(0, Vec::len);
        self.check_positions(window)?;
        let mut chunks = Vec::new();
        for group in windows.chunks(windows_per_chunk(self.engine.as_ref(), window)) {
            let states = self.embed_rows(&group.concat(), window, 0).await?;
            chunks.push(Chunk { states: self.engine.park(states)?, sequences: group.len() });
            self.engine.pace().await?;
            task.check()?;
        }
        Ok(Stream { chunks, window })
    }

    /// Fails where positions are learned and there are fewer than `window`.
    fn check_positions(&self, window: usize) -> Result<()> {
        let positions = self.description.positions;
        if self.description.learned.is_some() && window > positions {
            return Err(Error::argument("window", format!("is {window}, the model has learned {positions} positions")));
        }
        Ok(())
    }

    /// The rows of the embedding for these ids, `[ids, hidden]`, with their positions: `past`, `past + 1`… in each run of `window` ids.
    async fn embed_rows(&self, ids: &[u32], window: usize, past: usize) -> Result<Tensor> {
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
        if let Some(Narrow { into, .. }) = &self.description.narrow {
            states = self.project(&states, into).await?;
        }
        if let Some(Learned { name, offset }) = &self.description.learned {
            let row_bytes = self.description.hidden * readable_dtype(name, self.checkpoint.tensor(name)?)?.size();
            let first = (past + offset) * row_bytes;
            let rows = read_values(name, self.checkpoint.tensor(name)?, first as u64, window * row_bytes).await?;
            let positions = self.engine.upload(ids.len(), &rows.repeat(ids.len() / window.max(1)))?;
            self.engine.add(&mut states, &positions)?;
        }
        Ok(states)
    }

    /// x `[n, columns]` through the matrix `name`, `[_, columns]`, outside the blocks.
    async fn project(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let tensor = self.checkpoint.tensor(name)?;
        let rows = tensor.shape.first().copied().unwrap_or(0) as usize;
        let loaded = self.weights.matrix(name, tensor, 0..rows).await?;
        if loaded.zeros {
            let found = "all its values are zero".into();
            return Err(Error::NotFinite { what: format!("the tensor {name}"), found });
        }
        product(self.engine.as_ref(), &Task::silent(), x, &loaded.matrix, None).await
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

    /// The two halves of block `layer` on chunk `chunk` of the stream in front of it: the post-attention stream and what the MLP adds to it,
    /// `[tokens, hidden]` each. Their sum is the block's output.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no such chunk, [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn block_halves(
        &self,
        layer: usize,
        stream: &Stream,
        chunk: usize,
        task: &Task,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let ropes = self.rope_tables(stream.window)?;
        let pass = Pass { engine: self.engine.as_ref(), description: &self.description, ropes: &ropes, task };
        let block = self.load_block(layer).await?;
        let chunk = stream.chunk(chunk)?;
        let mut states = self.engine.unpark(&chunk.states)?;
        let positions = Positions { sequences: chunk.sequences, length: stream.window, past: 0 };
        let added = block.halves(&pass, &mut states, positions, None).await?;
        Ok((self.engine.read(&states).await?, self.engine.read(&added).await?))
    }

    /// Shows an observer the stream as it is: `x[0]`, before any block.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn observe(&self, stream: &Stream, observer: &mut dyn Observer) -> Result<()> {
        for (index, chunk) in stream.chunks.iter().enumerate() {
            let states = self.engine.unpark(&chunk.states)?;
            show(self.engine.as_ref(), &states, 0, index, observer).await?;
        }
        Ok(())
    }

    /// A chunk of a stream that has passed all blocks as the head reads it, `[tokens, embedding_columns]`: through the final norm, if there is one.
    ///
    /// # Errors
    /// What reading and computing fail with.
    pub async fn normed(&self, stream: &Stream, chunk: usize) -> Result<Tensor> {
        let chunk = stream.chunk(chunk)?;
        self.before_head(self.engine.unpark(&chunk.states)?).await
    }

    async fn before_head(&self, mut states: Tensor) -> Result<Tensor> {
        if let Some(name) = &self.description.final_norm {
            let norm = NormWeights::load(&self.weights, &self.checkpoint, &self.description, name).await?;
            states = norm.apply(self.engine.as_ref(), &states, self.description.epsilon)?;
        }
        if let Some(Narrow { out, .. }) = &self.description.narrow {
            states = self.project(&states, out).await?;
        }
        Ok(states)
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

    /// All logits of some states `[rows, hidden]` that have passed all blocks: `[rows, vocabulary]`, for few rows only.
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
    /// [`Error::BadArgument`] without ids, [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn last_logits(&self, ids: &[u32], task: &Task) -> Result<Vec<f32>> {
        if ids.is_empty() {
            return Err(Error::argument("ids", "there is no token to predict from"));
        }
        let mut stream = self.embed(&[ids.to_vec()], task).await?;
        let step = task.step("logits", self.description.layers, "blocks");
        self.forward(&mut stream, 0..self.description.layers, None, task, &step).await?;
        let states = self.engine.unpark(&stream.chunks[0].states)?;
        let last = self.engine.gather(&states, &[ids.len() as u32 - 1])?;
        self.logits(last, task).await
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
        let mut states = pass.engine.unpark(&chunk.states)?;
        let positions = Positions { sequences: chunk.sequences, length: stream.window, past: 0 };
        block.run(pass, &mut states, positions, None).await?;
        if let Some(observer) = observer {
            show(pass.engine, &states, layer, index, *observer).await?;
        }
        chunks.push(Chunk { states: pass.engine.park(states)?, sequences: chunk.sequences });
    }
    if let Some(last) = chunks.last() {
        // A device tells late that it had no room; what is read from it is there.
        let last = pass.engine.unpark(&last.states)?;
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
