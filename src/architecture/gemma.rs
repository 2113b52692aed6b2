//! Gemma 1 to 3 (text): local and global blocks, gains stored less 1, norms before and after
//! every part, soft caps.

use super::activation::NeuronActivation;
use super::block_kind::{BlockKind, Norm};
use super::description::Description;
use super::files::Files;
use super::layers;
use super::layers::{LayerKind, LayerList, LayerOptions};
use super::llama::{Biases, FrameKeys, frame, gated};
use super::options::{cap, positive, refuse_flag};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::compute::Activation;
use crate::error::Result;

/// Names and options as `GemmaConfig` of transformers has them: Llama but for gains and embedding.
pub fn gemma1(files: &Files<'_>) -> Result<Description> {
    refuse_flag(&files.config, "use_bidirectional_attention", false)?;
    let bias = files.config.flag("attention_bias")?;
    let frame = frame(files, "gemma", Biases { query_key_value: bias, output: bias, mlp: false })?;
    // The first releases say gelu and mean its approximation.
    let activation = match frame.activation {
        NeuronActivation::Fixed(Activation::Gelu) => NeuronActivation::Fixed(Activation::GeluTanh),
        other => other,
    };
    Ok(Description { embedding_scale: (frame.hidden as f64).sqrt() as f32, gain_offset: 1.0, activation, ..frame })
}

/// Names and options as `Gemma2Config` of transformers has them: every other block is local, scores
/// and logits are capped.
pub fn gemma2(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let rule = |layer: usize| if layer.is_multiple_of(2) { LayerKind::Local } else { LayerKind::Global };
    let described = normed(files, "gemma2", rule)?;
    let parameters = RopeParameters::flat(config, &RopeKeys::default())?;
    Ok(Description {
        ropes: vec![Rope::new(config, &parameters, described.head_size)?],
        attention_cap: cap(config, "attn_logit_softcapping")?,
        logit_cap: cap(config, "final_logit_softcapping")?,
        lists: vec![LayerList::kinds(&[])],
        ..described
    })
}

/// Names and options as `Gemma3TextConfig` of transformers has them, in its style of today and of
/// before version 5: a rotary base for each kind of block, and normalised queries and keys. Its
/// `attn_logit_softcapping` is read by nothing there, so neither is it here.
pub fn gemma3(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let pattern = config.size_or("sliding_window_pattern", Some(6))?;
    let rule = |layer: usize| if (layer + 1).is_multiple_of(pattern) { LayerKind::Global } else { LayerKind::Local };
    let mut described = normed(files, "gemma3_text", rule)?;
    let head_size = described.head_size;
    for (role, name) in [(Role::QueryNorm, "self_attn.q_norm"), (Role::KeyNorm, "self_attn.k_norm")] {
        described.kinds.iter_mut().for_each(|kind| kind.norms.push(Norm { role, name, size: head_size }));
    }
    for options in described.layer_options.iter_mut().filter(|options| options.kind == LayerKind::Local) {
        options.rope = Some(1);
    }
    Ok(Description {
        ropes: vec![
            Rope::new(
                config,
                &RopeParameters::of_kind(config, "full_attention", ("rope_theta", 1_000_000.0))?,
                head_size,
            )?,
            Rope::new(
                config,
                &RopeParameters::of_kind(config, "sliding_attention", ("rope_local_base_freq", 10_000.0))?,
                head_size,
            )?,
        ],
        logit_cap: cap(config, "final_logit_softcapping")?,
        lists: vec![LayerList::kinds(&["sliding_window_pattern", "_sliding_window_pattern"])],
        ..described
    })
}

/// What both have; `rule` says which blocks are local where no list does.
fn normed(files: &Files<'_>, family: &'static str, rule: impl Fn(usize) -> LayerKind) -> Result<Description> {
    let config = &files.config;
    refuse_flag(config, "use_bidirectional_attention", false)?;
    let bias = config.flag("attention_bias")?;
    let keys = FrameKeys { activation: "hidden_activation", ..FrameKeys::default() };
    let frame = gated(files, family, keys, Biases { query_key_value: bias, output: bias, mlp: false })?;
    let window = config.size("sliding_window")?;
    let options = |kind| match kind {
        LayerKind::Global => LayerOptions { kind, window: None, rope: Some(0), block: 0 },
        LayerKind::Local => LayerOptions { kind, window: Some(window), rope: Some(0), block: 0 },
    };
    let norm = |role, name| Norm { role, name, size: frame.hidden };
    let scalar = positive("query_pre_attn_scalar", config.number("query_pre_attn_scalar")?)?;
    Ok(Description {
        embedding_scale: (frame.hidden as f64).sqrt() as f32,
        gain_offset: 1.0,
        attention_scale: (1.0 / f64::from(scalar).sqrt()) as f32,
        layer_options: layers::kinds(config, frame.layers, rule)?.into_iter().map(options).collect(),
        kinds: vec![BlockKind {
            norms: vec![
                norm(Role::AttentionNorm, "input_layernorm"),
                norm(Role::AttentionPostNorm, "post_attention_layernorm"),
                norm(Role::MlpNorm, "pre_feedforward_layernorm"),
                norm(Role::MlpPostNorm, "post_feedforward_layernorm"),
            ],
            ..frame.block().clone()
        }],
        ..frame
    })
}
