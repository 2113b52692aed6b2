//! Helium and ERNIE 4.5 (dense): Llama with adjacent channels rotated.

use super::description::Description;
use super::files::Files;
use super::llama::{Biases, unrotated};
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::compute::Pairs;
use crate::error::Result;

/// Names and options as `HeliumConfig` of transformers has them.
pub fn helium(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let (bias, mlp) = (config.flag("attention_bias")?, config.flag("mlp_bias")?);
    adjacent(files, "helium", 100_000.0, Biases { query_key_value: bias, output: false, mlp })
}

/// Names and options as `Ernie4_5Config` of transformers has them.
pub fn ernie4_5(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag("use_bias")?;
    adjacent(files, "ernie4_5", 500_000.0, Biases { query_key_value: bias, output: bias, mlp: bias })
}

/// What both have; `theta` is the base of the rotary embedding where no key gives one.
fn adjacent(files: &Files<'_>, family: &'static str, theta: f64, biases: Biases) -> Result<Description> {
    let frame = unrotated(files, family, biases)?;
    let parameters = RopeParameters::flat(&files.config, &RopeKeys { default_theta: theta, ..RopeKeys::default() })?;
    let ropes = vec![Rope::new(&files.config, &parameters, frame.head_size)?];
    Ok(Description { ropes, pairs: Pairs::Adjacent, ..frame })
}
