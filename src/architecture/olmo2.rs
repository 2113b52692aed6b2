//! OLMo 2: no norm before attention and MLP but one after each, and queries and keys
//! normalised over all heads together.

use super::description::{Description, Norm, Projection};
use super::files::Files;
use super::llama::{Biases, frame};
use super::role::Role;
use crate::error::Result;

/// Names and options as `Olmo2Config` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag("attention_bias")?;
    let frame = frame(files, "olmo2", Biases { query_key_value: bias, output: bias, mlp: false })?;
    let norm = |role, name, size| Norm { role, name, size };
    Ok(Description {
        norms: vec![
            norm(Role::QueryNorm, "self_attn.q_norm", frame.heads * frame.head_size),
            norm(Role::KeyNorm, "self_attn.k_norm", frame.kv_heads * frame.head_size),
            norm(Role::AttentionPostNorm, "post_attention_layernorm", frame.hidden),
            norm(Role::MlpPostNorm, "post_feedforward_layernorm", frame.hidden),
        ],
        projections: frame.projections.iter().map(|p| Projection { reads: None, ..*p }).collect(),
        ..frame
    })
}
