//! GPT-NeoX (Pythia): attention and MLP side by side, queries, keys and values of a head stored
//! side by side, a share of each head rotated.

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::{Description, NormKind};
use super::files::Files;
use super::layers::LayerOptions;
use super::options::{Heads, activation, ends};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `GPTNeoXConfig` of transformers has them, in its style of today and of
/// before version 5.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let root = files.root(&["gpt_neox.", ""], &["layers.0.", "embed_in.weight"]);
    let hidden = config.size("hidden_size")?;
    let heads = Heads::plain(config, "num_attention_heads", hidden)?;
    let size = heads.head_size;
    let intermediate = config.size("intermediate_size")?;
    let layers = files.layers("num_hidden_layers")?;
    let bias = config.flag("attention_bias")?;
    let keys = RopeKeys { theta: "rotary_emb_base", share: Some(("rotary_pct", 0.25)), ..RopeKeys::default() };
    let parameters = RopeParameters::flat(config, &keys)?;
    let (embedding, head) = ends(files, format!("{root}embed_in.weight"), "embed_out.weight")?;
    let fused = |role, index| {
        let whole = Projection::new(role, "attention.query_key_value", [hidden, hidden], bias, Role::AttentionNorm);
        whole.part(3 * hidden, index * size, size, 3 * size)
    };
    Ok(Description {
        family: "gpt_neox",
        count_keys: files.count_keys("num_hidden_layers"),
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("max_position_embeddings")?,
        norm: NormKind::Layer,
        epsilon: config.number("layer_norm_eps")? as f32,
        ropes: vec![Rope::new(config, &parameters, size)?],
        attention_scale: heads.scale(),
        parallel: config.flag("use_parallel_residual")?,
        activation: activation(config, "hidden_act")?,
        layer_options: vec![LayerOptions::GLOBAL; layers],
        block_prefix: format!("{root}layers"),
        kinds: vec![BlockKind {
            norms: vec![
                Norm { role: Role::AttentionNorm, name: "input_layernorm", size: hidden },
                Norm { role: Role::MlpNorm, name: "post_attention_layernorm", size: hidden },
            ],
            projections: vec![
                fused(Role::Query, 0),
                fused(Role::Key, 1),
                fused(Role::Value, 2),
                Projection::new(Role::Output, "attention.dense", [hidden, hidden], bias, None),
                Projection::new(Role::Up, "mlp.dense_h_to_4h", [intermediate, hidden], true, Role::MlpNorm),
                Projection::new(Role::Down, "mlp.dense_4h_to_h", [hidden, intermediate], true, None),
            ],
        }],
        embedding,
        final_norm: Some(format!("{root}final_layer_norm")),
        head,
        ..Description::default()
    })
}
