//! One number for each pair of layers.

use crate::error::Result;

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
