//! Helium and ERNIE 4.5 (dense): Llama with adjacent channels rotated.

use super::description::Description;
use super::files::Files;
use super::llama::{Biases, rotated};
use super::rope::RopeKeys;
use crate::compute::Pairs;
use crate::error::Result;

/// Names and options as `HeliumConfig` of transformers has them.
pub fn helium(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let biases =
        Biases { query_key_value: config.flag("attention_bias")?, output: false, mlp: config.flag("mlp_bias")? };
    let keys = RopeKeys { default_theta: 100_000.0, ..RopeKeys::default() };
    Ok(Description { pairs: Pairs::Adjacent, ..rotated(files, "helium", &keys, biases)? })
}

/// Names and options as `Ernie4_5Config` of transformers has them.
pub fn ernie4_5(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag("use_bias")?;
    let keys = RopeKeys { default_theta: 500_000.0, ..RopeKeys::default() };
    let biases = Biases { query_key_value: bias, output: bias, mlp: bias };
    Ok(Description { pairs: Pairs::Adjacent, ..rotated(files, "ernie4_5", &keys, biases)? })
}
