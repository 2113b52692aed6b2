//! Seeded random data for the tests of the numeric modules.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::DiffusionMap;

/// A fixed stream of nearly normal numbers.
pub(crate) struct Normal(ChaCha8Rng);

impl Normal {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Mean 0, variance 1 (the sum of twelve uniform numbers).
    pub(crate) fn next(&mut self) -> f64 {
        (0..12).map(|_| f64::from(self.0.next_u32()) / 4_294_967_296.0).sum::<f64>() - 6.0
    }

    pub(crate) fn vector(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.next()).collect()
    }

    /// `[rows, columns]` whose columns have falling variances, as activations do.
    pub(crate) fn activations(&mut self, rows: usize, columns: usize) -> Vec<f32> {
        (0..rows * columns).map(|at| (self.next() * 10.0 / (1 + at % columns) as f64 + 3.0) as f32).collect()
    }
}

/// A map with the coordinates `values` `[any, dimensions]`.
pub(crate) fn map_of(values: Vec<f64>, dimensions: usize) -> DiffusionMap {
    let eigenvalues = vec![1.0; dimensions + 1];
    DiffusionMap { rows: values.len() / dimensions, dimensions, values, eigenvalues, sigma: 1.0, warnings: Vec::new() }
}

/// `map` with noise of that standard deviation added.
pub(crate) fn noisy_copy(map: &DiffusionMap, noise: f64, random: &mut Normal) -> DiffusionMap {
    map_of(map.values.iter().map(|value| value + noise * random.next()).collect(), map.dimensions)
}
