//! Results with typed arrays in them, which the plain data of [`crate::interface`] cannot have.

use js_sys::{Float32Array, Uint32Array};
use serde::Serialize;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

/// The ids of a text and the logits after the last of them.
#[derive(Serialize, Tsify)]
pub struct Logits {
    /// Token ids.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Uint32Array")]
    pub(super) ids: Uint32Array,
    /// One logit per entry of the vocabulary.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Float32Array")]
    pub(super) values: Float32Array,
}

/// One number for each pair of layers.
#[derive(Serialize, Tsify)]
pub struct LayerMatrix {
    /// Number of layers L.
    pub(super) layers: usize,
    /// Row-major, L x L.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Float32Array")]
    pub(super) values: Float32Array,
    /// With several seeds, where `values` are means: the standard deviation of each over the draws
    /// of rows.
    #[serde(with = "serde_wasm_bindgen::preserve", skip_serializing_if = "JsValue::is_undefined")]
    #[tsify(optional, type = "Float32Array")]
    pub(super) deviation: JsValue,
}

/// The tokens of the rows; one entry of each list per row.
#[derive(Serialize, Tsify)]
pub struct RowTexts {
    /// The window that it is in.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Uint32Array")]
    pub(super) sequence: Uint32Array,
    /// Its position in the window.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Uint32Array")]
    pub(super) position: Uint32Array,
    /// The token's id.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Uint32Array")]
    pub(super) ids: Uint32Array,
    /// The token's own text; empty where the model has no tokenizer.
    pub(super) texts: Vec<String>,
    /// The text of the six tokens before it, fewer at the start of a window.
    pub(super) before: Vec<String>,
    /// The text of the six tokens after it.
    pub(super) after: Vec<String>,
}

/// The diffusion map of a layer's output.
#[derive(Serialize, Tsify)]
pub struct Embedding {
    /// Token positions.
    pub(super) rows: usize,
    /// Coordinates of each.
    pub(super) dimensions: usize,
    /// Row-major, rows x dimensions. The sign of a column is arbitrary but fixed.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Float32Array")]
    pub(super) values: Float32Array,
    /// dimensions + 1 of them, the first is 1.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Float64Array")]
    pub(super) eigenvalues: js_sys::Float64Array,
    /// The scale of the kernel.
    pub(super) sigma: f64,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

/// Hidden states at the chosen rows.
#[derive(Serialize, Tsify)]
pub struct Hidden {
    /// Token positions.
    pub(super) rows: usize,
    /// Channels.
    pub(super) dimensions: usize,
    /// Row-major, rows x dimensions.
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Float32Array")]
    pub(super) values: Float32Array,
}
