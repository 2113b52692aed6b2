//! Weights on their way from a source to an engine: read in chunks, checked, uploaded in their
//! stored format, kept while the budget allows.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use crate::architecture::Projection;
use crate::checkpoint::StoredTensor;
use crate::checkpoint::read::{check_finite, read_values, readable_dtype};
use crate::checkpoint::source::{ByteSource, SourceId};
use crate::compute::{Compute, Matrix, Tensor};
use crate::error::{Error, Result};

/// Weights are read in chunks of about this many bytes, so that no tensor is ever whole on the
/// WebAssembly heap.
const CHUNK_BYTES: usize = 4 << 20;
/// A matrix that is stored the other way round is turned in pieces of about this many bytes; all of
/// it is read for each.
const TURNED_BYTES: usize = 16 << 20;
/// A budget below this is not halved any more: the engine has no room for anything.
const LEAST_BUDGET: u64 = 1 << 20;

/// Where a weight comes from: its source and its first byte. Two models that share a
/// tensor share its upload.
type Key = (SourceId, u64);

struct Resident<T> {
    source: Weak<dyn ByteSource>,
    value: T,
    bytes: u64,
}

/// A matrix, and whether all its values are zero.
#[derive(Clone)]
pub struct Loaded {
    /// The weights.
    pub matrix: Rc<Matrix>,
    /// True when there is nothing but zeros.
    pub zeros: bool,
}

/// Loads weights onto an engine and keeps those that fit the budget.
pub struct WeightStore {
    engine: Rc<dyn Compute>,
    /// Bytes of weights that may be on the engine together: those that stay, the block at work, and
    /// what is read ahead.
    budget: Cell<u64>,
    /// What of the budget is kept free for the block at work and the next one.
    reserve: Cell<u64>,
    /// Bytes of all matrices that were ever loaded.
    loaded: Cell<u64>,
    matrices: RefCell<HashMap<Key, Resident<Loaded>>>,
    vectors: RefCell<HashMap<Key, Resident<Rc<Tensor>>>>,
}

impl WeightStore {
    /// A store that has at most `budget` bytes of weights on the engine at once, or as little as
    /// one block needs.
    pub fn new(engine: Rc<dyn Compute>, budget: u64) -> Self {
        Self {
            engine,
            budget: budget.into(),
            reserve: Cell::default(),
            loaded: Cell::default(),
            matrices: RefCell::default(),
            vectors: RefCell::default(),
        }
    }

    /// Bytes of weights that may be on the engine together.
    pub fn budget(&self) -> u64 {
        self.budget.get()
    }

    /// Changes the budget, and lets go of what is beyond it.
    pub fn set_budget(&self, bytes: u64) {
        self.budget.set(bytes);
        self.shrink();
    }

    /// Says how large the model at work is: all its weights, and its largest block. Where not
    /// everything fits, room is kept for the block at work and the next one.
    pub(super) fn make_room(&self, model: u64, block: u64) {
        self.reserve.set(if model <= self.budget.get() { 0 } else { 2 * block });
        self.shrink();
    }

    /// How many bytes of the next block may be read while a block of `block` bytes is at work.
    pub(super) fn room_ahead(&self, block: u64) -> u64 {
        self.budget.get().saturating_sub(block)
    }

    /// Bytes of all matrices that were ever loaded: grows as reading goes on.
    pub(super) fn loaded(&self) -> u64 {
        self.loaded.get()
    }

    /// After `error`: halves the budget, if the error is that memory ran out and there is something
    /// left to give up.
    ///
    /// # Errors
    /// `error` otherwise.
    pub(super) fn give_up_half(&self, error: Error) -> Result<()> {
        if !matches!(error, Error::OutOfMemory { .. }) || self.budget.get() < LEAST_BUDGET {
            return Err(error);
        }
        self.set_budget(self.budget.get() / 2);
        Ok(())
    }

    /// Lets go of resident matrices until they leave the reserve free.
    fn shrink(&self) {
        let room = self.budget.get().saturating_sub(self.reserve.get());
        let mut matrices = self.matrices.borrow_mut();
        let mut held: u64 = matrices.values().map(|resident| resident.bytes).sum();
        matrices.retain(|_, resident| {
            let stays = held <= room;
            held -= if stays { 0 } else { resident.bytes };
            stays
        });
    }

