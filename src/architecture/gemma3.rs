//! Gemma 3 (text): local and global blocks with a rotary base each, gains stored less 1, norms in front of, behind and inside every part.

use super::llama::{Biases, frame};
use super::options::{activation, head, refuse_flag, refuse_value};
use super::rope::Rope;
use super::{Description, Files, LayerKind, LayerList, LayerOptions, Norm, Role, layers};
use crate::error::Result;

/// Names and options as `Gemma3TextConfig` of transformers has them, in its style of today and of before version 5.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = files.config;
    refuse_flag(config, "use_bidirectional_attention", false)?;
    refuse_value(config, "attn_logit_softcapping")?;
    refuse_value(config, "final_logit_softcapping")?;
    let bias = config.flag_or("attention_bias", false)?;
    let frame = frame(files, "gemma3_text", Some(256), Biases { query_key_value: bias, output: bias, mlp: false })?;
    let norm = |role, name, size| Norm { role, name, size };
    let (hidden, head_size) = (frame.hidden, frame.head_size);
    let pattern = config.size_or("sliding_window_pattern", Some(6))?;
    let rule = |layer: usize| if (layer + 1).is_multiple_of(pattern) { LayerKind::Global } else { LayerKind::Local };
    let window = config.size_or("sliding_window", Some(4096))?;
    let options = |kind| match kind {
        LayerKind::Global => LayerOptions { kind, window: None, rope: Some(0) },
        LayerKind::Local => LayerOptions { kind, window: Some(window), rope: Some(1) },
    };
    let scalar = config.number_or("query_pre_attn_scalar", 256.0)?;
    Ok(Description {
        embedding_scale: (hidden as f64).sqrt() as f32,
        gain_offset: 1.0,
        attention_scale: (1.0 / scalar.sqrt()) as f32,
        activation: activation(config, "hidden_activation", "gelu_pytorch_tanh")?,
        ropes: vec![
            Rope::read(config, Some("full_attention"), ("rope_theta", 1_000_000.0), head_size)?,
            Rope::read(config, Some("sliding_attention"), ("rope_local_base_freq", 10_000.0), head_size)?,
        ],
        layer_options: layers::kinds(config, frame.layers, rule)?.into_iter().map(options).collect(),
        lists: vec![LayerList::kinds(&["sliding_window_pattern", "_sliding_window_pattern"])],
        norms: vec![
            norm(Role::AttentionNorm, "input_layernorm", hidden),
            norm(Role::QueryNorm, "self_attn.q_norm", head_size),
            norm(Role::KeyNorm, "self_attn.k_norm", head_size),
            norm(Role::AttentionPostNorm, "post_attention_layernorm", hidden),
            norm(Role::MlpNorm, "pre_feedforward_layernorm", hidden),
            norm(Role::MlpPostNorm, "post_feedforward_layernorm", hidden),
        ],
        head: head(config, "lm_head.weight", true)?,
        ..frame
    })
}
