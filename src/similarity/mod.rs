//! How alike two layers are: NPIB by two estimators, and the controls that are always shown beside it.
//!
//! Each measure is one file: what is computed once per layer is a struct, what is computed per pair is a function of
//! two of them. A caller that shares its thread prepares layer by layer and pauses between pairs; [`matrix`] does all
//! at once.
//!
//! This module must not know models, engines or the web: slices in, plain structs out, f64 inside.

pub mod cka;
pub mod cosine;
pub mod npib_gaussian;
pub mod npib_knn;

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::manifold::{DiffusionMap, DiffusionMapOptions, diffusion_map};

/// A measure of two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Normalised pairwise information of Gaussians: `npib`. The default.
    NpibGaussian,
    /// Normalised pairwise information by k nearest neighbours: `npib-knn`.
    NpibKnn,
    /// Mean cosine of the rows: `cosine`.
    Cosine,
    /// Mean angular distance of the rows over pi: `angular`. A distance: 0 is alike.
    Angular,
    /// Linear centred kernel alignment: `cka`.
    Cka,
}

impl Measure {
    /// All measures, the default first.
    pub const ALL: [Self; 5] = [Self::NpibGaussian, Self::NpibKnn, Self::Cosine, Self::Angular, Self::Cka];

    /// Its name in the programming interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::NpibGaussian => "npib",
            Self::NpibKnn => "npib-knn",
            Self::Cosine => "cosine",
            Self::Angular => "angular",
            Self::Cka => "cka",
        }
    }

    /// Whether it compares diffusion maps; the others compare activations.
    pub fn uses_manifold(self) -> bool {
        matches!(self, Self::NpibGaussian | Self::NpibKnn)
    }
}

impl FromStr for Measure {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|measure| measure.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join("\", \"");
            Error::argument("measure", format!("\"{name}\" is not one of \"{names}\""))
        })
    }
}

/// One number for each pair of layers.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMatrix {
    /// L, the number of layers.
    pub layers: usize,
    /// `[layers, layers]`, row-major, symmetric.
    pub values: Vec<f64>,
}

impl LayerMatrix {
    /// All 0.
    pub fn new(layers: usize) -> Self {
        Self { layers, values: vec![0.0; layers * layers] }
    }

    /// Evaluates `measure` once for each pair a <= b.
    pub fn from_pairs(layers: usize, mut measure: impl FnMut(usize, usize) -> Result<f64>) -> Result<Self> {
        let mut matrix = Self::new(layers);
        for a in 0..layers {
            for b in a..layers {
                matrix.set(a, b, measure(a, b)?);
            }
        }
        Ok(matrix)
    }

    /// The value of the layers `a` and `b`, both < `layers`.
    pub fn get(&self, a: usize, b: usize) -> f64 {
        self.values[a * self.layers + b]
    }

    /// Sets the value of `a` and `b`, and that of `b` and `a`.
    pub fn set(&mut self, a: usize, b: usize, value: f64) {
        self.values[a * self.layers + b] = value;
        self.values[b * self.layers + a] = value;
    }
}

/// The matrix of one measure over the activations of all `layers`, each `[rows, columns]`, row-major. `options` are
/// those of the diffusion maps; the controls don't use them.
///
/// For tests and native programs: it holds all layers and does not pause.
///
/// # Errors
/// Those of [`diffusion_map`] and of the measure; they name the layer by its index.
pub fn matrix(
    measure: Measure,
    layers: &[&[f32]],
    rows: usize,
    columns: usize,
    options: &DiffusionMapOptions,
) -> Result<LayerMatrix> {
    let names: Vec<String> = (0..layers.len()).map(|layer| format!("layer {layer}")).collect();
    let named = || layers.iter().copied().zip(names.iter().map(String::as_str));
    let maps = || named().map(|(values, what)| diffusion_map(values, rows, columns, options, what));
    let count = layers.len();
    match measure {
        Measure::NpibGaussian => {
            let scores = maps().zip(&names).map(|(map, what)| npib_gaussian::Scores::new(&map?, what));
            let scores = scores.collect::<Result<Vec<_>>>()?;
            LayerMatrix::from_pairs(count, |a, b| npib_gaussian::similarity(&scores[a], &scores[b]))
        }
        Measure::NpibKnn => {
            let points = maps().zip(&names).map(|(map, what)| npib_knn::Points::new(&map?, what));
            let points = points.collect::<Result<Vec<_>>>()?;
            let mut sweep = npib_knn::Sweep::new(&points)?;
            while sweep.advance() {}
            Ok(sweep.finish())
        }
        Measure::Cosine | Measure::Angular => {
            let prepared = named().map(|(values, what)| cosine::Rows::new(values, rows, columns, what));
            let prepared = prepared.collect::<Result<Vec<_>>>()?;
            let pair = if measure == Measure::Cosine { cosine::similarity } else { cosine::angular_distance };
            LayerMatrix::from_pairs(count, |a, b| pair(&prepared[a], &prepared[b]))
        }
        Measure::Cka => {
            let grams = named().map(|(values, what)| cka::Gram::new(values, rows, columns, what));
            let grams = grams.collect::<Result<Vec<_>>>()?;
            LayerMatrix::from_pairs(count, |a, b| cka::similarity(&grams[a], &grams[b]))
        }
    }
}

/// The columns of a diffusion map, standardised (population variance): `[dimensions, rows]`, one after the other.
fn standardised_columns(map: &DiffusionMap, what: &str, transform: impl Fn(&mut [f64])) -> Result<Vec<f64>> {
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
            return Err(Error::NotFinite { what: what.into(), found });
        }
        for value in values {
            *value = (*value - mean) / deviation;
        }
    }
    Ok(columns)
}

/// Refuses a pair of layers of different sizes.
fn same_size(a: (usize, usize), b: (usize, usize)) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::argument("layers", format!("{} rows of {} cannot be compared with {} rows of {}", a.0, a.1, b.0, b.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for measure in Measure::ALL {
            assert_eq!(measure.name().parse(), Ok(measure));
        }
        let error = "mi".parse::<Measure>().err().map(|error| error.to_string());
        let expected = "measure: \"mi\" is not one of \"npib\", \"npib-knn\", \"cosine\", \"angular\", \"cka\"";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn errors_name_the_layer() {
        let (good, bad) = ([1.0, 2.0, 3.0, 5.0, 8.0, 13.0], [0.0; 6]);
        let options = DiffusionMapOptions { dimensions: 1, ..Default::default() };
        for measure in Measure::ALL {
            let result = matrix(measure, &[&good, &bad], 3, 2, &options);
            // Three rows are too few for five neighbours: there the first layer is the one that fails.
            let name = if measure == Measure::NpibKnn { "layer 0" } else { "layer 1" };
            assert!(matches!(&result, Err(error) if error.to_string().contains(name)), "{measure:?} {result:?}");
        }
    }
}
