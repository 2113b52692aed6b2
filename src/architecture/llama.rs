//! Llama 1 to 3, what was built in their image (SmolLM2, TinyLlama…), and the frame that later families fill differently.

use super::options::{Heads, activation, head};
use super::rope::Rope;
use super::{Description, Files, LayerOptions, Norm, NormKind, Projection, Role};
use crate::error::Result;

/// Names and options as `LlamaConfig` of transformers has them, in its style of today and of before version 5.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag_or("attention_bias", false)?;
    let mlp_bias = files.config.flag_or("mlp_bias", false)?;
    frame(files, "llama", None, Biases { query_key_value: bias, output: bias, mlp: mlp_bias })
}

/// Which projections have a bias.
#[derive(Debug, Clone, Copy, Default)]
pub struct Biases {
    pub query_key_value: bool,
    pub output: bool,
    pub mlp: bool,
}

/// Pre-norm blocks of rotary grouped-query attention and a gated MLP; `head_size` is the family's default, where it has one.
pub fn frame(files: &Files<'_>, family: &'static str, head_size: Option<usize>, biases: Biases) -> Result<Description> {
    let unrotated = unrotated(files, family, head_size, biases)?;
    Ok(Description { ropes: vec![Rope::from_config(files.config, unrotated.head_size)?], ..unrotated })
}

/// The same without its rotary embedding.
pub fn unrotated(
    files: &Files<'_>,
    family: &'static str,
    head_size: Option<usize>,
    biases: Biases,
) -> Result<Description> {
    let config = files.config;
    let hidden = config.size("hidden_size")?;
    let heads = Heads::grouped(config, hidden, head_size)?;
    let intermediate = config.size("intermediate_size")?;
    let layers = config.size("num_hidden_layers")?;
    let (query, key) = (heads.query(), heads.key());
    let (attention, mlp) = (Role::AttentionNorm, Role::MlpNorm);
    Ok(Description {
        family,
        count_key: "num_hidden_layers",
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: heads.head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size_or("max_position_embeddings", Some(2048))?,
        norm: NormKind::Rms,
        epsilon: config.number_or("rms_norm_eps", 1e-6)? as f32,
        attention_scale: heads.scale(),
        activation: activation(config, "hidden_act", "silu")?,
        layer_options: vec![LayerOptions::GLOBAL; layers],
        block_prefix: "model.layers".into(),
        norms: vec![
            Norm { role: attention, name: "input_layernorm", size: hidden },
            Norm { role: mlp, name: "post_attention_layernorm", size: hidden },
        ],
        projections: vec![
            Projection::new(Role::Query, "self_attn.q_proj", [query, hidden], biases.query_key_value, attention),
            Projection::new(Role::Key, "self_attn.k_proj", [key, hidden], biases.query_key_value, attention),
            Projection::new(Role::Value, "self_attn.v_proj", [key, hidden], biases.query_key_value, attention),
            Projection::new(Role::Output, "self_attn.o_proj", [hidden, query], biases.output, None),
            Projection::new(Role::Gate, "mlp.gate_proj", [intermediate, hidden], biases.mlp, mlp),
            Projection::new(Role::Up, "mlp.up_proj", [intermediate, hidden], biases.mlp, mlp),
            Projection::new(Role::Down, "mlp.down_proj", [hidden, intermediate], biases.mlp, None),
        ],
        embedding: "model.embed_tokens.weight".into(),
        final_norm: Some("model.norm".into()),
        head: head(config, "lm_head.weight", false)?,
        ..Description::default()
    })
}
