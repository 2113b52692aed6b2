//! Hunyuan (dense): Llama whose queries and keys are normalised after they are rotated.

use super::block_kind::Norm;
use super::description::Description;
use super::files::Files;
use super::llama::{Biases, unrotated};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `HunYuanDenseV1Config` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let bias = config.flag("attention_bias")?;
    let mut frame = unrotated(files, "hunyuan_v1_dense", Biases { query_key_value: bias, output: bias, mlp: false })?;
    let norm = |role, name| Norm { role, name, size: frame.head_size };
    let after = [norm(Role::QueryNorm, "self_attn.query_layernorm"), norm(Role::KeyNorm, "self_attn.key_layernorm")];
    frame.kinds.iter_mut().for_each(|kind| kind.norms.extend(after));
    let parameters = RopeParameters::flat(config, &RopeKeys::default())?.stretched_by_alpha(frame.head_size)?;
    let ropes = vec![Rope::new(config, &parameters, frame.head_size)?];
    Ok(Description { ropes, normed_after_rotation: true, ..frame })
}
