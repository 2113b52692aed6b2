//! The diffusion map of one layer: activations -> a few coordinates on the manifold they lie on.
//!
//! With H the activation matrix `[rows, columns]`, centred: Z = Euclidean distances, sigma = their
//! median, K = exp(-(Z/sigma)^p), q = K1, K1 = K/(q q')^1/2, d = row sums of K1, A = K1/(d d')^1/2.
//! The coordinates are the eigenvectors v_1..v_m of A over v_0 (Coifman and Lafon, 2006, with alpha
//! = 1/2; MKA, arXiv 2406.16330, section 3).
//!
//! v_0 is known in closed form: A has the eigenvector d^1/2 with the eigenvalue 1, and it is
//! positive. So only m eigenpairs are searched, in its complement, by [`lanczos`].
//!
//! All numbers are f64. Work is cut into pieces of a few milliseconds with a pause between them, so
//! that a caller can yield or cancel. This module must not know models, engines or the web: slices
//! in, structs out.

mod gram;
mod lanczos;
#[cfg(test)]
pub(crate) mod sample;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};

pub use gram::MOST_ROWS;
pub(crate) use gram::{CentredGram, check_activations};
pub(crate) use lanczos::dot;

/// The most coordinates of a map.
pub const MOST_DIMENSIONS: usize = 64;

/// Two eigenvalues nearer to 1 than this mean that the kernel has no connection between two groups
/// of rows.
const DISCONNECTED: f64 = 1e-10;

/// Eigenvalues of A below this are rounding noise (its largest is 1).
const NOISE: f64 = 1e-12;

/// The choices of a diffusion map.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffusionMapOptions {
    /// m, the number of coordinates, 1..=min(rows - 2, 64). Default 8.
    pub dimensions: usize,
    /// The width of the kernel, in units of the activations. Default: the median distance of two
    /// rows.
    pub sigma: Option<f64>,
    /// p, the exponent in the kernel, without unit. Default 2.
    pub power: f64,
}

impl Default for DiffusionMapOptions {
    fn default() -> Self {
        Self { dimensions: 8, sigma: None, power: 2.0 }
    }
}

/// The diffusion map of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffusionMap {
    /// N, the number of rows.
    pub rows: usize,
    /// m, the number of coordinates.
    pub dimensions: usize,
    /// `[rows, dimensions]`, row-major: v_k / v_0. In each column the entry of largest magnitude is
    /// positive.
    pub values: Vec<f64>,
    /// `[dimensions + 1]`, descending; the first is 1 up to rounding.
    pub eigenvalues: Vec<f64>,
    /// The width of the kernel that was used, in units of the activations.
    pub sigma: f64,
    /// What a reader should know before trusting the map, in whole sentences.
    pub warnings: Vec<String>,
}

/// The diffusion map of an activation matrix `values` `[rows, columns]`, row-major. `what` names
/// the layer in errors.
///
/// Cost: rows^2 columns for the distances and about 60 rows^2 for the eigenpairs; rows^2 numbers of
/// memory.
///
/// # Errors
/// [`Error::BadArgument`] where a size or an option is out of range; [`Error::Disconnected`] where
/// sigma is too small for the kernel to hold together; [`Error::NotFinite`] where a value is not
/// finite; [`Error::Degenerate`] where the rows do not differ.
pub fn diffusion_map(
    values: &[f32],
    rows: usize,
    columns: usize,
    options: &DiffusionMapOptions,
    what: &str,
) -> Result<DiffusionMap> {
    at_once(diffusion_map_pausing(values, rows, columns, options, what, async || Ok(())))
}

