//! SmolLM 3: Llama in which some blocks have no rotary embedding.

use super::description::Description;
use super::files::Files;
use super::layers;
use super::layers::{LayerKind, LayerList, LayerOptions};
use super::llama::{Biases, unrotated};
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::{Error, Result};

/// Names and options as `SmolLM3Config` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let bias = config.flag("attention_bias")?;
    let mlp = config.flag("mlp_bias")?;
    let frame = unrotated(files, "smollm3", Biases { query_key_value: bias, output: bias, mlp })?;
    let parameters = RopeParameters::flat(config, &RopeKeys { default_theta: 2_000_000.0, ..RopeKeys::default() })?;
    let rotated = rotated(files, frame.layers)?;
    let window = config.flag("use_sliding_window")?.then(|| config.get("sliding_window")).flatten();
    let window = window.map(|_| config.size("sliding_window")).transpose()?;
    let rule = |layer: usize| match window {
        Some(_) if !rotated[layer] => LayerKind::Local,
        _ => LayerKind::Global,
    };
    let kinds = layers::kinds(config, frame.layers, rule)?;
    let options = kinds.into_iter().zip(&rotated).map(|(kind, rotated)| LayerOptions {
        kind,
        window: window.filter(|_| kind == LayerKind::Local),
        rope: rotated.then_some(0),
        block: 0,
    });
    let ropes = LayerList {
        key: "no_rope_layers",
        entry: |o| u8::from(o.rope.is_some()).into(),
        rules: &["no_rope_layer_interval"],
    };
    Ok(Description {
        layer_options: options.collect(),
        lists: vec![LayerList::kinds(&[]), ropes],
        ropes: vec![Rope::new(config, &parameters, frame.head_size)?],
        ..frame
    })
}

/// Which blocks have a rotary embedding: those with a 1 in `no_rope_layers`, or all but every
/// `no_rope_layer_interval`-th.
fn rotated(files: &Files<'_>, layers: usize) -> Result<Vec<bool>> {
    let interval = files.config.size("no_rope_layer_interval")?;
    let Some(list) = files.config.get("no_rope_layers") else {
        return Ok((1..=layers).map(|number| !number.is_multiple_of(interval)).collect());
    };
    let flags = list.as_array().filter(|list| list.len() == layers);
    let flags = flags.and_then(|list| list.iter().map(|flag| flag.as_u64().map(|flag| flag != 0)).collect());
    flags.ok_or_else(|| Error::config(format!("no_rope_layers is not a list of {layers} numbers")))
}
