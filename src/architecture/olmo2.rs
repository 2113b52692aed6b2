//! OLMo 2 and 3: no norm before attention and MLP but one after each, and queries and keys
//! normalised over all heads together.

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::Description;
use super::files::Files;
use super::layers::{self, LayerKind, LayerList, LayerOptions};
use super::llama::{Biases, unrotated};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `Olmo2Config` of transformers has them.
pub fn olmo2(files: &Files<'_>) -> Result<Description> {
    let parameters = RopeParameters::flat(&files.config, &RopeKeys::default())?;
    let described = normed_after(files, "olmo2")?;
    Ok(Description { ropes: vec![Rope::new(&files.config, &parameters, described.head_size)?], ..described })
}

/// Names and options as `Olmo3Config` of transformers has them: local and global blocks, each kind
/// with its own rotary parameters.
pub fn olmo3(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let described = normed_after(files, "olmo3")?;
    let window = config.size("sliding_window")?;
    let rule = |layer: usize| if (layer + 1).is_multiple_of(4) { LayerKind::Global } else { LayerKind::Local };
    let options = |kind| match kind {
        LayerKind::Global => LayerOptions { kind, window: None, rope: Some(0), block: 0 },
        LayerKind::Local => LayerOptions { kind, window: Some(window), rope: Some(1), block: 0 },
    };
    // A base outside of `rope_parameters` is that of the global blocks only.
    let (global, local) = (("rope_theta", 500_000.0), ("", 500_000.0));
    let head_size = described.head_size;
    Ok(Description {
        ropes: vec![
            Rope::new(config, &RopeParameters::of_kind(config, "full_attention", global)?, head_size)?,
            Rope::new(config, &RopeParameters::of_kind(config, "sliding_attention", local)?, head_size)?,
        ],
        layer_options: layers::kinds(config, described.layers, rule)?.into_iter().map(options).collect(),
        lists: vec![LayerList::kinds(&[])],
        ..described
    })
}

/// What both have, without rotary embeddings.
fn normed_after(files: &Files<'_>, family: &'static str) -> Result<Description> {
    let bias = files.config.flag("attention_bias")?;
    let frame = unrotated(files, family, Biases { query_key_value: bias, output: bias, mlp: false })?;
    let norm = |role, name, size| Norm { role, name, size };
    Ok(Description {
        kinds: vec![BlockKind {
            norms: vec![
                norm(Role::QueryNorm, "self_attn.q_norm", frame.heads * frame.head_size),
                norm(Role::KeyNorm, "self_attn.k_norm", frame.kv_heads * frame.head_size),
                norm(Role::AttentionPostNorm, "post_attention_layernorm", frame.hidden),
                norm(Role::MlpPostNorm, "post_feedforward_layernorm", frame.hidden),
            ],
            projections: frame.block().projections.iter().map(|p| Projection { reads: None, ..*p }).collect(),
        }],
        ..frame
    })
}