/// [`diffusion_map`] for a caller that shares its thread: `pause` is awaited every few
/// milliseconds, and an error from it (a cancelled task) ends the work.
pub async fn diffusion_map_pausing(
    values: &[f32],
    rows: usize,
    columns: usize,
    options: &DiffusionMapOptions,
    what: &str,
    mut pause: impl AsyncFnMut() -> Result<()>,
) -> Result<DiffusionMap> {
    let dimensions = options.dimensions;
    check_options(rows, options, what)?;
    let gram = CentredGram::new(values, rows, columns, what, &mut pause).await?;
    let norms: Vec<f64> = (0..rows).map(|row| gram.values[row * rows + row]).collect();
    if norms.iter().all(|&norm| norm == 0.0) {
        return Err(uniform(what));
    }

    let mut kernel = gram.values;
    for row in 0..rows {
        let line = &mut kernel[row * rows..][..row];
        for (value, norm) in line.iter_mut().zip(&norms) {
            let square = norms[row] + norm - 2.0 * *value;
            *value = if square > 0.0 { square.sqrt() } else { 0.0 };
        }
    }
    let sigma = match options.sigma {
        Some(sigma) => sigma,
        None => median_distance(&kernel, rows, &norms).ok_or_else(|| uniform(what))?,
    };
    pause().await?;
    for row in 0..rows {
        for value in &mut kernel[row * rows..][..row] {
            let ratio = *value / sigma;
            *value = if options.power == 2.0 { (-ratio * ratio).exp() } else { (-ratio.powf(options.power)).exp() };
        }
        kernel[row * rows + row] = 1.0;
        if row % 64 == 0 {
            pause().await?;
        }
    }
    let first = normalise(&mut kernel, rows);
    pause().await?;
    if !first.iter().all(|&value| value > 0.0 && value.is_finite()) {
        return Err(degenerate(what, "the first eigenvector of its kernel is not positive".into()));
    }

    let pairs = lanczos::largest_beside(&kernel, &first, dimensions, &mut pause)
        .await?
        .ok_or_else(|| degenerate(what, "the eigenvalues of its kernel do not converge".into()))?;
    if 1.0 - pairs.values[0] < DISCONNECTED {
        let reason = format!("its kernel falls apart into unconnected groups of rows at a width of {sigma:.3}");
        return Err(Error::Disconnected { layer: what.into(), reason });
    }
    let mut embedding = vec![0.0; rows * dimensions];
    for (column, vector) in pairs.vectors.iter().enumerate() {
        let ratios: Vec<f64> = vector.iter().zip(&first).map(|(value, first)| value / first).collect();
        let extreme = ratios.iter().fold(0.0, |most: f64, &value| if value.abs() > most.abs() { value } else { most });
        for (row, ratio) in ratios.iter().enumerate() {
            embedding[row * dimensions + column] = ratio * extreme.signum();
        }
    }
    if !embedding.iter().all(|value| value.is_finite()) {
        return Err(degenerate(what, "its diffusion map has values that are not finite".into()));
    }
    let mut eigenvalues = vec![lanczos::quotient(&kernel, &first)];
    eigenvalues.extend(&pairs.values);
    let warnings = warnings(rows, &eigenvalues, what);
    Ok(DiffusionMap { rows, dimensions, values: embedding, eigenvalues, sigma, warnings })
}

fn check_options(rows: usize, options: &DiffusionMapOptions, what: &str) -> Result<()> {
    let &DiffusionMapOptions { dimensions, sigma, power } = options;
    let most = rows.saturating_sub(2).min(MOST_DIMENSIONS);
    if dimensions == 0 || dimensions > most {
        let reason = format!("{dimensions} is not in 1..={most}, the range for {rows} rows of {what}");
        return Err(Error::argument("dimensions", reason));
    }
    if let Some(sigma) = sigma
        && !(sigma > 0.0 && sigma.is_finite())
    {
        return Err(Error::argument("sigma", format!("{sigma} for {what} is not a positive number")));
    }
    if !(power > 0.0 && power.is_finite()) {
        return Err(Error::argument("power", format!("{power} for {what} is not a positive number")));
    }
    Ok(())
}

