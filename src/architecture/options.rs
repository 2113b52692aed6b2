//! What several families read from `config.json` in the same way.

use serde_json::Value;

use super::unsupported;
use crate::checkpoint::config::{Config, number};
use crate::compute::Activation;
use crate::error::{Error, Result};

/// Heads that attend, heads of keys and values, channels of each.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_size: usize,
}

impl Heads {
    /// From `num_attention_heads`, `num_key_value_heads` (as many by default) and `head_dim` (by default `size`, or `hidden` shared out evenly).
    pub fn grouped(config: &Config, hidden: usize, size: Option<usize>) -> Result<Self> {
        let heads = config.size("num_attention_heads")?;
        let kv_heads = config.size_or("num_key_value_heads", Some(heads))?;
        let head_size = config.size_or("head_dim", Some(size.unwrap_or(hidden / heads)))?;
        Self { heads, kv_heads, head_size }.checked()
    }

    /// `key` counts heads that share `hidden` evenly, each with its own keys and values.
    pub fn plain(config: &Config, key: &str, hidden: usize) -> Result<Self> {
        let heads = config.size(key)?;
        if !hidden.is_multiple_of(heads) {
            return Err(Error::config(format!("{heads} attention heads cannot share {hidden} channels evenly")));
        }
        Self { heads, kv_heads: heads, head_size: hidden / heads }.checked()
    }

    /// Channels of all query heads.
    pub fn query(self) -> usize {
        self.heads * self.head_size
    }

    /// Channels of all key heads.
    pub fn key(self) -> usize {
        self.kv_heads * self.head_size
    }

    /// 1 / sqrt(head_size), the usual factor of the scores.
    pub fn scale(self) -> f32 {
        (1.0 / (self.head_size as f64).sqrt()) as f32
    }

    fn checked(self) -> Result<Self> {
        let Self { heads, kv_heads, head_size } = self;
        if !heads.is_multiple_of(kv_heads) {
            let reason = format!("{heads} attention heads cannot share {kv_heads} key-value heads evenly");
            return Err(Error::config(reason));
        }
        if head_size == 0 {
            return Err(Error::config("the attention heads have no channels"));
        }
        Ok(self)
    }
}

/// The non-linearity that `key` names; the names are those of transformers' `ACT2FN`.
pub fn activation(config: &Config, key: &str, default: &str) -> Result<Activation> {
    match config.word_or(key, default)? {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => {
            let reason = format!("its activation {other:?} is not one that this tool computes");
            Err(unsupported(config.word_or("model_type", "")?, reason))
        }
    }
}

/// Fails unless the option `key` is absent or `neutral`.
pub fn refuse_flag(config: &Config, key: &str, neutral: bool) -> Result<()> {
    if config.flag_or(key, neutral)? == neutral {
        return Ok(());
    }
    let reason = format!("its option {key} = {} is not computed", !neutral);
    Err(unsupported(config.word_or("model_type", "")?, reason))
}

/// The soft cap `key`; absent it is the default, null it is none.
pub fn cap(config: &Config, key: &str, default: Option<f64>) -> Result<Option<f32>> {
    let cap = match config.values().get(key) {
        None => default,
        Some(Value::Null) => None,
        given => Some(number(key, given, None)?),
    };
    cap.map(|cap| positive(key, cap)).transpose()
}

/// The number of `key`, which must be positive, and neither too small nor too large for `f32`.
pub fn positive(key: &str, value: f64) -> Result<f32> {
    let narrow = value as f32;
    if narrow > 0.0 && narrow.is_finite() {
        Ok(narrow)
    } else {
        Err(Error::config(format!("{key} is {value}, expected a positive number")))
    }
}

/// The name of the head; none where it is the embedding.
pub fn head(config: &Config, name: &str, tied: bool) -> Result<Option<String>> {
    Ok((!config.flag_or("tie_word_embeddings", tied)?).then(|| name.into()))
}
