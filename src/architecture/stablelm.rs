//! StableLM: Llama with layer norms and a share of each head rotated; attention and MLP may stand
//! side by side after one norm.

use super::block_kind::{BlockKind, Norm};
use super::description::{Description, NormKind};
use super::files::Files;
use super::llama::{Biases, FrameKeys, gated};
use super::options::refuse_flag;
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `StableLmConfig` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    refuse_flag(config, "qk_layernorm", false)?;
    let bias = config.flag("use_qkv_bias")?;
    let named = FrameKeys { epsilon: "layer_norm_eps", ..FrameKeys::default() };
    let frame = gated(files, "stablelm", named, Biases { query_key_value: bias, ..Biases::default() })?;
    let keys = RopeKeys { share: Some(("partial_rotary_factor", 0.25)), ..RopeKeys::default() };
    let parameters = RopeParameters::flat(config, &keys)?;
    let parallel = config.flag("use_parallel_residual")?;
    let mut norms = vec![Norm { role: Role::AttentionNorm, name: "input_layernorm", size: frame.hidden }];
    let mut projections = frame.block().projections.clone();
    if parallel {
        let of_the_mlp = projections.iter_mut().filter(|p| p.reads == Some(Role::MlpNorm));
        of_the_mlp.for_each(|p| p.reads = Some(Role::AttentionNorm));
    } else {
        norms.push(Norm { role: Role::MlpNorm, name: "post_attention_layernorm", size: frame.hidden });
    }
    Ok(Description {
        norm: NormKind::Layer,
        ropes: vec![Rope::new(config, &parameters, frame.head_size)?],
        parallel,
        kinds: vec![BlockKind { norms, projections }],
        ..frame
    })
}
