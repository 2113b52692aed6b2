//! What measures of embeddings share: standardised columns, and equal sizes.

use crate::error::{Error, Result};
use crate::manifold::DiffusionMap;

/// The columns of a diffusion map, standardised (population variance): `[dimensions, rows]`, one
/// after the other.
pub(super) fn standardised_columns(map: &DiffusionMap, what: &str, transform: impl Fn(&mut [f64])) -> Result<Vec<f64>> {
    let &DiffusionMap { rows, dimensions, ref values, .. } = map;
    let mut columns = Vec::with_capacity(rows * dimensions);
    for column in 0..dimensions {
        let start = columns.len();
        columns.extend(values.chunks_exact(dimensions).map(|row| row[column]));
        let values = &mut columns[start..];
        transform(values);
        let mean = values.iter().sum::<f64>() / rows as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / rows as f64;
        let deviation = variance.sqrt();
        // `not` of the comparison, so that NaN is refused too.
        let varies = deviation > 1e-12 * mean.abs();
        if !varies || !deviation.is_finite() {
            let found = format!("dimension {column} of its diffusion map has no variance");
            return Err(Error::Degenerate { what: what.into(), found });
        }
        for value in values {
            *value = (*value - mean) / deviation;
        }
    }
    Ok(columns)
}

/// Refuses a pair of layers of different sizes.
pub(super) fn same_size(a: (usize, usize), b: (usize, usize)) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::argument("layers", format!("{} rows of {} cannot be compared with {} rows of {}", a.0, a.1, b.0, b.1)))
}
