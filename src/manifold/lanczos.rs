//! The few largest eigenpairs of a symmetric matrix, by Lanczos with full reorthogonalisation
//! (Paige, 1972; Golub and Van Loan, Matrix Computations, chapter 10).
//!
//! Own code where a library has it, because faer 0.24's `partial_self_adjoint_eigen` does not fit:
//! it panics for 64 rows or fewer, does not return once its Krylov space is invariant (a kernel
//! near the identity), ranks by magnitude, and takes twice the time in wasm (7 to 20 ms instead of
//! 4 to 11 for 512 rows) and 190 kB more code. There is no restart here: the Krylov space grows
//! until the pairs have converged, at worst to the whole space, so that convergence needs no luck.
//!
//! A Krylov space of one start vector sees only one direction of a multiple eigenvalue. So a
//! second, short search in the complement of what was found looks for one that is larger than the
//! smallest found, and adds it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::error::Result;

/// Residual |A v - lambda v| of a converged pair, relative to its eigenvalue.
const RESIDUAL: f64 = 1e-10;
/// The floor of a residual, for a matrix of norm 1.
const ROUNDING: f64 = 1e-14;
/// Relative residual that is enough to tell whether a larger eigenvalue was missed.
const PROBE_RESIDUAL: f64 = 1e-2;

/// Eigenpairs, by descending eigenvalue.
pub(super) struct Eigenpairs {
    /// `[count]`
    pub(super) values: Vec<f64>,
    /// `[count]` vectors `[order]` of length 1, orthogonal to each other.
    pub(super) vectors: Vec<Vec<f64>>,
}

/// The `count` largest eigenpairs of `matrix` `[order, order]`, symmetric with norm 1, in the
/// complement of its eigenvector `known` `[order]` of length 1. None where the iteration fails,
/// which finite input does not cause.
///
/// Deterministic: the start vectors are fixed. `count` < `order`.
pub(super) async fn largest_beside(
    matrix: &[f64],
    known: &[f64],
    count: usize,
    pause: &mut impl AsyncFnMut() -> Result<()>,
) -> Result<Option<Eigenpairs>> {
    let mut locked = vec![known.to_vec()];
    let Some(mut pairs) = krylov(matrix, &locked, count, RESIDUAL, pause).await? else { return Ok(None) };
    locked.extend(pairs.vectors.iter().cloned());
    while locked.len() < known.len() {
        let least = pairs.values[count - 1];
        let Some(probe) = krylov(matrix, &locked, 1, PROBE_RESIDUAL, pause).await? else { return Ok(None) };
        if probe.values[0] <= least + RESIDUAL * least.abs() + ROUNDING {
            break;
        }
        let Some(mut missed) = krylov(matrix, &locked, 1, RESIDUAL, pause).await? else { return Ok(None) };
        let place = pairs.values.partition_point(|&value| value >= missed.values[0]);
        locked.extend(missed.vectors.iter().cloned());
        pairs.values.insert(place, missed.values[0]);
        pairs.vectors.insert(place, missed.vectors.swap_remove(0));
        pairs.values.truncate(count);
        pairs.vectors.truncate(count);
    }
    Ok(Some(pairs))
}

/// The `count` largest eigenpairs in the complement of `locked`, eigenvectors of `matrix`.
async fn krylov(
    matrix: &[f64],
    locked: &[Vec<f64>],
    count: usize,
    tolerance: f64,
    pause: &mut impl AsyncFnMut() -> Result<()>,
) -> Result<Option<Eigenpairs>> {
    let order = locked[0].len();
    let most = order - locked.len();
    let mut random = ChaCha8Rng::seed_from_u64(locked.len() as u64);
    let (mut diagonal, mut beside) = (Vec::<f64>::new(), Vec::<f64>::new());
    let mut basis = Vec::<Vec<f64>>::new();
    let mut next = fresh(&mut random, locked, &basis);
    let mut check = count + 8;
    loop {
        let mut image = product(matrix, &next);
        let middle = dot(&image, &next);
        add_scaled(&mut image, &next, -middle);
        if let (Some(before), Some(&link)) = (basis.last(), beside.last()) {
            add_scaled(&mut image, before, -link);
        }
        basis.push(next);
        diagonal.push(middle);
        let mut link = orthogonalise(&mut image, locked, &basis);
        if link < ROUNDING || basis.len() == most {
            link = 0.0;
        }
        let size = basis.len();
        if size >= count && (size >= check || link == 0.0) {
            check = size + (size / 5).max(6);
            let mut last = vec![vec![0.0]; size];
            last[size - 1][0] = 1.0;
            let Some((values, rank)) = tridiagonal(&diagonal, &beside, &mut last) else { return Ok(None) };
            let converged = rank
                .iter()
                .take(count)
                .all(|&at| link * last[at][0].abs() <= ROUNDING.max(tolerance * values[at].abs()));
            if converged {
                return Ok(ritz(&basis, &diagonal, &beside, count));
            }
            if size == most {
                return Ok(None);
            }
        }
        beside.push(link);
        // An invariant space: go on in the rest.
        next = if link == 0.0 { fresh(&mut random, locked, &basis) } else { scaled(&image, link.recip()) };
        pause().await?;
    }
}

