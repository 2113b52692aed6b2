//! Models of an unknown family that are Llama but for their name: the same tensors, and no option that Llama does not have.

use super::{Description, Files, known, llama, unsupported};
use crate::error::Result;

/// Options of Llama, and keys that say nothing about what is computed.
const KNOWN: [&str; 42] = [
    "_name_or_path",
    "architectures",
    "attention_bias",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "chat_template",
    "dtype",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_dropout",
    "hidden_size",
    "id2label",
    "initializer_range",
    "intermediate_size",
    "is_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "max_position_embeddings",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "pretraining_tp",
    "resid_pdrop",
    "return_dict",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "unk_token_id",
    "use_cache",
    "vocab_size",
    "_attn_implementation",
];

/// The description of Llama, with a warning, where nothing speaks against it.
///
/// # Errors
/// [`crate::error::Error::UnsupportedFamily`], saying what does.
pub fn as_llama(files: &Files<'_>, family: &str) -> Result<(Description, Vec<String>)> {
    let refuse = |reason: String| Err(unsupported(family, format!("{reason}; the families known are {}", known())));
    let is_off = |value: &serde_json::Value| value.is_null() || *value == false;
    let foreign = files.config.values().iter().filter(|(key, value)| !KNOWN.contains(&key.as_str()) && !is_off(value));
    let foreign: Vec<&str> = foreign.map(|(key, _)| key.as_str()).collect();
    if !foreign.is_empty() {
        return refuse(format!("it has options that Llama does not have ({})", foreign.join(", ")));
    }
    let description = match llama::describe(files) {
        Ok(description) => description,
        Err(error) => return refuse(format!("it is not Llama by another name ({error})")),
    };
    if let Err(error) = description.check(files.checkpoint) {
        return refuse(format!("it is not Llama by another name ({error})"));
    }
    let tensors = description.tensors();
    let harmless = |name: &str| name.ends_with(".rotary_emb.inv_freq") || name == "lm_head.weight";
    let other = files.checkpoint.tensors.keys().find(|name| !tensors.contains_key(*name) && !harmless(name));
    if let Some(name) = other {
        return refuse(format!("it has the tensor {name}, which Llama does not have"));
    }
    let warning = format!(
        "The family {family:?} is not known. Its tensors and options are those of Llama, so it is computed as Llama; compare its predictions \
         before you trust them."
    );
    Ok((description, vec![warning]))
}
