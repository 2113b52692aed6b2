//! Similarity of two layers: NPIB by two estimators, and the controls that are always shown beside
//! it.
//!
//! Each measure is one file: what is computed once per layer is a struct, what is computed per pair
//! is a function of two of them. `calibration::measures` is the one place that knows them all,
//! prepares layer by layer and pauses between pairs. This module must not know models, engines or
//! the web: slices in, plain structs out, f64 inside.

pub mod cka;
mod columns;
pub mod cosine;
mod layer_matrix;
mod measure;
pub mod npib_gaussian;
pub mod npib_knn;

pub use layer_matrix::LayerMatrix;
pub use measure::Measure;
