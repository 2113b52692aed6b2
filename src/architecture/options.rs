//! What several families read from `config.json` in the same way.

use super::activation::NeuronActivation;
use super::description::Description;
use super::files::{Files, unsupported};
use crate::checkpoint::config::{Config, number};
use crate::compute::Activation;
use crate::error::{Error, Result};

/// No attention head of any model has so many channels, and no model's heads together.
const LARGEST_HEAD: usize = 1 << 14;
const MOST_CHANNELS: u64 = 1 << 24;

/// Heads that attend, heads of keys and values, channels of each.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_size: usize,
}

impl Heads {
    /// From `num_attention_heads`, `num_key_value_heads` (as many where it is null) and `head_dim`
    /// (`hidden` shared out evenly where it is null).
    pub fn grouped(config: &Config, hidden: usize) -> Result<Self> {
        let heads = config.size("num_attention_heads")?;
        let kv_heads = config.size_or("num_key_value_heads", Some(heads))?;
        let head_size = config.size_or("head_dim", Some(hidden / heads))?;
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
        if !(1..=LARGEST_HEAD).contains(&head_size) {
            let reason = format!("an attention head has {head_size} channels, expected 1 to {LARGEST_HEAD}");
            return Err(Error::config(reason));
        }
        // A product that wraps around, as it would in a page, could be any shape.
        let channels = heads as u64 * head_size as u64;
        if channels > MOST_CHANNELS {
            let reason = format!(
                "{heads} attention heads of {head_size} channels are {channels}, at most {MOST_CHANNELS} are computed"
            );
            return Err(Error::config(reason));
        }
        Ok(self)
    }
}

/// The non-linearity that `key` names; the names are those of transformers' `ACT2FN`.
pub fn activation(config: &Config, key: &str) -> Result<NeuronActivation> {
    let fixed = match config.word(key)? {
        "silu" | "swish" => Activation::Silu,
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_fast" | "gelu_accurate" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "relu2" => Activation::Relu2,
        "xielu" => return Ok(NeuronActivation::Learned("mlp.act_fn")),
        other => {
            let reason = format!("its activation {other:?} is not one that this tool computes");
            return Err(unsupported(config.word_or("model_type", "")?, reason));
        }
    };
    Ok(NeuronActivation::Fixed(fixed))
}

/// Fails unless the option `key` is absent or `neutral`.
pub fn refuse_flag(config: &Config, key: &str, neutral: bool) -> Result<()> {
    if config.flag_or(key, neutral)? == neutral {
        return Ok(());
    }
    let reason = format!("its option {key} = {} is not computed", !neutral);
    Err(unsupported(config.word_or("model_type", "")?, reason))
}

/// Fails where single blocks have options of their own: transformers has them in few families, and
/// refuses them in all that are computed here.
pub fn refuse_options_per_layer(config: &Config) -> Result<()> {
    let key = "per_layer_config";
    match config.get(key).is_some_and(|given| given.as_object().is_none_or(|layers| !layers.is_empty())) {
        true => Err(unsupported(config.word_or("model_type", "")?, format!("its option {key} is not computed"))),
        false => Ok(()),
    }
}

/// The soft cap `key`, if there is one.
pub fn cap(config: &Config, key: &str) -> Result<Option<f32>> {
    let cap = config.get(key).map(|given| number(key, Some(given), None)).transpose()?;
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

/// The names of the embedding and of the head (none where it is the embedding), as transformers 5
/// has them: where `tie_word_embeddings` ties the two, a head that is there is used all the same,
/// and a head that is there alone is the embedding too.
pub fn ends(files: &Files<'_>, embedding: String, head: &str) -> Result<(String, Option<String>)> {
    let tied = files.config.flag("tie_word_embeddings")?;
    let has = |name: &str| files.checkpoint.tensors.contains_key(name);
    Ok(match (tied, has(&embedding), has(head)) {
        (true, false, true) => (head.into(), None),
        (true, _, false) => (embedding, None),
        _ => (embedding, Some(head.into())),
    })
}

/// A warning where a key ties head and embedding and the weights have both.
pub fn untied(files: &Files<'_>, description: &Description) -> Result<Option<String>> {
    let key = "tie_word_embeddings";
    // A wrapper may tie by default what its weights have twice.
    let said = files.wrapper.is_none() || files.checkpoint.config.get(key).is_some();
    let warning =
        "config.json ties the head to the embedding, but the weights have both: the head that is there is used.";
    Ok((said && description.head.is_some() && files.config.flag_or(key, false)?).then(|| warning.into()))
}
