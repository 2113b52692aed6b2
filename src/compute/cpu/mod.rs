//! The CPU engine: one thread, `gemm` for products (in most browsers, `tiles` for large ones), SIMD
//! by loops that the compiler vectorises. The oracle of the WebGPU engine.
//!
//! Matrices lie outside the WebAssembly heap and enter it in slices of at most [`SLICE_BYTES`];
//! every operation runs at once.

mod attention;
mod gemm;
mod layout;
mod math;
mod statistics;
#[cfg(any(target_arch = "wasm32", test))]
mod tiles;

use std::cell::{Cell, RefCell};
use std::ops::Range;

use web_time::Instant;

use super::operations::{Activation, Attention, Compute, EngineInfo, Pairs, RotatedHeads};
use super::shapes;
use super::tensor::{Matrix, MatrixStorage, Tensor, TensorStorage, check, shape_error};
use crate::dtype::Dtype;
use crate::error::{Pending, Result};
use crate::platform::event_loop;
use crate::platform::off_heap::{Meter, OffHeapBuffer};
use gemm::gemm;
use layout::Layout;

/// The most bytes of a matrix that are on the heap at once, in the stored format.
const SLICE_BYTES: usize = 2 << 20;
/// With at most so many rows of x a product is bound by reading the weights, and dot products beat
/// `gemm`, which packs.
const FEW_ROWS: usize = 4;
/// Milliseconds of work after which [`Compute::yield_now`] gives the event loop its turn.
const TURN_MS: u128 = 30;

/// The CPU engine.
pub struct Cpu {
    info: EngineInfo,
    meter: Meter,
    scratch: RefCell<Scratch>,
    last_turn: Cell<Instant>,
}

/// Buffers that operations use again and again.
#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    weights: Vec<f32>,
    scores: Vec<f32>,
}

impl Default for Cpu {
    fn default() -> Self {
        #[cfg(target_arch = "wasm32")]
        let simd = match tiles::fused::is_there() {
            true => "WebAssembly SIMD with fused multiply-add",
            false => "WebAssembly SIMD",
        };
        #[cfg(not(target_arch = "wasm32"))]
        let simd = "native SIMD";
        let info = EngineInfo {
            backend: "cpu",
            adapter: format!("one CPU thread, {simd}"),
            software: false,
            max_matrix_bytes: 64 << 20,
            chunk_tokens: 1024,
            slice_flops: 1.0e9,
        };
        Self { info, meter: Meter::default(), scratch: RefCell::default(), last_turn: Cell::new(Instant::now()) }
    }
}

impl Tensor {
    fn from_host(rows: usize, columns: usize, values: Vec<f32>) -> Self {
        Self { rows, columns, storage: TensorStorage::Host(values) }
    }

    fn host(&self) -> Result<&[f32]> {
        match &self.storage {
            TensorStorage::Host(values) => Ok(values),
            _ => Err(shape_error("the tensor is offloaded or belongs to another engine".into())),
        }
    }

    fn host_mut(&mut self) -> Result<&mut [f32]> {
        match &mut self.storage {
            TensorStorage::Host(values) => Ok(values),
            _ => Err(shape_error("the tensor is offloaded or belongs to another engine".into())),
        }
    }
}

impl Matrix {
    fn off_heap(&self) -> Result<&OffHeapBuffer> {
        match &self.storage {
            MatrixStorage::OffHeap(bytes) => Ok(bytes),
            MatrixStorage::Device(_) => Err(shape_error("the matrix belongs to another engine".into())),
        }
    }

    /// Bytes of one row as stored.
    fn row_bytes(&self) -> usize {
        self.columns * self.dtype.size()
    }
}

impl Compute for Cpu {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn memory(&self) -> (u64, u64) {
        (self.meter.now(), self.meter.peak())
    }

    fn zeros(&self, rows: usize, columns: usize) -> Result<Tensor> {
        Ok(Tensor::from_host(rows, columns, vec![0.0; rows * columns]))
    }

