//! The controls that compare rows of activations: cosine, angular distance, block influence.
//!
//! Cosine and angular distance are what PruneMe (arXiv 2403.17887) looks at, block influence is
//! ShortGPT's (arXiv 2403.03853). Two layers are needed at a time, never more.

use super::columns::same_size;
use crate::error::{Error, Result};
use crate::manifold::check_activations;

/// The rows of one layer's activations, with their lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<'a> {
    columns: usize,
    /// `[rows, columns]`, row-major.
    values: &'a [f32],
    /// `[rows]`: one over the Euclidean length of each row.
    inverse_lengths: Vec<f64>,
}

impl<'a> Rows<'a> {
    /// Of `values` `[rows, columns]`, row-major; `what` names the layer in errors.
    ///
    /// # Errors
    /// [`Error::Degenerate`] for a value that is not finite or a row of length 0;
    /// [`Error::BadArgument`] where the sizes do not fit.
    pub fn new(values: &'a [f32], rows: usize, columns: usize, what: &str) -> Result<Self> {
        check_activations(values, rows, columns, what)?;
        let lengths: Vec<f64> = values.chunks_exact(columns).map(|row| dot(row, row).sqrt()).collect();
        if let Some(row) = lengths.iter().position(|&length| length == 0.0) {
            return Err(Error::Degenerate {
                what: what.into(),
                found: format!("row {row} is all 0 and has no direction"),
            });
        }
        Ok(Self { columns, values, inverse_lengths: lengths.iter().map(|length| length.recip()).collect() })
    }

    /// The cosine of each row with the same row of `other`, between -1 and 1.
    fn cosines<'b>(&'b self, other: &'b Rows<'_>) -> Result<impl Iterator<Item = f64> + 'b> {
        same_size((self.inverse_lengths.len(), self.columns), (other.inverse_lengths.len(), other.columns))?;
        let rows = self.values.chunks_exact(self.columns).zip(other.values.chunks_exact(other.columns));
        let inverse_lengths = self.inverse_lengths.iter().zip(&other.inverse_lengths);
        Ok(rows
            .zip(inverse_lengths)
            .map(|((a, b), (inverse_a, inverse_b))| (dot(a, b) * inverse_a * inverse_b).clamp(-1.0, 1.0)))
    }

    /// The mean over the rows of a function of the cosine with `other`.
    fn mean(&self, other: &Rows<'_>, of: impl Fn(f64) -> f64) -> Result<f64> {
        Ok(self.cosines(other)?.map(of).sum::<f64>() / self.inverse_lengths.len() as f64)
    }
}

/// The mean cosine of the rows of two layers, in [-1, 1].
///
/// # Errors
/// [`Error::BadArgument`] where their sizes differ.
pub fn similarity(a: &Rows<'_>, b: &Rows<'_>) -> Result<f64> {
    a.mean(b, |cosine| cosine)
}

/// The mean angle between the rows of two layers over pi, in [0, 1]. A distance: 0 is alike.
///
/// # Errors
/// [`Error::BadArgument`] where their sizes differ.
pub fn angular_distance(a: &Rows<'_>, b: &Rows<'_>) -> Result<f64> {
    // The cosine of a vector with itself is 1 up to rounding, where the arc cosine is steepest.
    if std::ptr::eq(a.values, b.values) {
        return Ok(0.0);
    }
    a.mean(b, |cosine| cosine.acos() / std::f64::consts::PI)
}

/// ShortGPT's block influence, 1 - mean cosine of what goes into a block and what comes out, in [0,
/// 2].
///
/// # Errors
/// [`Error::BadArgument`] where their sizes differ.
pub fn block_influence(before: &Rows<'_>, after: &Rows<'_>) -> Result<f64> {
    Ok(1.0 - similarity(before, after)?)
}

/// The inner product of two rows, summed in f64.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Eight sums side by side: a single one could not be vectorised, since that changes the order
    // of addition.
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifold::sample::Normal;

    #[test]
    fn equals_its_naive_twin() -> Result<()> {
        for (rows, columns) in [(11, 1), (97, 3), (257, 37)] {
            let mut random = Normal::new(rows as u64);
            let (a, b) = (random.activations(rows, columns), random.activations(rows, columns));
            let (mut cosine, mut angle) = (0.0, 0.0);
            for row in 0..rows {
                let sum = |a: &[f32], b: &[f32]| {
                    (0..columns).map(|k| f64::from(a[row * columns + k]) * f64::from(b[row * columns + k])).sum::<f64>()
                };
                let value = sum(&a, &b) / (sum(&a, &a) * sum(&b, &b)).sqrt();
                cosine += value / rows as f64;
                angle += value.clamp(-1.0, 1.0).acos() / std::f64::consts::PI / rows as f64;
            }
            let (a, b) = (Rows::new(&a, rows, columns, "a")?, Rows::new(&b, rows, columns, "b")?);
            assert!((similarity(&a, &b)? - cosine).abs() < 1e-12);
            assert!((angular_distance(&a, &b)? - angle).abs() < 1e-7);
            assert!((block_influence(&a, &b)? - (1.0 - cosine)).abs() < 1e-12);
            assert!((similarity(&a, &a)? - 1.0).abs() < 1e-12);
            assert_eq!(angular_distance(&a, &a)?, 0.0);
        }
        Ok(())
    }

    #[test]
    fn refuses_rows_without_direction_and_unequal_sizes() -> Result<()> {
        let zero = Rows::new(&[1.0, 2.0, 0.0, 0.0], 2, 2, "layer 4");
        assert!(matches!(&zero, Err(error @ Error::Degenerate { .. }) if error.to_string().contains("layer 4: row 1")));
        assert!(matches!(Rows::new(&[1.0; 3], 2, 2, "x"), Err(Error::BadArgument { .. })));
        let (a, b) = (Rows::new(&[1.0; 4], 2, 2, "a")?, Rows::new(&[1.0; 4], 1, 4, "b")?);
        assert!(matches!(similarity(&a, &b), Err(Error::BadArgument { .. })));
        Ok(())
    }
}
