//! NPIB by Gaussians: the information between two embeddings under a Gaussian copula (MKA, arXiv
//! 2406.16330 v2).
//!
//! Columns -> average ranks -> normal scores of (rank - 1/2)/N -> standardised: G. With the
//! covariances C + ridge and the canonical correlations rho_k, I = -1/2 sum log(1 - rho_k^2) -
//! m^2/2N, at least 0, and S = sqrt(1 - exp(-2 I/m)).
//!
//! The canonical correlations themselves are not needed: prod (1 - rho_k^2) = det C_joint / (det
//! C_aa det C_bb), by Schur's determinant identity, so that a pair costs one product and one
//! Cholesky decomposition of `[2m, 2m]`.

use faer::{Mat, Side};
use statrs::function::erf::erfc_inv;

use super::columns::{same_size, standardised_columns};
use crate::error::{Error, Result};
use crate::manifold::{DiffusionMap, dot};

/// Added to the variances of the scores (which are 1), so that an embedding has finite information
/// with itself.
const RIDGE: f64 = 1e-3;

/// What one layer brings into every pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    rows: usize,
    dimensions: usize,
    /// `[dimensions, rows]`: standardised normal scores, column after column.
    columns: Vec<f64>,
    /// `[dimensions, dimensions]`: their covariance with the ridge.
    covariance: Vec<f64>,
    /// The logarithm of its determinant.
    log_determinant: f64,
}

impl Scores {
    /// From a diffusion map; `what` names the layer in errors.
    ///
    /// # Errors
    /// [`Error::Degenerate`] for a column without variance.
    pub fn new(map: &DiffusionMap, what: &str) -> Result<Self> {
        let &DiffusionMap { rows, dimensions, .. } = map;
        let columns = standardised_columns(map, what, to_normal_scores)?;
        let mut covariance = cross_covariance(&columns, &columns, rows, dimensions);
        for k in 0..dimensions {
            covariance[k * dimensions + k] += RIDGE;
        }
        let log_determinant = log_determinant(dimensions, |a, b| covariance[a * dimensions + b])?;
        Ok(Self { rows, dimensions, columns, covariance, log_determinant })
    }
}

/// I of two layers in nats, with bias correction, >= 0.
///
/// # Errors
/// [`Error::BadArgument`] where their sizes differ.
pub fn information(a: &Scores, b: &Scores) -> Result<f64> {
    same_size((a.rows, a.dimensions), (b.rows, b.dimensions))?;
    let (rows, m) = (a.rows, a.dimensions);
    let cross = cross_covariance(&a.columns, &b.columns, rows, m);
    // Lower triangle: C_aa above left, C_bb below right, C_ba below left.
    let joint = log_determinant(2 * m, |row, column| match (row < m, column < m) {
        (true, _) => a.covariance[row * m + column],
        (false, true) => cross[column * m + row - m],
        (false, false) => b.covariance[(row - m) * m + column - m],
    })?;
    let bias = (m * m) as f64 / (2 * rows) as f64;
    Ok((0.5 * (a.log_determinant + b.log_determinant - joint) - bias).max(0.0))
}

/// S of two layers, in [0, 1].
///
/// # Errors
/// Those of [`information`].
pub fn similarity(a: &Scores, b: &Scores) -> Result<f64> {
    let information = information(a, b)?;
    Ok((1.0 - (-2.0 * information / a.dimensions as f64).exp()).sqrt())
}

/// Replaces values by the normal scores of their average ranks.
fn to_normal_scores(values: &mut [f64]) {
    let count = values.len();
    let mut order: Vec<(f64, usize)> = values.iter().copied().zip(0..).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut start = 0;
    for tied in order.chunk_by(|a, b| a.0 == b.0) {
        let end = start + tied.len();
        let rank = 0.5 * (start + 1 + end) as f64;
        let score = -std::f64::consts::SQRT_2 * erfc_inv(2.0 * (rank - 0.5) / count as f64);
        for &(_, at) in tied {
            values[at] = score;
        }
        start = end;
    }
}

/// `[m, m]`: the covariances of the columns of `a` and of `b`, both `[m, rows]` and standardised.
fn cross_covariance(a: &[f64], b: &[f64], rows: usize, m: usize) -> Vec<f64> {
    let mut covariance = Vec::with_capacity(m * m);
    for a in a.chunks_exact(rows) {
        covariance.extend(b.chunks_exact(rows).map(|b| dot(a, b) / rows as f64));
    }
    covariance
}

