//! GLM-4: Llama with adjacent channels of half of each head rotated, and gate and input of the MLP
//! in one tensor; its later releases have norms before and after every part.

use super::block_kind::{BlockKind, Norm};
use super::description::Description;
use super::files::Files;
use super::llama::{Biases, gate_and_up, unrotated};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::compute::Pairs;
use crate::error::Result;

/// Names and options as `GlmConfig` of transformers has them.
pub fn glm(files: &Files<'_>) -> Result<Description> {
    partly_rotated(files, "glm")
}

/// Names and options as `Glm4Config` of transformers has them.
pub fn glm4(files: &Files<'_>) -> Result<Description> {
    let described = partly_rotated(files, "glm4")?;
    let norm = |role, name| Norm { role, name, size: described.hidden };
    Ok(Description {
        kinds: vec![BlockKind {
            norms: vec![
                norm(Role::AttentionNorm, "input_layernorm"),
                norm(Role::AttentionPostNorm, "post_self_attn_layernorm"),
                norm(Role::MlpNorm, "post_attention_layernorm"),
                norm(Role::MlpPostNorm, "post_mlp_layernorm"),
            ],
            ..described.block().clone()
        }],
        ..described
    })
}

/// What both have.
fn partly_rotated(files: &Files<'_>, family: &'static str) -> Result<Description> {
    let config = &files.config;
    let biases = Biases { query_key_value: config.flag("attention_bias")?, ..Biases::default() };
    let frame = unrotated(files, family, biases)?;
    let keys = RopeKeys { share: Some(("partial_rotary_factor", 0.5)), ..RopeKeys::default() };
    let parameters = RopeParameters::flat(config, &keys)?;
    let of_the_mlp = gate_and_up(frame.hidden, config.size("intermediate_size")?);
    let others = frame.block().projections.iter().filter(|p| ![Role::Gate, Role::Up].contains(&p.role));
    Ok(Description {
        ropes: vec![Rope::new(config, &parameters, frame.head_size)?],
        pairs: Pairs::Adjacent,
        kinds: vec![BlockKind { projections: others.copied().chain(of_the_mlp).collect(), ..frame.block().clone() }],
        ..frame
    })
}
