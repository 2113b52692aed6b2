//! Cohere 1 and 2: attention and MLP side by side after one layer norm without a bias, adjacent
//! channels rotated; of Cohere 2's blocks those that see everything have no rotary embedding.

use super::block_kind::{BlockKind, Norm};
use super::description::{Description, NormKind};
use super::files::Files;
use super::layers::{self, LayerKind, LayerList, LayerOptions};
use super::llama::{Biases, FrameKeys, gated};
use super::options::{positive, refuse_flag};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::compute::Pairs;
use crate::error::Result;

/// Names and options as `CohereConfig` of transformers has them.
pub fn cohere(files: &Files<'_>) -> Result<Description> {
    refuse_flag(&files.config, "use_qk_norm", false)?;
    beside(files, "cohere", 500_000.0)
}

/// Names and options as `Cohere2Config` of transformers has them.
pub fn cohere2(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let described = beside(files, "cohere2", 10_000.0)?;
    let ruled = config.get("layer_types").is_none();
    let pattern = if ruled { config.size_or("sliding_window_pattern", Some(4))? } else { 1 };
    let rule = |layer: usize| if (layer + 1).is_multiple_of(pattern) { LayerKind::Global } else { LayerKind::Local };
    let kinds = layers::kinds(config, described.layers, rule)?;
    let window = match kinds.contains(&LayerKind::Local) {
        true => Some(config.size("sliding_window")?),
        false => None,
    };
    let options = |kind| match kind {
        LayerKind::Local => LayerOptions { kind, window, rope: Some(0), block: 0 },
        LayerKind::Global => LayerOptions { kind, window: None, rope: None, block: 0 },
    };
    Ok(Description {
        layer_options: kinds.into_iter().map(options).collect(),
        lists: vec![LayerList::kinds(&["sliding_window_pattern"])],
        ..described
    })
}

/// What both have; `theta` is the base of the rotary embedding where no key gives one.
fn beside(files: &Files<'_>, family: &'static str, theta: f64) -> Result<Description> {
    let config = &files.config;
    let bias = config.flag("attention_bias")?;
    let keys = FrameKeys { epsilon: "layer_norm_eps", ..FrameKeys::default() };
    let frame = gated(files, family, keys, Biases { query_key_value: bias, output: bias, mlp: false })?;
    let parameters = RopeParameters::flat(config, &RopeKeys { default_theta: theta, ..RopeKeys::default() })?;
    let mut projections = frame.block().projections.clone();
    let of_the_mlp = projections.iter_mut().filter(|p| p.reads == Some(Role::MlpNorm));
    of_the_mlp.for_each(|p| p.reads = Some(Role::AttentionNorm));
    Ok(Description {
        norm: NormKind::LayerWithoutBias,
        ropes: vec![Rope::new(config, &parameters, frame.head_size)?],
        pairs: Pairs::Adjacent,
        parallel: true,
        kinds: vec![BlockKind {
            norms: vec![Norm { role: Role::AttentionNorm, name: "input_layernorm", size: frame.hidden }],
            projections,
        }],
        logit_scale: positive("logit_scale", config.number("logit_scale")?)?,
        ..frame
    })
}
