//! The families by name, and the one that a checkpoint is of.

use super::assume::Assume;
use super::description::Description;
use super::files::{Files, unsupported};
use super::options::{refuse_options_per_layer, untied};
use super::wrapper::{WRAPPERS, Wrapper};
use super::{
    apertus, arcee, cohere, exaone, exaone4, float8, gemma, glm, gpt_neo, gpt_neox, gpt2, granite, helium, hunyuan,
    llama, llama_fallback, mistral, names, olmo2, opt, phi, phi3, quantised, qwen, smollm3, stablelm, starcoder2,
};
use crate::checkpoint::Checkpoint;
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

/// Decoders that occur inside of another model only, by the `model_type` of their configuration.
const TOWERS: [(&str, Describe); 3] = [
    ("qwen2_vl_text", qwen::qwen2_vl_text),
    ("qwen2_5_vl_text", qwen::qwen2_vl_text),
    ("qwen3_vl_text", qwen::qwen3_vl_text),
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
    let family = checkpoint.config.word_or("model_type", "")?.to_string();
    let wrapper = Wrapper::of(&family);
    names::unwrap(checkpoint, wrapper.is_some())?;
    let decoded = float8::decode(checkpoint)?;
    let (checkpoint, family) = (&*checkpoint, family.as_str());
    if checkpoint.config.flag_or("is_encoder_decoder", false)? {
        return Err(unsupported(family, "it is a sequence-to-sequence model, and this tool merges decoders"));
    }
    let described = match assume {
        Some(assume) => llama_fallback::assumed(checkpoint, family, &known_families())
            .map(|(description, warnings)| (Description { assumed: Some(assume), ..description }, warnings)),
        None if family.is_empty() => Err(Error::config("model_type is missing, so the family is not known")),
        None => match unchecked(checkpoint, family) {
            Ok(Some((files, description))) => checked(&files, description),
            Ok(None) => llama_fallback::as_llama(checkpoint, family, &known_families()),
            Err(error) => Err(error),
        },
    };
    let (description, mut warnings) = quantised::judge(checkpoint, described, decoded)?;
    warnings.extend(description.note_on_kinds());
    warnings.extend(checkpoint.warnings.iter().cloned());
    Ok((description, warnings))
}

/// The files of a decoder of a known family, and its description, which is not compared with the
/// tensors yet; none where the family is not known.
pub(super) fn unchecked<'a>(checkpoint: &'a Checkpoint, family: &str) -> Result<Option<(Files<'a>, Description)>> {
    if let Some(wrapper) = Wrapper::of(family) {
        return wrapped(checkpoint, wrapper).map(Some);
    }
    let Some((_, describe)) = FAMILIES.iter().find(|(name, _)| *name == family) else {
        return Ok(None);
    };
    let files = Files::new(checkpoint, family)?;
    let description = describe(&files)?;
    Ok(Some((files, description)))
}

/// The same for the text tower of a model of images and text.
fn wrapped<'a>(checkpoint: &'a Checkpoint, wrapper: &'static Wrapper) -> Result<(Files<'a>, Description)> {
    let wrapping = wrapper.wrapping(&checkpoint.config)?;
    let text = match wrapping.config_key {
        Some(key) => checkpoint.config.nested(key)?,
        None => checkpoint.config.clone(),
    };
    let tower = wrapper.tower(&text)?;
    let Some((_, describe)) = FAMILIES.iter().chain(&TOWERS).find(|(name, _)| *name == tower) else {
        return Err(unsupported(wrapper.family, format!("its text tower is of the family {tower}")));
    };
    let files = Files::wrapped(checkpoint, wrapper, tower, text)?;
    let described = describe(&files)?;
    // The head is the wrapper's own, a plain product.
    let description = Description { family: wrapper.family, wrapping: Some(wrapping), logit_cap: None, ..described };
    Ok((files, description))
}

/// The description, with warnings, where the tensors are those that it speaks of.
fn checked(files: &Files<'_>, description: Description) -> Result<(Description, Vec<String>)> {
    refuse_options_per_layer(&files.given)?;
    description.check(files.checkpoint).map_err(|error| told_with_defaults(error, files))?;
    let warnings = untied(files, &description)?.into_iter().collect();
    Ok((description, warnings))
}

/// Where a shape is not the expected one and the key of a size was left out, that is the fault.
fn told_with_defaults(error: Error, files: &Files<'_>) -> Error {
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
    let left_out = |key: &&str| files.given.get(key).is_none() && files.config.get(key).is_some();
    let missing: Vec<String> = sizes
        .iter()
        .filter(|key| left_out(key))
        .filter_map(|key| files.config.get(key).map(|value| format!("{key} (then it is {value})")))
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
    let wrappers = WRAPPERS.iter().map(|wrapper| wrapper.family);
    FAMILIES.iter().map(|(name, _)| *name).chain(wrappers).collect::<Vec<_>>().join(", ")
}
