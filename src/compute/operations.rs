//! The operations, as a trait, and what they take besides tensors. Must not know how an engine does
//! them.

use std::ops::Range;

use super::tensor::{Matrix, Tensor};
use crate::dtype::Dtype;
use crate::error::{Pending, Result};

/// The non-linearity of an MLP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// x / (1 + exp(-x)).
    Silu,
    /// x / 2 (1 + erf(x / sqrt(2))); erf within 1.5e-7.
    Gelu,
    /// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// max(x, 0)^2.
    Relu2,
    /// xIELU (arXiv 2411.13010): p x^2 + beta x above 0, n (exp(min(x, eps)) - 1 - x) + beta x
    /// below. `eps` is negative and small.
    Xielu {
        /// Factor of the square.
        p: f32,
        /// Factor of what is below 0.
        n: f32,
        /// Slope at 0.
        beta: f32,
        /// The largest exponent.
        eps: f32,
    },
}

/// Which channels of a head are turned together: the two of pair i.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// i and i + half, of `half` pairs.
    Halves,
    /// 2 i and 2 i + 1.
    Adjacent,
}

/// How the columns of x are to be read in [`Compute::rotate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotatedHeads {
    /// Channels of one head.
    pub size: usize,
    /// Its pairs of channels.
    pub pairs: Pairs,
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
    /// Keys before the first query of each sequence (a cache); that query attends to `past + 1`
    /// keys.
    pub past: usize,
    /// The most keys that a query attends to, the last ones and its own among them; none where it
    /// attends to all.
    pub window: Option<usize>,
    /// Scores s become cap tanh(s / cap), as in [`Compute::soft_cap`]; none where they stay.
    pub cap: Option<f32>,
}

/// The properties of an engine.
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
    /// Floating-point operations that one call of an operation should stay under, so that the page
    /// can cancel and no watchdog ends it.
    pub slice_flops: f64,
}

/// The operations. Shapes are `[rows, columns]`; every operation checks them and fails with
/// [`crate::error::Error::BadArgument`] when they do not fit.
pub trait Compute {
    /// The properties of this engine.
    fn info(&self) -> &EngineInfo;

    /// Bytes that tensors and matrices hold outside the WebAssembly heap now, and at the peak.
    fn memory(&self) -> (u64, u64);

    /// A tensor `[rows, columns]` of zeros.
    fn zeros(&self, rows: usize, columns: usize) -> Result<Tensor>;

    /// A tensor `[rows, values.len() / rows]` with these values.
    fn upload(&self, rows: usize, values: &[f32]) -> Result<Tensor>;

    /// A matrix `[rows, columns]` whose rows are written by [`Compute::write_rows`]; undefined
    /// before.
    fn matrix(&self, rows: usize, columns: usize, dtype: Dtype) -> Result<Matrix>;

    /// Writes whole rows, from `first_row` on, as they are stored in the file.
    fn write_rows(&self, matrix: &mut Matrix, first_row: usize, bytes: &[u8]) -> Result<()>;

    /// The values of a tensor.
    fn read<'a>(&'a self, tensor: &'a Tensor) -> Pending<'a, Vec<f32>>;

    /// Moves the values of a tensor `[n, d]` out of the WebAssembly heap; operations then need a
    /// copy by [`Compute::copy_to_engine`]. A tensor on a device stays as it is.
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`] when there is no room.
    fn offload(&self, tensor: Tensor) -> Result<Tensor>;

    /// A copy of a tensor `[n, d]`, offloaded or not, that operations can use and change.
    fn copy_to_engine(&self, tensor: &Tensor) -> Result<Tensor>;

    /// Yields to the event loop where it has waited long enough, keeps submissions short and the
    /// queue from growing. To be called after every few operations.
    ///
    /// # Errors
    /// What has failed on the device since the last call.
    fn yield_now(&self) -> Pending<'_, ()>;

    /// `out[:, rows] = x w[rows]^T + bias[rows]` with x `[n, k]`, w `[m, k]`, bias `[1, m]`, out
    /// `[n, m]`; sums in f32.
    fn matmul(&self, x: &Tensor, w: &Matrix, rows: Range<usize>, bias: Option<&Tensor>, out: &mut Tensor)
    -> Result<()>;

    /// Each row of x `[n, d]` over its root mean square (of x^2, plus `epsilon`), times gain
    /// `[1, d]`.
    fn rms_norm(&self, x: &Tensor, gain: &Tensor, epsilon: f32) -> Result<Tensor>;

    /// Each row of x `[n, d]` less its mean, over its standard deviation (root of the mean square,
    /// plus `epsilon`), times gain `[1, d]`, plus bias `[1, d]`.
    fn layer_norm(&self, x: &Tensor, gain: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor>;

    /// Rotary embedding in place: x `[n, heads * size]`; row r is at position `first + r % length`
    /// of its sequence; `table` `[positions, 2 * half]` holds `half` cosines, then `half` sines,
    /// for as many pairs of channels; channels beyond `2 * half` of a head stay.
    fn rotate(&self, x: &mut Tensor, heads: RotatedHeads, table: &Tensor, first: usize, length: usize) -> Result<()>;

    /// Causal softmax attention of the query heads that belong to the key heads `kv_heads`: q
    /// `[n, heads * head_size]`, k and v `[keys, kv_heads * head_size]`, written into the same
    /// columns of out `[n, heads * head_size]`. Rows of q are `sequences` runs of n / sequences;
    /// rows of k and v likewise, with room for at least `past + n / sequences` each.
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

    /// `x = cap tanh(x / cap)`, which keeps x within the cap; tanh within 1e-6 of itself. The cap
    /// is positive.
    fn soft_cap(&self, x: &mut Tensor, cap: f32) -> Result<()>;

    /// `x[..m] += factor y`, with x `[n, d]` and y `[m, d]`: to the first rows, or to all.
    fn add(&self, x: &mut Tensor, factor: f32, y: &Tensor) -> Result<()>;

    /// `factors[r] / |x[r]|` with the Euclidean norm of each row r of x `[n, d]`, factors `[n]`:
    /// `[n, 1]`. Not finite for a row that is zero or not a number.
    fn inverse_row_norms(&self, x: &Tensor, factors: &[f32]) -> Result<Tensor>;

    /// x `[n, d]`, each row times its weight of `[n, 1]` if there are weights, transposed:
    /// `[d, n]`.
    fn transpose(&self, x: &Tensor, weights: Option<&Tensor>) -> Result<Tensor>;

    /// A matrix with the values of x, in `f32`.
    fn to_matrix(&self, x: &Tensor) -> Result<Matrix>;

    /// The rows of x `[n, d]` with these numbers, in this order.
    fn gather(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor>;

    /// Writes all rows of `source` `[n, d]` into `target` `[m, d]` from row `first` on.
    fn copy_rows(&self, target: &mut Tensor, first: usize, source: &Tensor) -> Result<()>;

    /// Folds one tile of logits into running statistics, so that logits `[tokens, vocabulary]`
    /// never exist whole.
    ///
    /// `logits` `[n, tile]` are those of the vocabulary entries from `first` on; `second` the same
    /// of another model, or none; `targets` has n entries of the whole vocabulary; `state`
    /// `[n, statistics::COLUMNS]` begins as [`super::start_state`].
    fn head_statistics(
        &self,
        logits: &Tensor,
        second: Option<&Tensor>,
        first: usize,
        targets: &[u32],
        state: &mut Tensor,
    ) -> Result<()>;
}