    fn upload(&self, rows: usize, values: &[f32]) -> Result<Tensor> {
        let columns = values.len().checked_div(rows).unwrap_or(0);
        check(rows * columns == values.len(), || format!("{} values in {rows} rows", values.len()))?;
        Ok(Tensor::from_host(rows, columns, values.to_vec()))
    }

    fn matrix(&self, rows: usize, columns: usize, dtype: Dtype) -> Result<Matrix> {
        let bytes = OffHeapBuffer::zeros(rows * columns * dtype.size(), &self.meter)?;
        Ok(Matrix { rows, columns, dtype, storage: MatrixStorage::OffHeap(bytes) })
    }

    fn write_rows(&self, matrix: &mut Matrix, first_row: usize, bytes: &[u8]) -> Result<()> {
        let row = matrix.row_bytes();
        let whole = row > 0 && bytes.len().is_multiple_of(row) && first_row + bytes.len() / row <= matrix.rows;
        check(whole, || {
            format!("{} bytes from row {first_row} on of [{}, {}]", bytes.len(), matrix.rows, matrix.columns)
        })?;
        matrix.off_heap()?.write(first_row * row, bytes);
        Ok(())
    }

    fn read<'a>(&'a self, tensor: &'a Tensor) -> Pending<'a, Vec<f32>> {
        Box::pin(async move {
            match &tensor.storage {
                TensorStorage::OffHeap(values) => Ok(values.to_f32()),
                _ => tensor.host().map(<[f32]>::to_vec),
            }
        })
    }

    fn offload(&self, mut tensor: Tensor) -> Result<Tensor> {
        if let TensorStorage::Host(values) = &tensor.storage {
            tensor.storage = TensorStorage::OffHeap(OffHeapBuffer::from_f32(values, &self.meter)?);
        }
        Ok(tensor)
    }

    fn copy_to_engine(&self, tensor: &Tensor) -> Result<Tensor> {
        let values = match &tensor.storage {
            TensorStorage::OffHeap(values) => values.to_f32(),
            _ => tensor.host()?.to_vec(),
        };
        Ok(Tensor::from_host(tensor.rows, tensor.columns, values))
    }