    /// Lets go of the weights of models that are closed.
    pub fn sweep(&self) {
        self.matrices.borrow_mut().retain(|_, resident| resident.source.strong_count() > 0);
        self.vectors.borrow_mut().retain(|_, resident| resident.source.strong_count() > 0);
    }

    /// The rows `rows` of a stored matrix `[_, columns]`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a weight is not finite, or what reading and uploading fail with.
    pub async fn matrix(&self, name: &str, tensor: &StoredTensor, rows: std::ops::Range<usize>) -> Result<Loaded> {
        let dtype = readable_dtype(name, tensor)?;
        let columns = tensor.shape.last().copied().unwrap_or(0) as usize;
        let row_bytes = columns * dtype.size();
        let start = tensor.start + (rows.start * row_bytes) as u64;
        let key = key_of(tensor, start);
        if let Some(resident) = self.matrices.borrow().get(&key) {
            return Ok(resident.value.clone());
        }
        let mut matrix = self.engine.matrix(rows.len(), columns, dtype)?;
        let zeros = self.write(name, tensor, rows.start, rows.len(), (&mut matrix, 0)).await?;
        Ok(self.keep(tensor, key, matrix, zeros))
    }

    /// The first `lines` lines of a stored matrix, for a measurement: they are not kept.
    ///
    /// # Errors
    /// As [`WeightStore::matrix`].
    pub(super) async fn sample(&self, name: &str, tensor: &StoredTensor, lines: usize) -> Result<Matrix> {
        let columns = tensor.shape.last().copied().unwrap_or(0) as usize;
        let mut matrix = self.engine.matrix(lines, columns, readable_dtype(name, tensor)?)?;
        self.write(name, tensor, 0, lines, (&mut matrix, 0)).await?;
        Ok(matrix)
    }

    /// The weights of a projection `[rows, columns]`, from the tensor that it is stored in.
    ///
    /// # Errors
    /// As [`WeightStore::matrix`].
    pub async fn projection(&self, name: &str, tensor: &StoredTensor, part: &Projection) -> Result<Loaded> {
        let dtype = readable_dtype(name, tensor)?;
        let row_bytes = if part.transposed { dtype.size() } else { part.columns * dtype.size() };
        let key = key_of(tensor, tensor.start + (part.first * row_bytes) as u64);
        if let Some(resident) = self.matrices.borrow().get(&key) {
            return Ok(resident.value.clone());
        }
        let mut matrix = self.engine.matrix(part.rows, part.columns, dtype)?;
        let mut zeros = true;
        let mut row = 0;
        for (first, count) in part.runs() {
            zeros &= match part.transposed {
                true => self.write_turned(name, tensor, (first, count), (&mut matrix, row)).await?,
                false => self.write(name, tensor, first, count, (&mut matrix, row)).await?,
            };
            row += count;
        }
        Ok(self.keep(tensor, key, matrix, zeros))
    }

    /// Writes `count` stored rows from `first` on into the rows of a matrix from `row` on; true
    /// when all are zero.
    async fn write(
        &self,
        name: &str,
        tensor: &StoredTensor,
        first: usize,
        count: usize,
        (matrix, row): (&mut Matrix, usize),
    ) -> Result<bool> {
        let row_bytes = matrix.columns * matrix.dtype.size();
        let step = (CHUNK_BYTES / row_bytes.max(1)).max(1);
        let mut zeros = true;
        for done in (0..count).step_by(step) {
            let rows = step.min(count - done);
            let at = tensor.start + ((first + done) * row_bytes) as u64;
            let bytes = tensor.source.read(at, rows * row_bytes).await?;
            check_finite(name, matrix.dtype, &bytes)?;
            zeros &= all_zero(&bytes);
            self.engine.write_rows(matrix, row + done, &bytes)?;
        }
        Ok(zeros)
    }

