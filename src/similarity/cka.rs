//! The control that compares whole geometries: linear centred kernel alignment (Kornblith et al.,
//! arXiv 1905.00414).
//!
//! With centred A and B `[rows, columns]` and Frobenius norms: the squared norm of A'B over the
//! norms of A'A and B'B. It equals <AA', BB'> over the norms of AA' and BB', and that form is taken
//! always: the Gram matrix is computed once per layer, and a pair then costs rows^2/2
//! multiplications instead of rows columns^2.

use super::columns::same_size;
use super::cosine::dot;
use crate::error::{Error, Result};
use crate::manifold::{CentredGram, at_once};

/// The centred Gram matrix of one layer, of Frobenius norm 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    rows: usize,
    /// `[rows (rows + 1) / 2]`: the lower triangle row by row, the entries beside the diagonal
    /// times the root of 2, so that the inner product of two of these is that of the whole
    /// matrices. f32: 8 MiB a layer at 2,048 rows.
    values: Vec<f32>,
}

impl Gram {
    /// Of activations `[rows, columns]`, row-major; `what` names the layer in errors.
    ///
    /// # Errors
    /// [`Error::Degenerate`] for a value that is not finite or where all rows are the same;
    /// [`Error::BadArgument`] where the sizes do not fit or there are more than
    /// [`MOST_ROWS`](crate::manifold::MOST_ROWS) rows.
    pub fn new(values: &[f32], rows: usize, columns: usize, what: &str) -> Result<Self> {
        at_once(Self::new_pausing(values, rows, columns, what, async || Ok(())))
    }

    /// [`Gram::new`] for a caller that shares its thread: `pause` is awaited every few
    /// milliseconds, and an error from it ends the work.
    pub async fn new_pausing(
        values: &[f32],
        rows: usize,
        columns: usize,
        what: &str,
        mut pause: impl AsyncFnMut() -> Result<()>,
    ) -> Result<Self> {
        let gram = CentredGram::new(values, rows, columns, what, &mut pause).await?.values;
        let line = |row: usize| gram[row * rows..][..=row].split_last();
        let mut squares = 0.0;
        for (diagonal, beside) in (0..rows).filter_map(line) {
            squares += diagonal * diagonal + 2.0 * beside.iter().map(|value| value * value).sum::<f64>();
        }
        if squares == 0.0 {
            return Err(Error::Degenerate { what: what.into(), found: "all its rows are the same".into() });
        }
        let scale = squares.sqrt().recip();
        let mut values = Vec::with_capacity(rows * (rows + 1) / 2);
        for (diagonal, beside) in (0..rows).filter_map(line) {
            values.extend(beside.iter().map(|value| (value * scale * std::f64::consts::SQRT_2) as f32));
            values.push((diagonal * scale) as f32);
        }
        Ok(Self { rows, values })
    }
}

/// Linear CKA of two layers, in [0, 1].
///
/// # Errors
/// [`Error::BadArgument`] where they have different numbers of rows.
pub fn similarity(a: &Gram, b: &Gram) -> Result<f64> {
    same_size((a.rows, a.rows), (b.rows, b.rows))?;
    Ok(dot(&a.values, &b.values).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifold::sample::Normal;

    /// The definition, over columns.
    fn naive(a: &[f32], b: &[f32], rows: usize) -> f64 {
        let centred = |values: &[f32]| {
            let columns = values.len() / rows;
            let mut centred: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            for k in 0..columns {
                let mean = (0..rows).map(|row| centred[row * columns + k]).sum::<f64>() / rows as f64;
                (0..rows).for_each(|row| centred[row * columns + k] -= mean);
            }
            centred
        };
        let square = |a: &[f64], b: &[f64]| {
            let (wide_a, wide_b) = (a.len() / rows, b.len() / rows);
            let mut sum = 0.0;
            for i in 0..wide_a {
                for j in 0..wide_b {
                    sum += (0..rows).map(|row| a[row * wide_a + i] * b[row * wide_b + j]).sum::<f64>().powi(2);
                }
            }
            sum
        };
        let (a, b) = (centred(a), centred(b));
        square(&a, &b) / (square(&a, &a) * square(&b, &b)).sqrt()
    }

    #[test]
    fn equals_its_naive_twin() -> Result<()> {
        for rows in [11, 97, 257] {
            let mut random = Normal::new(rows as u64);
            let (a, b) = (random.activations(rows, 13), random.activations(rows, 40));
            let (gram_a, gram_b) = (Gram::new(&a, rows, 13, "a")?, Gram::new(&b, rows, 40, "b")?);
            let found = similarity(&gram_a, &gram_b)?;
            assert!((found - naive(&a, &b, rows)).abs() < 1e-6);
            assert!((similarity(&gram_a, &gram_a)? - 1.0).abs() < 1e-6);
        }
        Ok(())
    }

    #[test]
    fn refuses_what_cannot_be_compared() -> Result<()> {
        let same = Gram::new(&[0.1; 12], 6, 2, "layer 2");
        assert!(matches!(&same, Err(Error::Degenerate { what, .. }) if what == "layer 2"));
        let (a, b) = (Gram::new(&[1.0, 2.0], 2, 1, "a")?, Gram::new(&[1.0, 2.0, 4.0], 3, 1, "b")?);
        assert!(matches!(similarity(&a, &b), Err(Error::BadArgument { .. })));
        Ok(())
    }
}
