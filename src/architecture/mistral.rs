//! Mistral: Llama whose queries may see the last positions only.

use super::llama::{Biases, frame};
use super::{Description, Files, LayerKind, LayerOptions};
use crate::error::Result;

/// Names and options as `MistralConfig` of transformers has them. A window that is null is none; one that is absent is the default.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let frame = frame(files, "mistral", None, Biases::default())?;
    let window = match files.config.values().contains_key("sliding_window") {
        true => files.config.get("sliding_window").map(|_| files.config.size("sliding_window")).transpose()?,
        false => Some(4096),
    };
    let kind = if window.is_some() { LayerKind::Local } else { LayerKind::Global };
    let options = LayerOptions { kind, window, rope: Some(0) };
    Ok(Description { layer_options: vec![options; frame.layers], ..frame })
}
