//! OPT: learned positions that begin at row 2, biases everywhere; the one of 350 M has norms on the
//! stream and an embedding that is narrower than it.

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::{Description, EmbeddingProjection, Learned, NormKind};
use super::files::Files;
use super::layers::LayerOptions;
use super::options::{Heads, activation, ends, refuse_flag};
use super::role::Role;
use crate::error::Result;

/// Rows of the table of positions before position 0.
const POSITION_OFFSET: usize = 2;

/// Names and options as `OPTConfig` of transformers has them. Old files leave the `model.` before
/// of the names out.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    refuse_flag(config, "layer_norm_elementwise_affine", true)?;
    let hidden = config.size("hidden_size")?;
    let columns = config.size_or("word_embed_proj_dim", Some(hidden))?;
    let before = config.flag("do_layer_norm_before")?;
    let last = before && !config.flag("_remove_final_layer_norm")?;
    let root = files.root(&["model.decoder.", "decoder.", ""], &["layers.0.", "embed_tokens.weight"]);
    let heads = Heads::plain(config, "num_attention_heads", hidden)?;
    let inner = config.size("ffn_dim")?;
    let layers = files.layers("num_hidden_layers")?;
    let bias = config.flag("enable_bias")?;
    let (embedding, head) = ends(files, format!("{root}embed_tokens.weight"), "lm_head.weight")?;
    let (attention, mlp) = match before {
        true => (Role::AttentionNorm, Role::MlpNorm),
        false => (Role::AttentionStreamNorm, Role::MlpStreamNorm),
    };
    let read = |norm| before.then_some(norm);
    Ok(Description {
        family: "opt",
        count_keys: files.count_keys("num_hidden_layers"),
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: heads.head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("max_position_embeddings")?,
        embedding_projection: (columns != hidden).then(|| EmbeddingProjection {
            columns,
            into: format!("{root}project_in.weight"),
            out: format!("{root}project_out.weight"),
        }),
        learned: Some(Learned { name: format!("{root}embed_positions.weight"), offset: POSITION_OFFSET }),
        norm: NormKind::Layer,
        epsilon: 1e-5,
        attention_scale: heads.scale(),
        activation: activation(config, "activation_function")?,
        layer_options: vec![LayerOptions { rope: None, ..LayerOptions::GLOBAL }; layers],
        block_prefix: format!("{root}layers"),
        kinds: vec![BlockKind {
            norms: vec![
                Norm { role: attention, name: "self_attn_layer_norm", size: hidden },
                Norm { role: mlp, name: "final_layer_norm", size: hidden },
            ],
            projections: vec![
                Projection::new(Role::Query, "self_attn.q_proj", [hidden, hidden], bias, read(attention)),
                Projection::new(Role::Key, "self_attn.k_proj", [hidden, hidden], bias, read(attention)),
                Projection::new(Role::Value, "self_attn.v_proj", [hidden, hidden], bias, read(attention)),
                Projection::new(Role::Output, "self_attn.out_proj", [hidden, hidden], bias, None),
                Projection::new(Role::Up, "fc1", [inner, hidden], bias, read(mlp)),
                Projection::new(Role::Down, "fc2", [hidden, inner], bias, None),
            ],
        }],
        embedding,
        final_norm: last.then(|| format!("{root}final_layer_norm")),
        head,
        ..Description::default()
    })
}
