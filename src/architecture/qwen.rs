//! Qwen 2 (and 2.5) and 3: Llama with biases on queries, keys and values, or with normalised
//! queries and keys.

use super::description::{Description, Norm};
use super::files::Files;
use super::layers;
use super::layers::{LayerKind, LayerList, LayerOptions};
use super::llama::{Biases, frame};
use super::role::Role;
use crate::error::Result;

/// Names and options as `Qwen2Config` of transformers has them.
pub fn qwen2(files: &Files<'_>) -> Result<Description> {
    windowed(files, frame(files, "qwen2", Biases { query_key_value: true, ..Biases::default() })?)
}

/// Names and options as `Qwen3Config` of transformers has them.
pub fn qwen3(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag("attention_bias")?;
    let mut frame = frame(files, "qwen3", Biases { query_key_value: bias, output: bias, mlp: false })?;
    for (role, name) in [(Role::QueryNorm, "self_attn.q_norm"), (Role::KeyNorm, "self_attn.k_norm")] {
        frame.norms.push(Norm { role, name, size: frame.head_size });
    }
    windowed(files, frame)
}

/// From block `max_window_layers` on a window, where one is used at all.
fn windowed(files: &Files<'_>, frame: Description) -> Result<Description> {
    let config = &files.config;
    let used = config.flag("use_sliding_window")? && config.get("sliding_window").is_some();
    let window = used.then(|| config.size("sliding_window")).transpose()?;
    let from = config.number("max_window_layers")?;
    let rule = |layer| if used && layer as f64 >= from { LayerKind::Local } else { LayerKind::Global };
    let kinds = layers::kinds(config, frame.layers, rule)?.into_iter();
    let options = |kind| LayerOptions { kind, window: window.filter(|_| kind == LayerKind::Local), rope: Some(0) };
    let lists = vec![LayerList::kinds(&["max_window_layers"])];
    Ok(Description { layer_options: kinds.map(options).collect(), lists, ..frame })
}
