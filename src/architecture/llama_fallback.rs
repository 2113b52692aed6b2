//! Models of a family that has no file here: told what they are, or opened as Llama where that is
//! known to be right.

use super::description::Description;
use super::files::{Files, unsupported};
use super::llama;
use super::options::untied;
use crate::checkpoint::Checkpoint;
use crate::error::Result;

/// Families that are Llama by another name, as long as they have no option that Llama has not: the
/// same tensors, halves of a head rotated, the same norms.
const LLAMA_BY_ANOTHER_NAME: [&str; 4] = ["internlm3", "yi", "deepseek", "codellama"];

/// What other families are, by what their `model_type` begins with: the first that fits counts.
const OTHERS: [(&str, &[&str]); 6] = [
    (
        "an encoder, which predicts no next token",
        &[
            "bert",
            "roberta",
            "xlm-roberta",
            "distilbert",
            "albert",
            "electra",
            "deberta",
            "modernbert",
            "camembert",
            "mpnet",
            "nomic_bert",
            "xlnet",
            "longformer",
            "big_bird",
            "eurobert",
            "neobert",
            "new",
            "clip",
            "siglip",
            "vit",
            "dinov2",
        ],
    ),
    (
        "a sequence-to-sequence model, and this tool merges decoders",
        &[
            "t5", "mt5", "umt5", "longt5", "bart", "mbart", "pegasus", "marian", "m2m_100", "nllb", "whisper", "led",
            "t5gemma",
        ],
    ),
    (
        "a model with states in place of attention",
        &[
            "mamba",
            "falcon_mamba",
            "rwkv",
            "jamba",
            "bamba",
            "zamba",
            "recurrent_gemma",
            "xlstm",
            "lfm2",
            "qwen3_next",
            "qwen3_5",
        ],
    ),
    (
        "a mixture of experts, whose blocks are not merged here",
        &[
            "mixtral",
            "qwen2_moe",
            "qwen3_moe",
            "olmoe",
            "granitemoe",
            "deepseek_v",
            "phimoe",
            "gpt_oss",
            "dbrx",
            "minimax",
            "glm4_moe",
            "ernie4_5_moe",
            "llama4",
        ],
    ),
    (
        "a Granite whose blocks may have experts or states in place of attention, of which none is opened",
        &["granitemoehybrid"],
    ),
    (
        "a model of images or sound and text",
        &[
            "llava",
            "idefics",
            "qwen3_vl",
            "qwen2_5_omni",
            "qwen2_audio",
            "mllama",
            "paligemma",
            "internvl",
            "gemma3n",
            "pixtral",
            "voxtral",
            "musicgen",
            "aya_vision",
            "cohere2_vision",
            "ernie4_5_vl",
            "glm4v",
            "glm46v",
            "glm_ocr",
            "glm_image",
        ],
    ),
];

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

/// The description of Llama, with a warning, for a family that is known to be Llama.
///
/// # Errors
/// [`crate::error::Error::UnsupportedFamily`], saying what speaks against it.
pub fn as_llama(checkpoint: &Checkpoint, family: &str, known: &str) -> Result<(Description, Vec<String>)> {
    let other = OTHERS.iter().find(|(_, names)| names.iter().any(|name| is_of(family, name)));
    if let Some((what, _)) = other {
        return Err(unsupported(family, format!("it is {what}; the families known are {known}")));
    }
    let (description, mut warnings) = checked(checkpoint, family, known)?;
    if !LLAMA_BY_ANOTHER_NAME.contains(&family) {
        let reason = format!(
            "its tensors and options are those of Llama, but it is not known to be computed as Llama is; insist with assume: \"llama\" \
             if you know it. The families known are {known}"
        );
        return Err(unsupported(family, reason));
    }
    warnings.insert(
        0,
        format!(
            "The family {family:?} is computed as Llama, whose tensors and options it has; compare its predictions before you trust them."
        ),
    );
    Ok((description, warnings))
}

/// The description of Llama, because the user insists, with a warning.
///
/// # Errors
/// As [`as_llama`].
pub fn assumed(checkpoint: &Checkpoint, family: &str, known: &str) -> Result<(Description, Vec<String>)> {
    let (description, mut warnings) = checked(checkpoint, family, known)?;
    if family != "llama" {
        warnings.insert(
            0,
            format!(
                "The family {family:?} is computed as Llama, as asked for; compare its predictions before you trust them."
            ),
        );
    }
    Ok((description, warnings))
}

/// Whether a family is `name`, or one of its versions.
fn is_of(family: &str, name: &str) -> bool {
    family.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The description of Llama, where options and tensors are those of Llama, with warnings.
fn checked(checkpoint: &Checkpoint, family: &str, known: &str) -> Result<(Description, Vec<String>)> {
    let refuse = |reason: String| Err(unsupported(family, format!("{reason}; the families known are {known}")));
    let is_off = |value: &serde_json::Value| value.is_null() || *value == false;
    let values = checkpoint.config.values().iter();
    let foreign: Vec<&str> = values
        .filter(|(key, value)| !KNOWN.contains(&key.as_str()) && !is_off(value))
        .map(|(key, _)| key.as_str())
        .collect();
    if !foreign.is_empty() && family != "llama" {
        return refuse(format!("it has options that Llama does not have ({})", foreign.join(", ")));
    }
    let described = Files::new(checkpoint, "llama").and_then(|files| {
        let description = llama::describe(&files)?;
        description.check(checkpoint)?;
        let warnings = untied(&files, &description)?.into_iter().collect();
        Ok((description, warnings))
    });
    let (description, warnings) = match described {
        Ok(described) => described,
        Err(error) => return refuse(format!("it is not Llama by another name ({error})")),
    };
    let tensors = description.tensors();
    let harmless = |name: &str| name.ends_with(".rotary_emb.inv_freq") || name == "lm_head.weight";
    let other = checkpoint.tensors.keys().find(|name| !tensors.contains_key(*name) && !harmless(name));
    match other {
        Some(name) => refuse(format!("it has the tensor {name}, which Llama does not have")),
        None => Ok((description, warnings)),
    }
}
