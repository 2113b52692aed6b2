//! StarCoder 2: Llama's attention between layer norms, with a plain MLP and biases everywhere.

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::{Description, NormKind};
use super::files::Files;
use super::llama::{Biases, FrameKeys, gated, ungated};
use super::mistral::windowed;
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `Starcoder2Config` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let bias = config.flag("use_bias")?;
    let keys = FrameKeys { epsilon: "norm_epsilon", ..FrameKeys::default() };
    let frame = gated(files, "starcoder2", keys, Biases { query_key_value: bias, output: bias, mlp: bias })?;
    let parameters = RopeParameters::flat(config, &RopeKeys::default())?;
    let renamed = |p: Projection| match p.role {
        Role::Up => Projection { name: "mlp.c_fc", ..p },
        Role::Down => Projection { name: "mlp.c_proj", ..p },
        _ => p,
    };
    let norm = |role, name| Norm { role, name, size: frame.hidden };
    let described = Description {
        norm: NormKind::Layer,
        ropes: vec![Rope::new(config, &parameters, frame.head_size)?],
        kinds: vec![BlockKind {
            norms: vec![norm(Role::AttentionNorm, "input_layernorm"), norm(Role::MlpNorm, "post_attention_layernorm")],
            projections: ungated(&frame.block().projections).into_iter().map(renamed).collect(),
        }],
        ..frame
    };
    windowed(config, described)
}
