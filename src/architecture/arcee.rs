//! Arcee and Nemotron: Llama with a plain MLP, whose neurons give the square of what is positive.
//! Nemotron has layer norms whose gains are stored less 1, and rotates a share of each head.

use super::block_kind::BlockKind;
use super::description::{Description, NormKind};
use super::files::Files;
use super::llama::{Biases, FrameKeys, frame, gated, ungated};
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `ArceeConfig` of transformers has them.
pub fn arcee(files: &Files<'_>) -> Result<Description> {
    let frame = frame(files, "arcee", biases(files)?)?;
    Ok(Description { kinds: plain(&frame), ..frame })
}

/// Names and options as `NemotronConfig` of transformers has them.
pub fn nemotron(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let keys = FrameKeys { epsilon: "norm_eps", ..FrameKeys::default() };
    let frame = gated(files, "nemotron", keys, biases(files)?)?;
    let keys = RopeKeys { share: Some(("partial_rotary_factor", 0.5)), ..RopeKeys::default() };
    let parameters = RopeParameters::flat(config, &keys)?;
    Ok(Description {
        norm: NormKind::Layer,
        gain_offset: 1.0,
        ropes: vec![Rope::new(config, &parameters, frame.head_size)?],
        kinds: plain(&frame),
        ..frame
    })
}

/// Their blocks, from those with a gate.
fn plain(frame: &Description) -> Vec<BlockKind> {
    let BlockKind { norms, projections } = frame.block();
    vec![BlockKind { norms: norms.clone(), projections: ungated(projections) }]
}

/// Which projections have a bias, in both.
fn biases(files: &Files<'_>) -> Result<Biases> {
    let bias = files.config.flag("attention_bias")?;
    Ok(Biases { query_key_value: bias, output: bias, mlp: files.config.flag("mlp_bias")? })
}
