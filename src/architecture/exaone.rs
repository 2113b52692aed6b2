//! EXAONE 3: Llama, by the names of its first release or by those of transformers.

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::Description;
use super::files::Files;
use super::llama::{Biases, rotated};
use super::options::ends;
use super::rope::RopeKeys;
use crate::error::Result;

/// What Llama calls the tensors of a block, and what the first release does.
const NAMES: [(&str, &str); 9] = [
    ("input_layernorm", "ln_1"),
    ("self_attn.q_proj", "attn.attention.q_proj"),
    ("self_attn.k_proj", "attn.attention.k_proj"),
    ("self_attn.v_proj", "attn.attention.v_proj"),
    ("self_attn.o_proj", "attn.attention.out_proj"),
    ("post_attention_layernorm", "ln_2"),
    ("mlp.gate_proj", "mlp.c_fc_0"),
    ("mlp.up_proj", "mlp.c_fc_1"),
    ("mlp.down_proj", "mlp.c_proj"),
];

/// Names and options as `ExaoneConfig` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let bias = config.flag("attention_bias")?;
    let biases = Biases { query_key_value: bias, output: bias, mlp: config.flag("mlp_bias")? };
    let keys = RopeKeys { default_theta: 500_000.0, ..RopeKeys::default() };
    let frame = rotated(files, "exaone", &keys, biases)?;
    if files.root(&["transformer.", "model."], &["h.0.", "layers.0."]) == "model." {
        return Ok(frame);
    }
    let (embedding, head) = ends(files, "transformer.wte.weight".into(), "lm_head.weight")?;
    let first = |name: &'static str| NAMES.iter().find(|(llama, _)| *llama == name).map_or(name, |(_, first)| first);
    let BlockKind { norms, projections } = frame.block();
    let norms = norms.iter().map(|norm| Norm { name: first(norm.name), ..*norm }).collect();
    let projections = projections.iter().map(|p| Projection { name: first(p.name), ..*p }).collect();
    Ok(Description {
        block_prefix: "transformer.h".into(),
        kinds: vec![BlockKind { norms, projections }],
        embedding,
        final_norm: Some("transformer.ln_f".into()),
        head,
        ..frame
    })
}
