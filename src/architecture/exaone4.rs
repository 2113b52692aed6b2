//! EXAONE 4: OLMo 2's norms, with queries and keys normalised in each head; of the blocks of a
//! model with windows, those that see everything have no rotary embedding.

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::Description;
use super::files::Files;
use super::layers::{self, LayerKind, LayerList, LayerOptions};
use super::llama::{Biases, frame};
use super::role::Role;
use crate::error::Result;

/// Names and options as `Exaone4Config` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let frame = frame(files, "exaone4", Biases::default())?;
    let window = config.get("sliding_window").map(|_| config.size("sliding_window")).transpose()?;
    let ruled = window.is_some() && config.get("layer_types").is_none();
    let pattern = if ruled { config.size("sliding_window_pattern")? } else { 1 };
    let rule = |layer: usize| if (layer + 1).is_multiple_of(pattern) { LayerKind::Global } else { LayerKind::Local };
    let options = |kind| match (kind, window) {
        (LayerKind::Local, _) => LayerOptions { kind, window, rope: Some(0), block: 0 },
        (LayerKind::Global, None) => LayerOptions { kind, window: None, rope: Some(0), block: 0 },
        (LayerKind::Global, Some(_)) => LayerOptions { kind, window: None, rope: None, block: 0 },
    };
    let norm = |role, name, size| Norm { role, name, size };
    Ok(Description {
        layer_options: layers::kinds(config, frame.layers, rule)?.into_iter().map(options).collect(),
        lists: vec![LayerList::kinds(&["sliding_window_pattern"])],
        kinds: vec![BlockKind {
            norms: vec![
                norm(Role::QueryNorm, "self_attn.q_norm", frame.head_size),
                norm(Role::KeyNorm, "self_attn.k_norm", frame.head_size),
                norm(Role::AttentionPostNorm, "post_attention_layernorm", frame.hidden),
                norm(Role::MlpPostNorm, "post_feedforward_layernorm", frame.hidden),
            ],
            projections: frame.block().projections.iter().map(|p| Projection { reads: None, ..*p }).collect(),
        }],
        ..frame
    })
}