/// The logarithm of the determinant of a positive definite matrix, given by its lower triangle.
fn log_determinant(size: usize, entry: impl Fn(usize, usize) -> f64) -> Result<f64> {
    let lower = Mat::from_fn(size, size, |row, column| if column <= row { entry(row, column) } else { 0.0 });
    let factor = lower.llt(Side::Lower).map_err(|_| Error::Degenerate {
        what: "similarity".into(),
        found: "the covariance of two embeddings is not positive definite".into(),
    })?;
    Ok((0..size).map(|k| 2.0 * factor.L()[(k, k)].ln()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifold::sample::{Normal, map_of, noisy_copy};

    /// The definition: canonical correlations as singular values of C_aa^-1/2 C_ab C_bb^-1/2.
    fn naive(a: &DiffusionMap, b: &DiffusionMap) -> f64 {
        let (n, m) = (a.rows, a.dimensions);
        let scores = |map: &DiffusionMap| {
            let mut scores = Mat::from_fn(n, m, |row, k| {
                let value = map.values[row * m + k];
                let column = || (0..n).map(|other| map.values[other * m + k]);
                let below = column().filter(|&other| other < value).count();
                let tied = column().filter(|&other| other == value).count();
                let rank = below as f64 + (tied as f64 + 1.0) / 2.0;
                -std::f64::consts::SQRT_2 * erfc_inv(2.0 * (rank - 0.5) / n as f64)
            });
            for k in 0..m {
                let mean = (0..n).map(|row| scores[(row, k)]).sum::<f64>() / n as f64;
                let deviation = ((0..n).map(|row| (scores[(row, k)] - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
                for row in 0..n {
                    scores[(row, k)] = (scores[(row, k)] - mean) / deviation;
                }
            }
            scores
        };
        let (a, b) = (scores(a), scores(b));
        let covariance = |a: &Mat<f64>, b: &Mat<f64>| a.transpose() * b * faer::Scale(1.0 / n as f64);
        let inverse_root = |scores: &Mat<f64>| {
            let covariance = covariance(scores, scores) + Mat::<f64>::identity(m, m) * faer::Scale(RIDGE);
            let Ok(eigen) = covariance.self_adjoint_eigen(Side::Lower) else { unreachable!() };
            let roots = Mat::from_fn(m, m, |a, b| if a == b { eigen.S()[a].powf(-0.5) } else { 0.0 });
            eigen.U() * roots * eigen.U().transpose()
        };
        let between = inverse_root(&a) * covariance(&a, &b) * inverse_root(&b);
        let Ok(correlations) = between.singular_values() else { unreachable!() };
        let sum: f64 = correlations.iter().map(|rho| (-rho.min(1.0 - 1e-12).powi(2)).ln_1p()).sum();
        (-0.5 * sum - (m * m) as f64 / (2.0 * n as f64)).max(0.0)
    }

    #[test]
    fn equals_its_naive_twin() -> Result<()> {
        for rows in [11, 97, 257] {
            for dimensions in [1, 3, 8] {
                let mut random = Normal::new((rows * dimensions) as u64);
                let mut a = map_of(random.vector(rows * dimensions), dimensions);
                // Ties.
                a.values[dimensions] = a.values[0];
                for noise in [0.0, 0.1, 1.0, 1e6] {
                    let b = noisy_copy(&a, noise, &mut random);
                    let found = information(&Scores::new(&a, "a")?, &Scores::new(&b, "b")?)?;
                    let expected = naive(&a, &b);
                    assert!((found - expected).abs() < 1e-9, "{rows} {dimensions} {noise}: {found} {expected}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn tells_alike_from_unrelated_and_ignores_scale_and_sign() -> Result<()> {
        let mut random = Normal::new(3);
        let a = map_of(random.vector(512 * 8), 8);
        let other = Scores::new(&map_of(random.vector(512 * 8), 8), "other")?;
        let flipped = Scores::new(&map_of(a.values.iter().map(|value| -7.0 * value).collect(), 8), "flipped")?;
        let a = Scores::new(&a, "a")?;
        assert!(similarity(&a, &a)? > 0.998);
        assert!(similarity(&a, &other)? < 0.15);
        assert!((similarity(&a, &flipped)? - similarity(&a, &a)?).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn refuses_what_cannot_be_compared() -> Result<()> {
        let mut random = Normal::new(4);
        let flat = Scores::new(&map_of(vec![0.25; 40], 2), "layer 5");
        assert!(matches!(&flat, Err(Error::Degenerate { what, .. }) if what == "layer 5"), "{flat:?}");
        let a = Scores::new(&map_of(random.vector(40), 2), "a")?;
        let b = Scores::new(&map_of(random.vector(40), 4), "b")?;
        assert!(matches!(information(&a, &b), Err(Error::BadArgument { .. })));
        Ok(())
    }
}
