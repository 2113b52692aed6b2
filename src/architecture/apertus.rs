//! Apertus: Llama with normalised queries and keys and a plain MLP, whose activation has numbers
//! that each block has learned.

use super::block_kind::{BlockKind, Norm};
use super::description::Description;
use super::files::Files;
use super::llama::{Biases, rotated, ungated};
use super::role::Role;
use super::rope::RopeKeys;
use crate::error::Result;

/// Names and options as `ApertusConfig` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag("attention_bias")?;
    let keys = RopeKeys { default_theta: 12_000_000.0, ..RopeKeys::default() };
    let frame = rotated(files, "apertus", &keys, Biases { query_key_value: bias, output: bias, mlp: false })?;
    let norm = |role, name, size| Norm { role, name, size };
    Ok(Description {
        kinds: vec![BlockKind {
            norms: vec![
                norm(Role::AttentionNorm, "attention_layernorm", frame.hidden),
                norm(Role::MlpNorm, "feedforward_layernorm", frame.hidden),
                norm(Role::QueryNorm, "self_attn.q_norm", frame.head_size),
                norm(Role::KeyNorm, "self_attn.k_norm", frame.head_size),
            ],
            projections: ungated(&frame.block().projections),
        }],
        ..frame
    })
}
