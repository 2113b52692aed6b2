//! The families by name, and the one that a checkpoint is of.

use super::assume::Assume;
use super::description::Description;
use super::files::{Files, unsupported};
use super::{
    apertus, arcee, cohere, exaone, exaone4, float8, gemma, glm, gpt_neo, gpt_neox, gpt2, granite, helium, hunyuan,
    llama, llama_fallback, mistral, names, olmo2, opt, phi, phi3, quantised, qwen, smollm3, stablelm, starcoder2,
};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::Config;
use crate::error::{Error, Result};

/// Turns the files of a model into its description.
pub(super) type Describe = fn(&Files<'_>) -> Result<Description>;

/// The families, by the `model_type` of their `config.json`.
pub(super) const FAMILIES: [(&str, Describe); 32] = [
    ("llama", llama::describe),
    ("mistral", mistral::describe),
    ("ministral3", mistral::ministral3),
    ("qwen2", qwen::qwen2),
    ("qwen3", qwen::qwen3),
    ("gpt2", gpt2::describe),
    ("gpt_neo", gpt_neo::describe),
    ("gpt_neox", gpt_neox::describe),
    ("phi", phi::describe),
    ("phi3", phi3::describe),
    ("opt", opt::describe),
    ("gemma", gemma::gemma1),
    ("gemma2", gemma::gemma2),
    ("gemma3_text", gemma::gemma3),
    ("olmo2", olmo2::olmo2),
    ("olmo3", olmo2::olmo3),
    ("exaone4", exaone4::describe),
    ("starcoder2", starcoder2::describe),
    ("stablelm", stablelm::describe),
    ("smollm3", smollm3::describe),
    ("granite", granite::describe),
    ("cohere", cohere::cohere),
    ("cohere2", cohere::cohere2),
    ("helium", helium::helium),
    ("glm", glm::glm),
    ("glm4", glm::glm4),
    ("ernie4_5", helium::ernie4_5),
    ("arcee", arcee::arcee),
    ("nemotron", arcee::nemotron),
    ("hunyuan_v1_dense", hunyuan::describe),
    ("exaone", exaone::describe),
    ("apertus", apertus::describe),
];

/// Reads the family and its options from the configuration, and the style of its names from the
/// tensors, and checks that the tensors are those of the description; with warnings for the user.
/// Names that a program wrapped are unwrapped.
///
/// # Errors
/// [`Error::UnsupportedFamily`] for a family or an option that this tool does not compute,
/// [`Error::BadConfig`] for values that make no sense, [`Error::Quantised`], or what is wrong with
/// which tensor: see [`Description::check`].
pub fn describe(checkpoint: &mut Checkpoint, assume: Option<Assume>) -> Result<(Description, Vec<String>)> {
    names::unwrap(checkpoint)?;
    let decoded = float8::decode(checkpoint)?;
    let checkpoint = &*checkpoint;
    let family = checkpoint.config.word_or("model_type", "")?;
    if checkpoint.config.flag_or("is_encoder_decoder", false)? {
        return Err(unsupported(family, "it is a sequence-to-sequence model, and this tool merges decoders"));
    }
    let described = match (FAMILIES.iter().find(|(name, _)| *name == family), assume) {
        (_, Some(assume)) => llama_fallback::assumed(checkpoint, family, &known_families())
            .map(|(description, warnings)| (Description { assumed: Some(assume), ..description }, warnings)),
        (Some((_, describe)), None) => known(checkpoint, family, *describe),
        (None, None) if family.is_empty() => Err(Error::config("model_type is missing, so the family is not known")),
        (None, None) => llama_fallback::as_llama(checkpoint, family, &known_families()),
    };
    let (description, mut warnings) = quantised::judge(checkpoint, described, decoded)?;
    if description.head.is_some() && tied_by_key(checkpoint, &description) {
        warnings.push(
            "config.json ties the head to the embedding, but the weights have both: the head that is there is used."
                .into(),
        );
    }
    warnings.extend(checkpoint.warnings.iter().cloned());
    Ok((description, warnings))
}

fn known(checkpoint: &Checkpoint, family: &str, describe: Describe) -> Result<(Description, Vec<String>)> {
    let files = Files::new(checkpoint, family)?;
    let description = describe(&files)?;
    description.check(checkpoint).map_err(|error| told_with_defaults(error, checkpoint, &files.config))?;
    Ok((description, Vec::new()))
}

/// Whether the configuration of this family ties head and embedding.
fn tied_by_key(checkpoint: &Checkpoint, description: &Description) -> bool {
    let files = Files::new(checkpoint, description.family);
    files.is_ok_and(|files| files.config.flag("tie_word_embeddings").unwrap_or(false))
}

/// Where a shape is not the expected one and the key of a size was left out, that is the fault.
fn told_with_defaults(error: Error, checkpoint: &Checkpoint, resolved: &Config) -> Error {
    let Error::WrongShape { tensor, found, expected } = &error else { return error };
    let sizes = [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "n_embd",
        "n_head",
        "n_positions",
        "num_heads",
        "ffn_dim",
        "max_position_embeddings",
    ];
    let left_out = |key: &&str| checkpoint.config.get(key).is_none() && resolved.get(key).is_some();
    let missing: Vec<String> = sizes
        .iter()
        .filter(|key| left_out(key))
        .filter_map(|key| resolved.get(key).map(|value| format!("{key} (then it is {value})")))
        .collect();
    if missing.is_empty() {
        return error;
    }
    Error::config(format!(
        "the tensor {tensor} has the shape {found:?}, and {expected:?} is expected where {} is missing",
        missing.join(", ")
    ))
}

/// The names of the families, for the user.
fn known_families() -> String {
    FAMILIES.map(|(name, _)| name).join(", ")
}
