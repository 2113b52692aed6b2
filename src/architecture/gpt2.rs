//! GPT-2: learned positions, fused queries, keys and values, matrices stored as [inputs, outputs].

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::{Description, Learned, NormKind};
use super::files::Files;
use super::layers::LayerOptions;
use super::options::{Heads, activation, ends, refuse_flag};
use super::role::Role;
use crate::error::Result;

/// Names and options as `GPT2Config` of transformers has them. Files of the hub leave the
/// `transformer.` before the names out.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    refuse_flag(config, "add_cross_attention", false)?;
    let root = files.root(&["transformer.", ""], &["h.0.", "wte.weight"]);
    let hidden = config.size("n_embd")?;
    let heads = Heads::plain(config, "n_head", hidden)?;
    let intermediate = config.size_or("n_inner", Some(4 * hidden))?;
    let layers = files.layers("n_layer")?;
    let scaled = config.flag("scale_attn_weights")?;
    let (embedding, head) = ends(files, format!("{root}wte.weight"), "lm_head.weight")?;
    let fused = |role, index| {
        let whole = Projection::new(role, "attn.c_attn", [hidden, hidden], true, Role::AttentionNorm);
        whole.part(3 * hidden, index * hidden, hidden, hidden).transposed()
    };
    Ok(Description {
        family: "gpt2",
        count_keys: files.count_keys("n_layer"),
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: heads.head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("n_positions")?,
        learned: Some(Learned { name: format!("{root}wpe.weight"), offset: 0 }),
        norm: NormKind::Layer,
        epsilon: config.number("layer_norm_epsilon")? as f32,
        attention_scale: if scaled { heads.scale() } else { 1.0 },
        scaled_by_depth: config.flag("scale_attn_by_inverse_layer_idx")?,
        activation: activation(config, "activation_function")?,
        layer_options: vec![LayerOptions { rope: None, ..LayerOptions::GLOBAL }; layers],
        block_prefix: format!("{root}h"),
        kinds: vec![BlockKind {
            norms: vec![
                Norm { role: Role::AttentionNorm, name: "ln_1", size: hidden },
                Norm { role: Role::MlpNorm, name: "ln_2", size: hidden },
            ],
            projections: vec![
                fused(Role::Query, 0),
                fused(Role::Key, 1),
                fused(Role::Value, 2),
                Projection::new(Role::Output, "attn.c_proj", [hidden, hidden], true, None).transposed(),
                Projection::new(Role::Up, "mlp.c_fc", [intermediate, hidden], true, Role::MlpNorm).transposed(),
                Projection::new(Role::Down, "mlp.c_proj", [hidden, intermediate], true, None).transposed(),
            ],
        }],
        embedding,
        final_norm: Some(format!("{root}ln_f")),
        head,
        ..Description::default()
    })
}
