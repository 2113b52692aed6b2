//! Phi 1 to 2: attention and MLP side by side after one norm, a share of each head rotated, biases
//! everywhere.

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::{Description, NormKind};
use super::files::Files;
use super::layers::LayerOptions;
use super::options::{Heads, activation, ends};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `PhiConfig` of transformers has them, in its style of today and of before
/// version 5.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let root = files.root(&["model.", ""], &["layers.0.", "embed_tokens.weight"]);
    let hidden = config.size("hidden_size")?;
    let heads = Heads::grouped(config, hidden)?;
    let (query, key) = (heads.query(), heads.key());
    let intermediate = config.size("intermediate_size")?;
    let layers = files.layers("num_hidden_layers")?;
    let keys = RopeKeys { share: Some(("partial_rotary_factor", 0.5)), ..RopeKeys::default() };
    let parameters = RopeParameters::flat(config, &keys)?;
    let norm = Role::AttentionNorm;
    let mut norms = vec![Norm { role: norm, name: "input_layernorm", size: hidden }];
    if config.flag("qk_layernorm")? {
        let size = heads.head_size;
        norms.push(Norm { role: Role::QueryNorm, name: "self_attn.q_layernorm", size });
        norms.push(Norm { role: Role::KeyNorm, name: "self_attn.k_layernorm", size });
    }
    let (embedding, head) = ends(files, format!("{root}embed_tokens.weight"), "lm_head.weight")?;
    Ok(Description {
        family: "phi",
        count_keys: files.count_keys("num_hidden_layers"),
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: heads.head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("max_position_embeddings")?,
        norm: NormKind::Layer,
        epsilon: config.number("layer_norm_eps")? as f32,
        ropes: vec![Rope::new(config, &parameters, heads.head_size)?],
        attention_scale: heads.scale(),
        parallel: true,
        activation: activation(config, "hidden_act")?,
        layer_options: vec![LayerOptions::GLOBAL; layers],
        block_prefix: format!("{root}layers"),
        kinds: vec![BlockKind {
            norms,
            projections: vec![
                Projection::new(Role::Query, "self_attn.q_proj", [query, hidden], true, norm),
                Projection::new(Role::Key, "self_attn.k_proj", [key, hidden], true, norm),
                Projection::new(Role::Value, "self_attn.v_proj", [key, hidden], true, norm),
                Projection::new(Role::Output, "self_attn.dense", [hidden, query], true, None),
                Projection::new(Role::Up, "mlp.fc1", [intermediate, hidden], true, norm),
                Projection::new(Role::Down, "mlp.fc2", [hidden, intermediate], true, None),
            ],
        }],
        embedding,
        final_norm: Some(format!("{root}final_layernorm")),
        head,
        head_bias: Some("lm_head.bias".into()),
        ..Description::default()
    })
}
