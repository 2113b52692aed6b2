//! The operations that a transformer needs, on two engines.
//!
//! [`Compute`] is the one interface; [`cpu::Cpu`] (gemm, SIMD) and [`gpu::Gpu`] (WGSL through wgpu) implement it, and the first is the oracle of
//! the second. Operations enqueue and return; only [`Compute::read`] and [`Compute::yield_now`] wait. This module must not know of models,
//! families, files or the web.

pub mod cpu;
pub mod gpu;

use std::ops::Range;

use crate::dtype::Dtype;
use crate::error::{Error, Pending, Result};
use crate::parked::Parked;

/// `f32` values `[rows, columns]`, row-major, on the engine that made it.
#[derive(Debug)]
pub struct Tensor {
    /// Number of rows: token positions, mostly.
    pub rows: usize,
    /// Number of columns: channels, mostly.
    pub columns: usize,
    storage: TensorStorage,
}

#[derive(Debug)]
enum TensorStorage {
    Host(Vec<f32>),
    Parked(Parked),
    Device(gpu::DeviceBuffer),
}

impl Tensor {
    /// The same values seen as `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when the number of values would change.
    pub fn reshaped(mut self, rows: usize, columns: usize) -> Result<Self> {
        if rows * columns != self.rows * self.columns {
            return Err(shape_error(format!("[{}, {}] cannot become [{rows}, {columns}]", self.rows, self.columns)));
        }
        (self.rows, self.columns) = (rows, columns);
        Ok(self)
    }
}

/// A weight matrix `[rows, columns]` = `[outputs, inputs]` in its stored format, on the engine that made it.
#[derive(Debug)]
pub struct Matrix {
    /// Number of rows: outputs.
    pub rows: usize,
    /// Number of columns: inputs.
    pub columns: usize,
    /// The stored format, decoded by the operation that uses the matrix.
    pub dtype: Dtype,
    storage: MatrixStorage,
}

#[derive(Debug)]
enum MatrixStorage {
    Parked(Parked),
    Device(gpu::DeviceBuffer),
}

/// The non-linearity of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x / (1 + exp(-x)).
    Silu,
    /// x / 2 (1 + erf(x / sqrt(2))); erf within 1.5e-7.
    Gelu,
    /// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
    GeluTanh,
    /// max(x, 0).
    Relu,
}

/// How the rows of q, k and v are to be read in [`Compute::attention`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Channels of one head.
    pub head_size: usize,
    /// Factor of the scores, usually 1 / sqrt(head_size).
    pub scale: f32,
    /// Sequences that lie one after the other in the rows.
    pub sequences: usize,
    /// Keys in front of the first query of each sequence (a cache); the first query sees `past + 1` keys.
    pub past: usize,
    /// The most keys that a query sees, the last ones and its own among them; none where it sees all.
    pub window: Option<usize>,
    /// Scores s become cap tanh(s / cap), as in [`Compute::soft_cap`]; none where they stay.
    pub cap: Option<f32>,
}

/// Columns of the state that [`Compute::head_statistics`] keeps for each row.
pub mod statistics {
    /// The largest logit of the first model so far.
    pub const MAX: usize = 0;
    /// Sum of exp(logit - MAX) of the first model.
    pub const SUM: usize = 1;
    /// The target's logit of the first model.
    pub const TARGET: usize = 2;
    /// The index of the largest logit of the first model (the lowest of equals).
    pub const BEST: usize = 3;
    /// The same four for the second model start here.
    pub const SECOND: usize = 4;
    /// Sum of exp(a - MAX) (a - b) over the logits a of the first and b of the second model.
    pub const CROSS: usize = 8;
    /// Values per row.
    pub const COLUMNS: usize = 9;
    /// MAX and BEST of a state that has seen nothing yet.
    pub const START: f32 = -1.0e30;
}

/// What an engine is and what it can do.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineInfo {
    /// `"cpu"` or `"webgpu"`.
    pub backend: &'static str,
    /// The hardware, in words for the user.
    pub adapter: String,
    /// True where the adapter is a program, not hardware (SwiftShader, lavapipe).
    pub software: bool,
    /// The most bytes that one matrix may have.
    pub max_matrix_bytes: u64,
    /// Tokens that are best run through a block together.
    pub chunk_tokens: usize,
    /// Floating-point operations that one call of an operation should stay under, so that the page can cancel and no watchdog bites.
    pub slice_flops: f64,
}

/// The operations. Shapes are `[rows, columns]`; every operation checks them and fails with [`Error::BadArgument`] when they do not fit.
pub trait Compute {
    /// What this engine is.
    fn info(&self) -> &EngineInfo;

    /// Bytes that tensors and matrices hold outside the WebAssembly heap now, and at the peak.
    fn memory(&self) -> (u64, u64);

    /// A tensor `[rows, columns]` of zeros.
    fn zeros(&self, rows: usize, columns: usize) -> Result<Tensor>;

    /// A tensor `[rows, values.len() / rows]` with these values.
    fn upload(&self, rows: usize, values: &[f32]) -> Result<Tensor>;

