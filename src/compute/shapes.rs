//! The checks of operands that both engines share, one function per operation that needs more than
//! a comparison.

use std::ops::Range;

use super::operations::Attention;
use super::statistics;
use super::tensor::{Matrix, Tensor, check};
use crate::error::Result;

pub(super) fn matmul(x: &Tensor, w: &Matrix, rows: &Range<usize>, bias: Option<&Tensor>, out: &Tensor) -> Result<()> {
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
    check(fits, || format!("rotation of [{}, {}] by a table [{}, {}]", x.rows, x.columns, table.rows, table.columns))
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

pub(super) fn head_statistics(logits: &Tensor, second: Option<&Tensor>, targets: &[u32], state: &Tensor) -> Result<()> {
    second.map_or(Ok(()), |other| same(logits, other))?;
    let fits = targets.len() == logits.rows && state.rows == logits.rows && state.columns == statistics::COLUMNS;
    check(fits, || format!("{} targets and {} states for {} rows of logits", targets.len(), state.rows, logits.rows))
}
