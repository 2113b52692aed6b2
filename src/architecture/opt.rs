//! OPT: learned positions that begin at row 2, biases everywhere.

use super::options::{Heads, activation, head, refuse_flag};
use super::{Description, Files, LayerOptions, Learned, Norm, NormKind, Projection, Role, unsupported};
use crate::error::Result;

/// Rows of the table of positions in front of position 0.
const POSITION_OFFSET: usize = 2;

/// Names and options as `OPTConfig` of transformers has them. Old files leave the `model.` in front of the names out.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = files.config;
    refuse_flag(config, "do_layer_norm_before", true)?;
    refuse_flag(config, "_remove_final_layer_norm", false)?;
    refuse_flag(config, "layer_norm_elementwise_affine", true)?;
    let hidden = config.size("hidden_size")?;
    if config.size_or("word_embed_proj_dim", Some(hidden))? != hidden {
        return Err(unsupported("opt", "an embedding that is narrower than the stream is not computed"));
    }
    let root = files.root(&["model.decoder.", "decoder."], "embed_tokens.weight");
    let heads = Heads::plain(config, "num_attention_heads", hidden)?;
    let inner = config.size("ffn_dim")?;
    let layers = config.size("num_hidden_layers")?;
    let bias = config.flag_or("enable_bias", true)?;
    let (attention, mlp) = (Role::AttentionNorm, Role::MlpNorm);
    Ok(Description {
        family: "opt",
        count_key: "num_hidden_layers",
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: heads.head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size_or("max_position_embeddings", Some(2048))?,
        embedding_scale: 1.0,
        learned: Some(Learned { name: format!("{root}embed_positions.weight"), offset: POSITION_OFFSET }),
        norm: NormKind::Layer,
        gain_offset: 0.0,
        epsilon: 1e-5,
        ropes: Vec::new(),
        attention_scale: heads.scale(),
        parallel: false,
        activation: activation(config, "activation_function", "relu")?,
        layer_options: vec![LayerOptions { rope: None, ..LayerOptions::GLOBAL }; layers],
        lists: Vec::new(),
        block_prefix: format!("{root}layers"),
        norms: vec![
            Norm { role: attention, name: "self_attn_layer_norm", size: hidden },
            Norm { role: mlp, name: "final_layer_norm", size: hidden },
        ],
        projections: vec![
            Projection::new(Role::Query, "self_attn.q_proj", [hidden, hidden], bias, attention),
            Projection::new(Role::Key, "self_attn.k_proj", [hidden, hidden], bias, attention),
            Projection::new(Role::Value, "self_attn.v_proj", [hidden, hidden], bias, attention),
            Projection::new(Role::Output, "self_attn.out_proj", [hidden, hidden], bias, None),
            Projection::new(Role::Up, "fc1", [inner, hidden], bias, mlp),
            Projection::new(Role::Down, "fc2", [hidden, inner], bias, None),
        ],
        embedding: format!("{root}embed_tokens.weight"),
        final_norm: format!("{root}final_layer_norm"),
        head: head(config, "lm_head.weight", true)?,
        head_bias: None,
    })
}