/// The Ritz pairs of the `count` largest eigenvalues of the tridiagonal matrix over `basis`.
fn ritz(basis: &[Vec<f64>], diagonal: &[f64], beside: &[f64], count: usize) -> Option<Eigenpairs> {
    let size = basis.len();
    let mut rotations = vec![vec![0.0; size]; size];
    for (at, row) in rotations.iter_mut().enumerate() {
        row[at] = 1.0;
    }
    let (values, rank) = tridiagonal(diagonal, beside, &mut rotations)?;
    let mut pairs = Eigenpairs { values: Vec::with_capacity(count), vectors: Vec::with_capacity(count) };
    for &at in rank.iter().take(count) {
        let mut vector = vec![0.0; basis[0].len()];
        for (weight, base) in rotations[at].iter().zip(basis) {
            add_scaled(&mut vector, base, *weight);
        }
        pairs.values.push(values[at]);
        pairs.vectors.push(vector);
    }
    Some(pairs)
}

/// Eigenvalues of the symmetric tridiagonal matrix with `diagonal` `[size]` and `beside`
/// `[size - 1 or more]`, and the ranking of their indices by descending value. By QL with implicit
/// shifts (EISPACK's tql2); the rotations are applied to the rows of `rows` `[size, any]`: from the
/// identity they become the eigenvectors, from its last column their last components. None where 60
/// sweeps for one eigenvalue are not enough.
fn tridiagonal(diagonal: &[f64], beside: &[f64], rows: &mut [Vec<f64>]) -> Option<(Vec<f64>, Vec<usize>)> {
    let size = diagonal.len();
    let mut d = diagonal.to_vec();
    let mut e = beside[..size - 1].to_vec();
    e.push(0.0);
    for low in 0..size {
        let mut sweeps = 0;
        loop {
            let high = (low..size - 1)
                .find(|&at| e[at].abs() <= f64::EPSILON * (d[at].abs() + d[at + 1].abs()) + f64::MIN_POSITIVE)
                .unwrap_or(size - 1);
            if high == low {
                break;
            }
            sweeps += 1;
            if sweeps > 60 {
                return None;
            }
            let half = (d[low + 1] - d[low]) / (2.0 * e[low]);
            let mut g = d[high] - d[low] + e[low] / (half + (half * half + 1.0).sqrt().copysign(half));
            let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
            let mut deflated = false;
            for at in (low..high).rev() {
                let f = sine * e[at];
                let b = cosine * e[at];
                let radius = (f * f + g * g).sqrt();
                e[at + 1] = radius;
                if radius == 0.0 {
                    d[at + 1] -= shift;
                    e[high] = 0.0;
                    deflated = true;
                    break;
                }
                sine = f / radius;
                cosine = g / radius;
                g = d[at + 1] - shift;
                let r = (d[at] - g) * sine + 2.0 * cosine * b;
                shift = sine * r;
                d[at + 1] = g + shift;
                g = cosine * r - b;
                let (head, tail) = rows.split_at_mut(at + 1);
                for (x, y) in head[at].iter_mut().zip(tail[0].iter_mut()) {
                    (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
                }
            }
            if !deflated {
                d[low] -= shift;
                e[low] = g;
                e[high] = 0.0;
            }
        }
    }
    let mut rank: Vec<usize> = (0..size).collect();
    rank.sort_by(|&a, &b| d[b].total_cmp(&d[a]));
    Some((d, rank))
}

/// Takes the components along `locked` and `basis` (orthonormal) out of `vector`; returns its
/// remaining length.
fn orthogonalise(vector: &mut [f64], locked: &[Vec<f64>], basis: &[Vec<f64>]) -> f64 {
    let mut length = dot(vector, vector).sqrt();
    loop {
        for other in locked.iter().chain(basis) {
            let part = dot(vector, other);
            add_scaled(vector, other, -part);
        }
        let rest = dot(vector, vector).sqrt();
        // Cancellation would leave a part of what was taken out: again, unless little was (Daniel
        // et al., 1976).
        if rest > 0.7 * length || rest < ROUNDING {
            return rest;
        }
        length = rest;
    }
}

/// A random vector of length 1 in the complement of `locked` and `basis`, which is not empty.
fn fresh(random: &mut ChaCha8Rng, locked: &[Vec<f64>], basis: &[Vec<f64>]) -> Vec<f64> {
    let order = locked[0].len();
    loop {
        let mut vector: Vec<f64> =
            (0..order).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5).collect();
        let length = orthogonalise(&mut vector, locked, basis);
        if length > 1e-8 {
            return scaled(&vector, length.recip());
        }
    }
}

fn scaled(vector: &[f64], factor: f64) -> Vec<f64> {
    vector.iter().map(|value| value * factor).collect()
}

/// `matrix` `[order, order]` times `vector` `[order]`.
fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| dot(row, vector)).collect()
}

/// The Rayleigh quotient v' A v of a vector of length 1.
pub(super) fn quotient(matrix: &[f64], vector: &[f64]) -> f64 {
    dot(&product(matrix, vector), vector)
}

/// `target` += `factor` * `vector`.
pub(super) fn add_scaled(target: &mut [f64], vector: &[f64], factor: f64) {
    for (value, other) in target.iter_mut().zip(vector) {
        *value += factor * other;
    }
}

/// The inner product of two vectors of one length.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Eight sums side by side: a single one could not be vectorised, since that changes the order
    // of addition.
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}
