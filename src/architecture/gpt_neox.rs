//! GPT-NeoX (Pythia): attention and MLP side by side, queries, keys and values of a head stored side by side, a share of each head rotated.

use super::options::{Heads, activation, head};
use super::rope::{Rope, share};
use super::{Description, Files, LayerOptions, Norm, NormKind, Projection, Role};
use crate::error::Result;

/// Names and options as `GPTNeoXConfig` of transformers has them, in its style of today and of before version 5.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = files.config;
    let hidden = config.size("hidden_size")?;
    let heads = Heads::plain(config, "num_attention_heads", hidden)?;
    let size = heads.head_size;
    let intermediate = config.size("intermediate_size")?;
    let layers = config.size("num_hidden_layers")?;
    let bias = config.flag_or("attention_bias", true)?;
    let rotated = share(config, "rotary_pct", 0.25, size)?;
    let fused = |role, index| {
        let whole = Projection::new(role, "attention.query_key_value", [hidden, hidden], bias, Role::AttentionNorm);
        whole.part(3 * hidden, index * size, size, 3 * size)
    };
    Ok(Description {
        family: "gpt_neox",
        count_key: "num_hidden_layers",
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size_or("max_position_embeddings", Some(2048))?,
        norm: NormKind::Layer,
        epsilon: config.number_or("layer_norm_eps", 1e-5)? as f32,
        ropes: vec![Rope::read(config, None, ("rotary_emb_base", 10_000.0), rotated)?],
        attention_scale: heads.scale(),
        parallel: config.flag_or("use_parallel_residual", true)?,
        activation: activation(config, "hidden_act", "gelu")?,
        layer_options: vec![LayerOptions::GLOBAL; layers],
        block_prefix: "gpt_neox.layers".into(),
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
        embedding: "gpt_neox.embed_in.weight".into(),
        final_norm: Some("gpt_neox.final_layer_norm".into()),
        head: head(config, "embed_out.weight", false)?,
        ..Description::default()
    })
}
