//! The Gram matrix of centred activations: what the distances of the diffusion map and linear CKA
//! both start from.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::error::{Error, Result};

/// The most rows of an activation matrix: the kernel is `[rows, rows]` in f64, 32 MiB at this size.
pub const MOST_ROWS: usize = 2048;

/// Rows of one product between two pauses.
const BLOCK: usize = 64;

/// Hc Hc' of an activation matrix H `[rows, columns]`, with Hc = H - mean of its rows.
pub(crate) struct CentredGram {
    /// `[rows, rows]`, row-major. The lower triangle is filled, diagonal included; the rest is not
    /// defined.
    pub(crate) values: Vec<f64>,
}

impl CentredGram {
    /// From `activations` `[rows, columns]`, row-major, of the layer that `what` names.
    ///
    /// # Errors
    /// [`Error::BadArgument`] where the sizes do not fit or there are too many rows;
    /// [`Error::NotFinite`] for a value that is not finite; whatever `pause` returns.
    pub(crate) async fn new(
        activations: &[f32],
        rows: usize,
        columns: usize,
        what: &str,
        pause: &mut impl AsyncFnMut() -> Result<()>,
    ) -> Result<Self> {
        if rows > MOST_ROWS {
            return Err(Error::argument("rows", format!("{rows} rows of {what} are more than {MOST_ROWS}")));
        }
        check_activations(activations, rows, columns, what)?;
        let mut mean = vec![0.0; columns];
        for line in activations.chunks_exact(columns) {
            for (sum, &value) in mean.iter_mut().zip(line) {
                *sum += f64::from(value);
            }
        }
        for sum in &mut mean {
            *sum /= rows as f64;
        }
        let mut centred = Vec::with_capacity(rows * columns);
        for line in activations.chunks_exact(columns) {
            centred.extend(line.iter().zip(&mean).map(|(&value, mean)| f64::from(value) - mean));
        }
        let mut values = vec![0.0; rows * rows];
        for top in (0..rows).step_by(BLOCK) {
            let bottom = (top + BLOCK).min(rows);
            // Only the columns up to the diagonal: the matrix is symmetric. Written as the
            // transpose: faer 0.24.4 swaps the strides in `from_row_major_slice_with_stride_mut`.
            matmul(
                MatMut::from_column_major_slice_with_stride_mut(&mut values[top * rows..], bottom, bottom - top, rows),
                Accum::Replace,
                MatRef::from_row_major_slice(&centred[..bottom * columns], bottom, columns),
                MatRef::from_row_major_slice(&centred[top * columns..bottom * columns], bottom - top, columns)
                    .transpose(),
                1.0,
                Par::Seq,
            );
            pause().await?;
        }
        Ok(Self { values })
    }
}

/// Checks that `activations` are `[rows, columns]` finite numbers.
pub(crate) fn check_activations(activations: &[f32], rows: usize, columns: usize, what: &str) -> Result<()> {
    if rows == 0 || columns == 0 || rows.checked_mul(columns) != Some(activations.len()) {
        let reason = format!("{what} has {} values, not {rows} rows of {columns}", activations.len());
        return Err(Error::argument("rows", reason));
    }
    match activations.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite {
            what: what.into(),
            found: format!("row {} has {} in column {}", at / columns, activations[at], at % columns),
        }),
    }
}
