//! Llama 1 to 3, and what was built in their image (SmolLM2, TinyLlama…).

use super::rope::Rope;
use super::{Description, Norm, Projection, Role};
use crate::checkpoint::config::Config;
use crate::compute::Activation;
use crate::error::{Error, Result};

/// Names and options as `LlamaConfig` of transformers has them, in its style of today and of before version 5.
pub fn describe(config: &Config) -> Result<Description> {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let kv_heads = config.size_or("num_key_value_heads", Some(heads))?;
    let head_size = config.size_or("head_dim", Some(hidden / heads))?;
    let intermediate = config.size("intermediate_size")?;
    let activation = match config.word_or("hidden_act", "silu")? {
        "silu" | "swish" => Activation::Silu,
        other => {
            let reason = format!("its activation {other:?} is not one that Llama uses");
            return Err(Error::UnsupportedFamily { family: "llama".into(), reason });
        }
    };
    if !heads.is_multiple_of(kv_heads) {
        return Err(Error::config(format!("{heads} attention heads cannot share {kv_heads} key-value heads evenly")));
    }
    if head_size == 0 || head_size % 2 == 1 {
        return Err(Error::config(format!("a head size of {head_size} cannot be rotated in halves")));
    }
    let attention_bias = config.flag_or("attention_bias", false)?;
    let mlp_bias = config.flag_or("mlp_bias", false)?;
    let projection = |role, name, rows, columns, bias, reads| Projection { role, name, rows, columns, bias, reads };
    let (attention, mlp) = (Some(Role::AttentionNorm), Some(Role::MlpNorm));
    Ok(Description {
        family: "llama",
        count_key: "num_hidden_layers",
        layers: config.size("num_hidden_layers")?,
        hidden,
        heads,
        kv_heads,
        head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size_or("max_position_embeddings", Some(2048))?,
        epsilon: config.number_or("rms_norm_eps", 1e-6)? as f32,
        rope: Rope::from_config(config, head_size)?,
        activation,
        block_prefix: "model.layers",
        norms: vec![
            Norm { role: Role::AttentionNorm, name: "input_layernorm" },
            Norm { role: Role::MlpNorm, name: "post_attention_layernorm" },
        ],
        projections: vec![
            projection(Role::Query, "self_attn.q_proj", heads * head_size, hidden, attention_bias, attention),
            projection(Role::Key, "self_attn.k_proj", kv_heads * head_size, hidden, attention_bias, attention),
            projection(Role::Value, "self_attn.v_proj", kv_heads * head_size, hidden, attention_bias, attention),
            projection(Role::Output, "self_attn.o_proj", hidden, heads * head_size, attention_bias, None),
            projection(Role::Gate, "mlp.gate_proj", intermediate, hidden, mlp_bias, mlp),
            projection(Role::Up, "mlp.up_proj", intermediate, hidden, mlp_bias, mlp),
            projection(Role::Down, "mlp.down_proj", hidden, intermediate, mlp_bias, None),
        ],
        embedding: "model.embed_tokens.weight",
        final_norm: "model.norm.weight",
        head: (!config.flag_or("tie_word_embeddings", false)?).then_some("lm_head.weight"),
    })
}
