//! GPT-Neo (TinyStories): learned positions, local and global blocks in turn, scores that are not
//! scaled.

use serde_json::{Value, json};

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::{Description, Learned, NormKind};
use super::files::Files;
use super::layers::{LayerKind, LayerList, LayerOptions};
use super::options::{Heads, activation, ends};
use super::role::Role;
use crate::error::{Error, Result};

/// Names and options as `GPTNeoConfig` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let root = files.root(&["transformer.", ""], &["h.0.", "wte.weight"]);
    let hidden = config.size("hidden_size")?;
    let heads = Heads::plain(config, "num_heads", hidden)?;
    let intermediate = config.size_or("intermediate_size", Some(4 * hidden))?;
    let layers = files.layers("num_layers")?;
    let window = config.size("window_size")?;
    let (embedding, head) = ends(files, format!("{root}wte.weight"), "lm_head.weight")?;
    let options = |kind| match kind {
        LayerKind::Global => LayerOptions { kind, window: None, rope: None, block: 0 },
        LayerKind::Local => LayerOptions { kind, window: Some(window), rope: None, block: 0 },
    };
    let attention = Role::AttentionNorm;
    Ok(Description {
        family: "gpt_neo",
        count_keys: files.count_keys("num_layers"),
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: heads.head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("max_position_embeddings")?,
        learned: Some(Learned { name: format!("{root}wpe.weight"), offset: 0 }),
        norm: NormKind::Layer,
        epsilon: config.number("layer_norm_epsilon")? as f32,
        activation: activation(config, "activation_function")?,
        layer_options: kinds(config.get("attention_types"), layers)?.into_iter().map(options).collect(),
        lists: vec![LayerList { key: "attention_types", entry: |options| json!([[word(options)], 1]), rules: &[] }],
        block_prefix: format!("{root}h"),
        kinds: vec![BlockKind {
            norms: vec![
                Norm { role: attention, name: "ln_1", size: hidden },
                Norm { role: Role::MlpNorm, name: "ln_2", size: hidden },
            ],
            projections: vec![
                Projection::new(Role::Query, "attn.attention.q_proj", [hidden, hidden], false, attention),
                Projection::new(Role::Key, "attn.attention.k_proj", [hidden, hidden], false, attention),
                Projection::new(Role::Value, "attn.attention.v_proj", [hidden, hidden], false, attention),
                Projection::new(Role::Output, "attn.attention.out_proj", [hidden, hidden], true, None),
                Projection::new(Role::Up, "mlp.c_fc", [intermediate, hidden], true, Role::MlpNorm),
                Projection::new(Role::Down, "mlp.c_proj", [hidden, intermediate], true, None),
            ],
        }],
        embedding,
        final_norm: Some(format!("{root}ln_f")),
        head,
        ..Description::default()
    })
}

fn word(options: &LayerOptions) -> &'static str {
    match options.kind {
        LayerKind::Global => "global",
        LayerKind::Local => "local",
    }
}

/// The kinds that `attention_types` spells: entries `[words, times]`, one after the other; global
/// and local in turn where it is absent.
fn kinds(types: Option<&Value>, layers: usize) -> Result<Vec<LayerKind>> {
    let fallback = json!([[["global", "local"], layers.div_ceil(2)]]);
    let bad = || Error::config(format!("attention_types does not spell {layers} blocks that are global or local"));
    let mut kinds = Vec::new();
    for entry in types.unwrap_or(&fallback).as_array().ok_or_else(bad)? {
        let words = entry.get(0).and_then(Value::as_array).ok_or_else(bad)?;
        let times = entry.get(1).and_then(Value::as_u64).filter(|times| *times <= layers as u64).ok_or_else(bad)?;
        for word in (0..times).flat_map(|_| words) {
            kinds.push(match word.as_str() {
                Some("global") => LayerKind::Global,
                Some("local") => LayerKind::Local,
                _ => return Err(bad()),
            });
            if kinds.len() > layers {
                return Err(bad());
            }
        }
    }
    if kinds.len() == layers { Ok(kinds) } else { Err(bad()) }
}
