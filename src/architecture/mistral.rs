//! Mistral and Ministral 3: Llama whose queries may see the last positions only.

use super::description::Description;
use super::files::Files;
use super::layers::{LayerKind, LayerOptions};
use super::llama::{Biases, frame};
use super::rope::{RopeKeys, RopeParameters};
use crate::checkpoint::config::Config;
use crate::error::Result;

/// Names and options as `MistralConfig` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    windowed(&files.config, frame(files, "mistral", Biases::default())?)
}

/// The same with `sliding_window` in every block. A window that is null is none.
pub fn windowed(config: &Config, description: Description) -> Result<Description> {
    let window = config.get("sliding_window").map(|_| config.size("sliding_window")).transpose()?;
    let kind = if window.is_some() { LayerKind::Local } else { LayerKind::Global };
    let options = LayerOptions { kind, window, rope: Some(0), block: 0 };
    Ok(Description { layer_options: vec![options; description.layers], ..description })
}

/// Names and options as `Ministral3Config` of transformers has them. Its factor of the queries is 1
/// at the positions that are described here; beyond them it grows, and is not computed.
pub fn ministral3(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let described = windowed(config, frame(files, "ministral3", Biases::default())?)?;
    let original = RopeParameters::flat(config, &RopeKeys::default())?.original_positions(config)?;
    Ok(Description { positions: described.positions.min(original as usize), ..described })
}