    fn yield_now(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            if self.last_turn.get().elapsed().as_millis() >= TURN_MS {
                event_loop::yield_now().await;
                self.last_turn.set(Instant::now());
            }
            Ok(())
        })
    }

    fn matmul(
        &self,
        x: &Tensor,
        w: &Matrix,
        rows: Range<usize>,
        bias: Option<&Tensor>,
        out: &mut Tensor,
    ) -> Result<()> {
        shapes::matmul(x, w, &rows, bias, out)?;
        let (n, k, m) = (x.rows, w.columns, w.rows);
        let (values, bytes) = (x.host()?, w.off_heap()?);
        let bias = bias.map(Tensor::host).transpose()?;
        let result = out.host_mut()?;
        let scratch = &mut *self.scratch.borrow_mut();
        let slice_rows = (SLICE_BYTES / w.row_bytes().max(1)).max(1);
        let mut first = rows.start;
        while first < rows.end {
            let count = slice_rows.min(rows.end - first);
            scratch.bytes.resize(count * w.row_bytes(), 0);
            scratch.weights.resize(count * k, 0.0);
            bytes.read(first * w.row_bytes(), &mut scratch.bytes);
            w.dtype.decode(&scratch.bytes, &mut scratch.weights);
            if n <= FEW_ROWS {
                // By index and not by chunks, of which there are none where k is 0 and all sums
                // are.
                for i in 0..n {
                    for j in 0..count {
                        let (row, weights) = (&values[i * k..][..k], &scratch.weights[j * k..][..k]);
                        result[i * m + first + j] = math::dot(row, weights);
                    }
                }
            } else {
                let (a, b, c) = (Layout::rows(0, k), Layout::transposed(0, k), Layout::rows(first, m));
                let done = gemm((n, count, k), (result, c), (values, a), (&scratch.weights, b), 1.0);
                check(done, || "a product does not fit its buffers".into())?;
            }
            if let Some(bias) = bias {
                for row in result.chunks_exact_mut(m.max(1)) {
                    row[first..first + count]
                        .iter_mut()
                        .zip(&bias[first..first + count])
                        .for_each(|(value, b)| *value += b);
                }
            }
            first += count;
        }
        Ok(())
    }

    fn rms_norm(&self, x: &Tensor, gain: &Tensor, epsilon: f32) -> Result<Tensor> {
        shapes::per_column(x, gain)?;
        let (mut values, gain) = (x.host()?.to_vec(), gain.host()?);
        for row in values.chunks_exact_mut(x.columns.max(1)) {
            let scale = (math::dot(row, row) / x.columns as f32 + epsilon).sqrt().recip();
            row.iter_mut().zip(gain).for_each(|(value, g)| *value = *value * scale * g);
        }
        Ok(Tensor::from_host(x.rows, x.columns, values))
    }

    fn layer_norm(&self, x: &Tensor, gain: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor> {
        shapes::per_column(x, gain)?;
        shapes::per_column(x, bias)?;
        let (mut values, gain, bias) = (x.host()?.to_vec(), gain.host()?, bias.host()?);
        for row in values.chunks_exact_mut(x.columns.max(1)) {
            let mean = row.iter().sum::<f32>() / x.columns as f32;
            row.iter_mut().for_each(|value| *value -= mean);
            let scale = (math::dot(row, row) / x.columns as f32 + epsilon).sqrt().recip();
            row.iter_mut().zip(gain).zip(bias).for_each(|((value, g), b)| *value = *value * scale * g + b);
        }
        Ok(Tensor::from_host(x.rows, x.columns, values))
    }

    fn rotate(&self, x: &mut Tensor, heads: RotatedHeads, table: &Tensor, first: usize, length: usize) -> Result<()> {
        shapes::rotate(x, heads.size, table, first, length)?;
        let (columns, half) = (x.columns, table.columns / 2);
        let table = table.host()?;
        for (r, row) in x.host_mut()?.chunks_exact_mut(columns.max(1)).enumerate() {
            let at = (first + r % length) * 2 * half;
            let (cosines, sines) = table[at..at + 2 * half].split_at(half);
            let angles = || cosines.iter().zip(sines);
            let turn = |a: &mut f32, b: &mut f32, (cosine, sine): (&f32, &f32)| {
                (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
            };
            for head in row.chunks_exact_mut(heads.size) {
                let turned = &mut head[..2 * half];
                match heads.pairs {
                    Pairs::Halves => {
                        let (low, high) = turned.split_at_mut(half);
                        low.iter_mut().zip(high).zip(angles()).for_each(|((a, b), angle)| turn(a, b, angle));
                    }
                    Pairs::Adjacent => {
                        let pairs = turned.as_chunks_mut::<2>().0.iter_mut();
                        pairs.zip(angles()).for_each(|([a, b], angle)| turn(a, b, angle));
                    }
                }
            }
        }
        Ok(())
    }

    fn attention(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        shape: &Attention,
        kv_heads: Range<usize>,
        out: &mut Tensor,
    ) -> Result<()> {
        let (length, keys) = shapes::attention(q, k, v, shape, &kv_heads, out)?;
        let scores = &mut self.scratch.borrow_mut().scores;
        let done = attention::attention(
            q.host()?,
            k.host()?,
            v.host()?,
            shape,
            (length, keys),
            kv_heads,
            scores,
            out.host_mut()?,
        );
        check(done, || "attention does not fit its buffers".into())
    }

    fn gated(&self, gate: &mut Tensor, up: &Tensor, activation: Activation) -> Result<()> {
        shapes::same(gate, up)?;
        let pairs = gate.host_mut()?.iter_mut().zip(up.host()?);
        // One loop for each, so that the compiler vectorises them all.
        match activation {
            Activation::Silu => pairs.for_each(|(g, u)| *g = math::silu(*g) * u),
            Activation::Gelu => pairs.for_each(|(g, u)| *g = math::gelu(*g) * u),
            Activation::GeluTanh => pairs.for_each(|(g, u)| *g = math::gelu_tanh(*g) * u),
            Activation::Relu => pairs.for_each(|(g, u)| *g = math::relu(*g) * u),
            Activation::Relu2 => pairs.for_each(|(g, u)| *g = math::relu2(*g) * u),
            Activation::Xielu { p, n, beta, eps } => {
                pairs.for_each(|(g, u)| *g = math::xielu(*g, [p, n, beta, eps]) * u);
            }
        }
        Ok(())
    }

    fn activate(&self, x: &mut Tensor, activation: Activation) -> Result<()> {
        let values = x.host_mut()?.iter_mut();
        match activation {
            Activation::Silu => values.for_each(|x| *x = math::silu(*x)),
            Activation::Gelu => values.for_each(|x| *x = math::gelu(*x)),
            Activation::GeluTanh => values.for_each(|x| *x = math::gelu_tanh(*x)),
            Activation::Relu => values.for_each(|x| *x = math::relu(*x)),
            Activation::Relu2 => values.for_each(|x| *x = math::relu2(*x)),
            Activation::Xielu { p, n, beta, eps } => values.for_each(|x| *x = math::xielu(*x, [p, n, beta, eps])),
        }
        Ok(())
    }

    fn soft_cap(&self, x: &mut Tensor, cap: f32) -> Result<()> {
        shapes::soft_cap(cap)?;
        math::soft_cap(x.host_mut()?, cap);
        Ok(())
    }

    fn add(&self, x: &mut Tensor, factor: f32, y: &Tensor) -> Result<()> {
        shapes::first_rows(x, y)?;
        x.host_mut()?.iter_mut().zip(y.host()?).for_each(|(a, b)| *a += factor * b);
        Ok(())
    }

    fn inverse_row_norms(&self, x: &Tensor, factors: &[f32]) -> Result<Tensor> {
        shapes::per_row(x, factors.len())?;
        let (values, d) = (x.host()?, x.columns);
        let row = |(i, factor): (usize, &f32)| {
            let row = &values[i * d..(i + 1) * d];
            factor / math::dot(row, row).sqrt()
        };
        Ok(Tensor::from_host(x.rows, 1, factors.iter().enumerate().map(row).collect()))
    }

    fn transpose(&self, x: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
        weights.map_or(Ok(()), |weights| shapes::per_row(x, weights.rows * weights.columns))?;
        let weights = weights.map(Tensor::host).transpose()?;
        Ok(Tensor::from_host(x.columns, x.rows, math::transpose(x.host()?, x.columns, weights)))
    }

    fn to_matrix(&self, x: &Tensor) -> Result<Matrix> {
        let values = OffHeapBuffer::from_f32(x.host()?, &self.meter)?;
        Ok(Matrix { rows: x.rows, columns: x.columns, dtype: Dtype::F32, storage: MatrixStorage::OffHeap(values) })
    }

    fn gather(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        let (values, d) = (x.host()?, x.columns);
        let mut out = Vec::with_capacity(rows.len() * d);
        for &row in rows {
            check((row as usize) < x.rows, || format!("row {row} of {}", x.rows))?;
            out.extend_from_slice(&values[row as usize * d..(row as usize + 1) * d]);
        }
        Ok(Tensor::from_host(rows.len(), d, out))
    }

    fn copy_rows(&self, target: &mut Tensor, first: usize, source: &Tensor) -> Result<()> {
        let fits = target.columns == source.columns && first + source.rows <= target.rows;
        check(fits, || format!("{} rows into {} from {first} on", source.rows, target.rows))?;
        let at = first * target.columns;
        target.host_mut()?[at..at + source.rows * source.columns].copy_from_slice(source.host()?);
        Ok(())
    }

    fn head_statistics(
        &self,
        logits: &Tensor,
        second: Option<&Tensor>,
        first: usize,
        targets: &[u32],
        state: &mut Tensor,
    ) -> Result<()> {
        shapes::head_statistics(logits, second, targets, state)?;
        let second = second.map(Tensor::host).transpose()?;
        statistics::fold(logits.host()?, second, logits.columns, first, targets, state.host_mut()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