    /// A matrix `[rows, columns]` whose rows are written by [`Compute::write_rows`]; undefined before.
    fn matrix(&self, rows: usize, columns: usize, dtype: Dtype) -> Result<Matrix>;

    /// Writes whole rows, from `first_row` on, as they are stored in the file.
    fn write_rows(&self, matrix: &mut Matrix, first_row: usize, bytes: &[u8]) -> Result<()>;

    /// The values of a tensor.
    fn read<'a>(&'a self, tensor: &'a Tensor) -> Pending<'a, Vec<f32>>;

    /// Moves a tensor out of the WebAssembly heap until [`Compute::copy_to_engine`]; nothing to do where it is on a device.
    fn offload(&self, tensor: Tensor) -> Result<Tensor>;

    /// A copy of a tensor, parked or not, that operations can use and change.
    fn copy_to_engine(&self, tensor: &Tensor) -> Result<Tensor>;

    /// Lets others run: gives the event loop its turn, keeps submissions short and the queue from growing. Call it after every few operations.
    fn yield_now(&self) -> Pending<'_, ()>;

    /// `out[:, rows] = x w[rows]^T + bias[rows]` with x `[n, k]`, w `[m, k]`, bias `[1, m]`, out `[n, m]`; sums in f32.
    fn matmul(&self, x: &Tensor, w: &Matrix, rows: Range<usize>, bias: Option<&Tensor>, out: &mut Tensor)
    -> Result<()>;

    /// Each row of x `[n, d]` over its root mean square (of x^2, plus `epsilon`), times gain `[1, d]`.
    fn rms_norm(&self, x: &Tensor, gain: &Tensor, epsilon: f32) -> Result<Tensor>;

