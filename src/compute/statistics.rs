//! Running statistics of logits: what [`Compute::head_statistics`] keeps for each row, a column
//! each.

use super::operations::Compute;
use super::tensor::Tensor;
use crate::error::Result;

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
/// MAX of a state into which no tile has been folded.
pub const START: f32 = -1.0e30;

/// The state `[rows, COLUMNS]` from which [`Compute::head_statistics`] starts.
pub fn start_state(engine: &dyn Compute, rows: usize) -> Result<Tensor> {
    let mut row = [0.0; COLUMNS];
    row[MAX] = START;
    row[SECOND + MAX] = START;
    engine.upload(rows, &row.repeat(rows))
}
