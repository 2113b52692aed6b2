//! Phi 1 to 2: attention and MLP side by side behind one norm, a share of each head rotated, biases everywhere.

use super::options::{Heads, activation, head};
use super::rope::{Rope, share};
use super::{Description, Files, LayerOptions, Norm, NormKind, Projection, Role};
use crate::error::Result;

/// Names and options as `PhiConfig` of transformers has them, in its style of today and of before version 5.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = files.config;
    let hidden = config.size("hidden_size")?;
    let heads = Heads::grouped(config, hidden, None)?;
    let (query, key) = (heads.query(), heads.key());
    let intermediate = config.size("intermediate_size")?;
    let layers = config.size("num_hidden_layers")?;
    let rotated = share(config, "partial_rotary_factor", 0.5, heads.head_size)?;
    let norm = Role::AttentionNorm;
    let mut norms = vec![Norm { role: norm, name: "input_layernorm", size: hidden }];
    if config.flag_or("qk_layernorm", false)? {
        let size = heads.head_size;
        norms.push(Norm { role: Role::QueryNorm, name: "self_attn.q_layernorm", size });
        norms.push(Norm { role: Role::KeyNorm, name: "self_attn.k_layernorm", size });
    }
    let head = head(config, "lm_head.weight", false)?;
    Ok(Description {
        family: "phi",
        count_key: "num_hidden_layers",
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: heads.head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size_or("max_position_embeddings", Some(2048))?,
        norm: NormKind::Layer,
        epsilon: config.number_or("layer_norm_eps", 1e-5)? as f32,
        ropes: vec![Rope::from_config(config, rotated)?],
        attention_scale: heads.scale(),
        parallel: true,
        activation: activation(config, "hidden_act", "gelu_new")?,
        layer_options: vec![LayerOptions::GLOBAL; layers],
        block_prefix: "model.layers".into(),
        norms,
        projections: vec![
            Projection::new(Role::Query, "self_attn.q_proj", [query, hidden], true, norm),
            Projection::new(Role::Key, "self_attn.k_proj", [key, hidden], true, norm),
            Projection::new(Role::Value, "self_attn.v_proj", [key, hidden], true, norm),
            Projection::new(Role::Output, "self_attn.dense", [hidden, query], true, None),
            Projection::new(Role::Up, "mlp.fc1", [intermediate, hidden], true, norm),
            Projection::new(Role::Down, "mlp.fc2", [hidden, intermediate], true, None),
        ],
        embedding: "model.embed_tokens.weight".into(),
        final_norm: Some("model.final_layernorm".into()),
        head,
        head_bias: Some("lm_head.bias".into()),
        ..Description::default()
    })
}
