//! Qwen 2 (and 2.5) and 3, also of their models of images: Llama with biases on queries, keys and
//! values, or with normalised queries and keys.

use super::block_kind::Norm;
use super::description::Description;
use super::files::Files;
use super::layers;
use super::layers::{LayerKind, LayerList, LayerOptions};
use super::llama::{Biases, frame, unrotated};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `Qwen2Config` of transformers has them.
pub fn qwen2(files: &Files<'_>) -> Result<Description> {
    windowed(files, frame(files, "qwen2", Biases { query_key_value: true, ..Biases::default() })?)
}

/// Names and options as `Qwen3Config` of transformers has them.
pub fn qwen3(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag("attention_bias")?;
    let frame = frame(files, "qwen3", Biases { query_key_value: bias, output: bias, mlp: false })?;
    windowed(files, with_normed_heads(frame))
}

/// Names and options as `Qwen2VLTextConfig` and `Qwen2_5_VLTextConfig` of transformers have them:
/// Qwen 2. Of a position's three numbers, each of which turns a section of the channels, all are
/// the same in a text: the rotation is the plain one.
pub fn qwen2_vl_text(files: &Files<'_>) -> Result<Description> {
    let biases = Biases { query_key_value: true, ..Biases::default() };
    let frame = unrotated(files, "qwen2_vl_text", biases)?;
    let keys = RopeKeys { default_theta: 1_000_000.0, ..RopeKeys::default() };
    let parameters = RopeParameters::flat(&files.config, &keys)?.renamed(&["mrope"], "default");
    let ropes = vec![Rope::new(&files.config, &parameters, frame.head_size)?];
    windowed(files, Description { ropes, ..frame })
}

/// Names and options as `Qwen3VLTextConfig` of transformers has them: Qwen 3 without windows. Its
/// three numbers of a position take turns from channel to channel; in a text they are the same.
pub fn qwen3_vl_text(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag("attention_bias")?;
    let frame = unrotated(files, "qwen3_vl_text", Biases { query_key_value: bias, output: bias, mlp: false })?;
    let keys = RopeKeys { default_theta: 500_000.0, ..RopeKeys::default() };
    let parameters = RopeParameters::flat(&files.config, &keys)?;
    let ropes = vec![Rope::new(&files.config, &parameters, frame.head_size)?];
    Ok(with_normed_heads(Description { ropes, ..frame }))
}

/// With a norm for the queries of each head, and one for the keys.
fn with_normed_heads(mut frame: Description) -> Description {
    for (role, name) in [(Role::QueryNorm, "self_attn.q_norm"), (Role::KeyNorm, "self_attn.k_norm")] {
        let norm = Norm { role, name, size: frame.head_size };
        frame.kinds.iter_mut().for_each(|kind| kind.norms.push(norm));
    }
    frame
}

/// From block `max_window_layers` on a window, where one is used at all.
fn windowed(files: &Files<'_>, frame: Description) -> Result<Description> {
    let config = &files.config;
    let used = config.flag("use_sliding_window")? && config.get("sliding_window").is_some();
    let window = used.then(|| config.size("sliding_window")).transpose()?;
    let from = config.number("max_window_layers")?;
    let rule = |layer| if used && layer as f64 >= from { LayerKind::Local } else { LayerKind::Global };
    let kinds = layers::kinds(config, frame.layers, rule)?.into_iter();
    let options =
        |kind| LayerOptions { kind, window: window.filter(|_| kind == LayerKind::Local), rope: Some(0), block: 0 };
    let lists = vec![LayerList::kinds(&["max_window_layers"])];
    Ok(Description { layer_options: kinds.map(options).collect(), lists, ..frame })
}