    /// Writes `count` stored columns from `first` on into the rows of a matrix from `row` on; true
    /// when all are zero.
    async fn write_turned(
        &self,
        name: &str,
        tensor: &StoredTensor,
        (first, count): (usize, usize),
        (matrix, row): (&mut Matrix, usize),
    ) -> Result<bool> {
        let (size, inputs) = (matrix.dtype.size(), matrix.columns);
        let stored_bytes = tensor.shape.last().copied().unwrap_or(0) as usize * size;
        let (step, read) = ((TURNED_BYTES / (inputs * size).max(1)).max(1), (CHUNK_BYTES / stored_bytes.max(1)).max(1));
        let mut zeros = true;
        for done in (0..count).step_by(step) {
            let outputs = step.min(count - done);
            let mut turned = vec![0; outputs * inputs * size];
            for input in (0..inputs).step_by(read) {
                let rows = read.min(inputs - input);
                let at = tensor.start + (input * stored_bytes) as u64;
                let bytes = tensor.source.read(at, rows * stored_bytes).await?;
                for (i, stored) in bytes.chunks_exact(stored_bytes).enumerate() {
                    let wanted = &stored[(first + done) * size..(first + done + outputs) * size];
                    for (output, value) in wanted.chunks_exact(size).enumerate() {
                        let at = (output * inputs + input + i) * size;
                        turned[at..at + size].copy_from_slice(value);
                    }
                }
            }
            check_finite(name, matrix.dtype, &turned)?;
            zeros &= all_zero(&turned);
            self.engine.write_rows(matrix, row + done, &turned)?;
        }
        Ok(zeros)
    }

    /// Keeps a matrix for the next who asks, if the budget allows. A pass takes the blocks in turn,
    /// so what came first stays: what was used last would go just before it is needed.
    fn keep(&self, tensor: &StoredTensor, key: Key, matrix: Matrix, zeros: bool) -> Loaded {
        let bytes = (matrix.rows * matrix.columns * matrix.dtype.size()) as u64;
        let value = Loaded { matrix: Rc::new(matrix), zeros };
        self.loaded.set(self.loaded.get() + bytes);
        let held: u64 = self.matrices.borrow().values().map(|resident| resident.bytes).sum();
        if held + bytes + self.reserve.get() <= self.budget.get() {
            let source = Rc::downgrade(&tensor.source);
            self.matrices.borrow_mut().insert(key, Resident { source, value: value.clone(), bytes });
        }
        value
    }

    /// The bias of a norm of so many channels that has none, `[1, channels]`.
    ///
    /// # Errors
    /// What the engine's allocation fails with.
    pub fn no_bias(&self, channels: usize) -> Result<Rc<Tensor>> {
        self.engine.zeros(1, channels).map(Rc::new)
    }

    /// A stored vector, every value raised by `offset`, as a tensor `[1, n]`.
    ///
    /// # Errors
    /// As [`WeightStore::matrix`].
    pub async fn vector(&self, name: &str, tensor: &StoredTensor, offset: f32) -> Result<Rc<Tensor>> {
        self.part_of_vector(name, tensor, std::iter::once((0, tensor.shape.iter().product::<u64>() as usize)), offset)
            .await
    }

    /// The same of some runs `(first, number)` of the vector's values, one after the other.
    ///
    /// # Errors
    /// As [`WeightStore::matrix`].
    pub async fn part_of_vector(
        &self,
        name: &str,
        tensor: &StoredTensor,
        runs: impl Iterator<Item = (usize, usize)>,
        offset: f32,
    ) -> Result<Rc<Tensor>> {
        let size = readable_dtype(name, tensor)?.size();
        let runs: Vec<(usize, usize)> = runs.collect();
        let start = runs.first().map_or(0, |(first, _)| first * size);
        let key = key_of(tensor, tensor.start + start as u64);
        if let Some(resident) = self.vectors.borrow().get(&key) {
            return Ok(resident.value.clone());
        }
        let stored = read_values(name, tensor, 0, tensor.bytes as usize).await?;
        let wanted = runs.iter().flat_map(|(first, count)| &stored[*first..first + count]);
        let values: Vec<f32> = wanted.map(|value| value + offset).collect();
        let value = Rc::new(self.engine.upload(1, &values)?);
        let source = Rc::downgrade(&tensor.source);
        let resident = Resident { source, value: value.clone(), bytes: tensor.bytes };
        self.vectors.borrow_mut().insert(key, resident);
        Ok(value)
    }
}

fn key_of(tensor: &StoredTensor, start: u64) -> Key {
    (tensor.source.id(), start)
}

/// Whether there is nothing but zeros. Without a way out in the middle, so that it runs at the
/// speed of memory.
fn all_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let word = words.iter().fold(0, |any, word| any | u64::from_ne_bytes(*word));
    word == 0 && rest.iter().all(|byte| *byte == 0)
}
