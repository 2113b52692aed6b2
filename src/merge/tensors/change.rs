//! The proof that merging happened, tensor by tensor.

use serde::Serialize;

/// How far a parent is from the tensor that was made of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ParentDistance {
    /// The original block.
    pub layer: usize,
    /// Its weight in the sum.
    pub weight: f64,
    /// Frobenius norm of new - parent over that of the parent, its norm folded in where norms are
    /// folded.
    pub distance: f64,
}

/// The proof that a tensor was merged.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct TensorChange {
    /// Its name in the merged model.
    #[serde(rename = "name")]
    pub tensor: String,
    /// What it was made of, the block in whose place it stands among them.
    pub parents: Vec<ParentDistance>,
}
