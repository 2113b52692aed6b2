//! Granite 3 and 4 (dense): Llama with factors for the embedding, the scores, what blocks add to
//! the stream, and the logits.

use super::description::Description;
use super::files::Files;
use super::llama::{Biases, frame};
use super::options::positive;
use crate::error::Result;

/// Names and options as `GraniteConfig` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let bias = config.flag("attention_bias")?;
    let biases = Biases { query_key_value: bias, output: bias, mlp: config.flag("mlp_bias")? };
    let factor = |key: &str| positive(key, config.number(key)?);
    Ok(Description {
        embedding_scale: factor("embedding_multiplier")?,
        attention_scale: factor("attention_multiplier")?,
        residual_scale: factor("residual_multiplier")?,
        logit_scale: factor("logits_scaling")?.recip(),
        ..frame(files, "granite", biases)?
    })
}