/// The median of the distances below the diagonal of `distances` `[rows, rows]`; for an even count
/// the mean of the two middle ones. None where it is 0 up to rounding, which `norms`, the squared
/// norms of the rows, tell.
fn median_distance(distances: &[f64], rows: usize, norms: &[f64]) -> Option<f64> {
    let below = (0..rows).flat_map(|row| &distances[row * rows..][..row]);
    let median = median(below.copied());
    // A distance comes from a difference of squares, so equal rows are only equal to about 1e-8 of
    // their norm.
    let typical = self::median(norms.iter().copied()).sqrt();
    (median > 1e-6 * typical).then_some(median)
}

/// The median of numbers >= 0.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    // The bit patterns of numbers >= 0 have the order of the numbers, and integers are selected
    // faster.
    let mut bits: Vec<u64> = values.map(f64::to_bits).collect();
    let middle = bits.len() / 2;
    let even = bits.len().is_multiple_of(2);
    let (lower, upper, _) = bits.select_nth_unstable(middle);
    let upper = f64::from_bits(*upper);
    match lower.iter().max() {
        Some(&lower) if even => 0.5 * (f64::from_bits(lower) + upper),
        _ => upper,
    }
}

/// Makes A of K, in place: reads the lower triangle of `kernel` `[rows, rows]`, fills both. Returns
/// its first eigenvector d^1/2, of length 1.
fn normalise(kernel: &mut [f64], rows: usize) -> Vec<f64> {
    let ones = vec![1.0; rows];
    let density: Vec<f64> = lower_product(kernel, &ones).iter().map(|sum| sum.sqrt().recip()).collect();
    let degree: Vec<f64> =
        lower_product(kernel, &density).iter().zip(&density).map(|(sum, density)| sum * density).collect();
    let scale: Vec<f64> = density.iter().zip(&degree).map(|(density, degree)| density / degree.sqrt()).collect();
    for row in 0..rows {
        for (value, other) in kernel[row * rows..][..=row].iter_mut().zip(&scale) {
            *value *= scale[row] * other;
        }
    }
    mirror(kernel, rows);
    let length = degree.iter().sum::<f64>().sqrt();
    degree.iter().map(|degree| degree.sqrt() / length).collect()
}

/// The product of a symmetric matrix `[rows, rows]`, given by its lower triangle, and a vector
/// `[rows]`.
fn lower_product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    let rows = vector.len();
    let mut product = vec![0.0; rows];
    for row in 0..rows {
        let line = &matrix[row * rows..][..row];
        lanczos::add_scaled(&mut product[..row], line, vector[row]);
        product[row] += lanczos::dot(line, &vector[..row]) + matrix[row * rows + row] * vector[row];
    }
    product
}

/// Copies the lower triangle of `matrix` `[rows, rows]` to the upper one, in tiles that stay in the
/// cache.
fn mirror(matrix: &mut [f64], rows: usize) {
    const TILE: usize = 32;
    for top in (0..rows).step_by(TILE) {
        for left in (0..=top).step_by(TILE) {
            for row in top..(top + TILE).min(rows) {
                for column in left..(left + TILE).min(row) {
                    matrix[column * rows + row] = matrix[row * rows + column];
                }
            }
        }
    }
}

fn warnings(rows: usize, eigenvalues: &[f64], what: &str) -> Vec<String> {
    let dimensions = eigenvalues.len() - 1;
    let mut warnings = Vec::new();
    if rows < 10 * dimensions {
        warnings.push(format!(
            "{what}: {rows} rows are few for {dimensions} dimensions; take at least {}.",
            10 * dimensions
        ));
    }
    let signal = eigenvalues.iter().skip(1).filter(|&&value| value > NOISE).count();
    if signal < dimensions {
        warnings.push(format!("{what}: only {signal} of {dimensions} dimensions stand out from rounding noise."));
    }
    warnings
}

fn degenerate(what: &str, found: String) -> Error {
    Error::Degenerate { what: what.into(), found }
}

fn uniform(what: &str) -> Error {
    degenerate(what, "at least half of the distances between its rows are 0".into())
}

/// Runs a future whose pauses never wait.
pub(crate) fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::Cancelled),
    }
}

#[cfg(test)]
mod tests;