    /// Each row of x `[n, d]` less its mean, over its standard deviation (root of the mean square, plus `epsilon`), times gain `[1, d]`, plus
    /// bias `[1, d]`.
    fn layer_norm(&self, x: &Tensor, gain: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor>;

    /// Rotary embedding in place, halves convention: x `[n, heads * head_size]`; row r is at position `first + r % length` of its sequence;
    /// `table` `[positions, 2 * half]` holds `half` cosines, then `half` sines; channels beyond `2 * half` of a head stay.
    fn rotate(&self, x: &mut Tensor, head_size: usize, table: &Tensor, first: usize, length: usize) -> Result<()>;

    /// Causal softmax attention of the query heads that belong to the key heads `kv_heads`: q `[n, heads * head_size]`,
    /// k and v `[keys, kv_heads * head_size]`, written into the same columns of out `[n, heads * head_size]`.
    /// Rows of q are `sequences` runs of n / sequences; rows of k and v likewise, with room for at least `past + n / sequences` each.
    fn attention(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        shape: &Attention,
        kv_heads: Range<usize>,
        out: &mut Tensor,
    ) -> Result<()>;

    /// `gate = activation(gate) * up`, both `[n, d]`.
    fn gated(&self, gate: &mut Tensor, up: &Tensor, activation: Activation) -> Result<()>;

    /// `x = activation(x)`.
    fn activate(&self, x: &mut Tensor, activation: Activation) -> Result<()>;

    /// `x = cap tanh(x / cap)`, which keeps x within the cap; tanh within 1e-6 of itself. The cap is positive.
    fn soft_cap(&self, x: &mut Tensor, cap: f32) -> Result<()>;

    /// `x[..m] += factor y`, with x `[n, d]` and y `[m, d]`: to the first rows, or to all.
    fn add(&self, x: &mut Tensor, factor: f32, y: &Tensor) -> Result<()>;

    /// Of each row of x `[n, d]` its factor over its Euclidean norm: `[n, 1]`. Not finite for a row that is zero or not a number.
    fn inverse_row_norms(&self, x: &Tensor, factors: &[f32]) -> Result<Tensor>;

    /// x `[n, d]`, each row times its weight of `[n, 1]` if there are weights, transposed: `[d, n]`.
    fn transpose(&self, x: &Tensor, weights: Option<&Tensor>) -> Result<Tensor>;

    /// A matrix with the values of x, in `f32`.
    fn to_matrix(&self, x: &Tensor) -> Result<Matrix>;

    /// The rows of x `[n, d]` with these numbers, in this order.
    fn gather(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor>;

    /// Writes all rows of `source` `[n, d]` into `target` `[m, d]` from row `first` on.
    fn copy_rows(&self, target: &mut Tensor, first: usize, source: &Tensor) -> Result<()>;

    /// Folds one tile of logits into running statistics, so that logits `[tokens, vocabulary]` never exist whole.
    ///
    /// `logits` `[n, tile]` are those of the vocabulary entries from `first` on; `second` the same of another model, or none;
    /// `targets` has n entries of the whole vocabulary; `state` `[n, statistics::COLUMNS]` begins as [`start_state`].
    fn head_statistics(
        &self,
        logits: &Tensor,
        second: Option<&Tensor>,
        first: usize,
        targets: &[u32],
        state: &mut Tensor,
    ) -> Result<()>;
}

/// The state from which [`Compute::head_statistics`] starts, for `rows` rows.
pub fn start_state(engine: &dyn Compute, rows: usize) -> Result<Tensor> {
    let mut row = [0.0; statistics::COLUMNS];
    row[statistics::MAX] = statistics::START;
    row[statistics::SECOND + statistics::MAX] = statistics::START;
    engine.upload(rows, &row.repeat(rows))
}

/// The error for operands that do not fit together.
fn shape_error(found: String) -> Error {
    Error::argument("shape", found)
}

/// Fails with `what` unless `fits`.
fn check(fits: bool, what: impl FnOnce() -> String) -> Result<()> {
    if fits { Ok(()) } else { Err(shape_error(what())) }
}

/// The shape checks that both engines share, one function per operation that needs more than a comparison.
mod shapes {
    use super::*;

    pub(super) fn matmul(
        x: &Tensor,
        w: &Matrix,
        rows: &Range<usize>,
        bias: Option<&Tensor>,
        out: &Tensor,
    ) -> Result<()> {
        let bias_fits = bias.is_none_or(|b| b.rows * b.columns == w.rows);
        let fits = x.columns == w.columns
            && rows.start <= rows.end
            && rows.end <= w.rows
            && out.rows == x.rows
            && out.columns == w.rows;
        check(fits && bias_fits, || {
            format!(
                "[{}, {}] times the rows {rows:?} of [{}, {}] into [{}, {}]",
                x.rows, x.columns, w.rows, w.columns, out.rows, out.columns
            )
        })
    }

    /// Rows per sequence of q and of k.
    pub(super) fn attention(
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        a: &Attention,
        range: &Range<usize>,
        out: &Tensor,
    ) -> Result<(usize, usize)> {
        let sizes = a.sequences > 0 && a.kv_heads > 0 && a.head_size > 0 && a.heads.is_multiple_of(a.kv_heads);
        let (length, keys) = (q.rows / a.sequences.max(1), k.rows / a.sequences.max(1));
        let fits = sizes
            && q.columns == a.heads * a.head_size
            && k.columns == a.kv_heads * a.head_size
            && (v.rows, v.columns) == (k.rows, k.columns)
            && (out.rows, out.columns) == (q.rows, q.columns)
            && q.rows == length * a.sequences
            && k.rows == keys * a.sequences
            && keys >= a.past + length
            && a.window != Some(0)
            && a.cap.is_none_or(|cap| cap > 0.0)
            && range.end <= a.kv_heads;
        check(fits, || format!("attention of [{}, {}] over [{}, {}] as {a:?}", q.rows, q.columns, k.rows, k.columns))?;
        Ok((length, keys))
    }

    /// Gain or bias of the rows of x.
    pub(super) fn per_column(x: &Tensor, vector: &Tensor) -> Result<()> {
        check(vector.rows * vector.columns == x.columns, || {
            format!("{} gains or biases for {} columns", vector.rows * vector.columns, x.columns)
        })
    }

    pub(super) fn rotate(x: &Tensor, head_size: usize, table: &Tensor, first: usize, length: usize) -> Result<()> {
        let fits = head_size > 0
            && length > 0
            && x.columns.is_multiple_of(head_size)
            && table.columns.is_multiple_of(2)
            && table.columns <= head_size
            && first + length.min(x.rows) <= table.rows;
        check(fits, || {
            format!("rotation of [{}, {}] by a table [{}, {}]", x.rows, x.columns, table.rows, table.columns)
        })
    }

    pub(super) fn soft_cap(cap: f32) -> Result<()> {
        check(cap > 0.0, || format!("a soft cap of {cap}"))
    }

    /// One value for each row of x.
    pub(super) fn per_row(x: &Tensor, count: usize) -> Result<()> {
        check(count == x.rows, || format!("{count} factors for {} rows", x.rows))
    }

    /// The rows of y stand for the first of x.
    pub(super) fn first_rows(x: &Tensor, y: &Tensor) -> Result<()> {
        check(y.rows <= x.rows && x.columns == y.columns, || {
            format!("[{}, {}] and the first rows of [{}, {}] must be alike", y.rows, y.columns, x.rows, x.columns)
        })
    }

    pub(super) fn same(x: &Tensor, y: &Tensor) -> Result<()> {
        check((x.rows, x.columns) == (y.rows, y.columns), || {
            format!("[{}, {}] and [{}, {}] must be alike", x.rows, x.columns, y.rows, y.columns)
        })
    }

    pub(super) fn head_statistics(
        logits: &Tensor,
        second: Option<&Tensor>,
        targets: &[u32],
        state: &Tensor,
    ) -> Result<()> {
        second.map_or(Ok(()), |other| same(logits, other))?;
        let fits = targets.len() == logits.rows && state.rows == logits.rows && state.columns == statistics::COLUMNS;
        check(fits, || {
            format!("{} targets and {} states for {} rows of logits", targets.len(), state.rows, logits.rows)
        })
    }
}
