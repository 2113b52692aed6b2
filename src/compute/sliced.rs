//! Products cut into slices that are short enough to be cancelled between. Must not know what is
//! multiplied.

use std::ops::Range;

use super::{Compute, Matrix, Tensor};
use crate::error::Result;
use crate::task::Task;

/// `x w^T + bias`: `[rows, inputs]` times `[outputs, inputs]` transposed.
///
/// # Errors
/// [`crate::error::Error::Cancelled`], or what the engine fails with.
pub async fn product(
    engine: &dyn Compute,
    task: &Task,
    x: &Tensor,
    w: &Matrix,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    product_rows(engine, task, x, w, 0..w.rows, bias).await
}

/// `x w^T + bias` for some rows of w; the event loop gets its turn after each slice. The columns of
/// the other rows are 0.
///
/// # Errors
/// [`crate::error::Error::Cancelled`], or what the engine fails with.
pub async fn product_rows(
    engine: &dyn Compute,
    task: &Task,
    x: &Tensor,
    w: &Matrix,
    rows: Range<usize>,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let mut out = engine.zeros(x.rows, w.rows)?;
    let row_flops = 2.0 * x.rows as f64 * w.columns as f64;
    let slice = ((engine.info().slice_flops / row_flops.max(1.0)) as usize).max(1);
    for first in rows.clone().step_by(slice) {
        engine.matmul(x, w, first..(first + slice).min(rows.end), bias, &mut out)?;
        engine.yield_now().await?;
        task.check()?;
    }
    Ok(out)
}
