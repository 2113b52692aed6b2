//! Model families as data: what their tensors are called and which options they have.
//!
//! One file per family turns a `config.json` into one neutral [`Description`]; nothing here
//! computes. To add a family, write its file, add a line to [`FAMILIES`], and its defaults to
//! `defaults.json`.

mod description;
mod gemma;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod layers;
mod llama;
mod llama_fallback;
mod mistral;
mod names;
mod olmo2;
mod opt;
mod options;
mod phi;
mod phi3;
mod quantised;
mod qwen;
pub mod rope;
mod smollm3;

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::Config;
use crate::error::{Error, Result};
pub use description::{Description, EmbeddingProjection, Learned, Norm, NormKind, Projection, Role};
pub use layers::{LayerKind, LayerList, LayerOptions};

/// What a family's file gets to read.
struct Files<'a> {
    /// `config.json` as transformers' own class of the family resolves it: synonyms followed,
    /// defaults filled in.
    config: Config,
    checkpoint: &'a Checkpoint,
}

impl<'a> Files<'a> {
    /// The files of a model of the family `family`.
    fn new(checkpoint: &'a Checkpoint, family: &str) -> Result<Self> {
        let class = ConfigClass::of(family)?;
        Ok(Self { config: checkpoint.config.resolved(&class.synonyms, &class.defaults), checkpoint })
    }

    /// The first of `roots` that comes before one of `stems` in the name of a tensor; the first
    /// where none does.
    fn root<'r>(&self, roots: &[&'r str], stems: &[&str]) -> &'r str {
        let begins = |root: &str, stem: &str| {
            let start = format!("{root}{stem}");
            self.checkpoint.tensors.keys().any(|name| name.starts_with(&start))
        };
        let found = roots.iter().find(|root| stems.iter().any(|stem| begins(root, stem)));
        found.or(roots.first()).copied().unwrap_or("")
    }

    /// The number of blocks, which `key` says: no more than there are tensors, so that whatever is
    /// built for each stays small.
    fn layers(&self, key: &str) -> Result<usize> {
        let (layers, tensors) = (self.config.size(key)?, self.checkpoint.tensors.len());
        if layers > tensors {
            return Err(Error::config(format!("{key} is {layers}, the weights have {tensors} tensors in all")));
        }
        Ok(layers)
    }

    /// The keys that count the blocks in this `config.json`: `own`, and synonyms of it that are
    /// there.
    fn count_keys(&self, own: &str) -> Vec<String> {
        let given = &self.checkpoint.config;
        let synonym = (own != "num_hidden_layers").then_some("num_hidden_layers");
        let mut keys: Vec<String> =
            synonym.into_iter().filter(|key| given.get(key).is_some()).map(String::from).collect();
        if keys.is_empty() || given.get(own).is_some() {
            keys.push(own.into());
        }
        keys
    }
}

/// What a family's config class of transformers does with keys: general names that stand for the
/// family's own, and defaults.
#[derive(Deserialize)]
struct ConfigClass {
    synonyms: IndexMap<String, String>,
    defaults: serde_json::Map<String, Value>,
}

impl ConfigClass {
    /// The one of a family. `defaults.json` is written by `tests/fixtures/configs/make_configs.py`.
    fn of(family: &str) -> Result<Self> {
        let mut classes: HashMap<String, Self> = serde_json::from_str(include_str!("defaults.json"))
            .map_err(|e| Error::config(format!("the table of defaults cannot be read: {e}")))?;
        classes.remove(family).ok_or_else(|| unsupported(family, "its defaults are not known"))
    }
}

/// Turns the files of a model into its description.
type Describe = fn(&Files<'_>) -> Result<Description>;

/// The families, by the `model_type` of their `config.json`.
const FAMILIES: [(&str, Describe); 14] = [
    ("llama", llama::describe),
    ("mistral", mistral::describe),
    ("qwen2", qwen::qwen2),
    ("qwen3", qwen::qwen3),
    ("gpt2", gpt2::describe),
    ("gpt_neo", gpt_neo::describe),
    ("gpt_neox", gpt_neox::describe),
    ("phi", phi::describe),
    ("phi3", phi3::describe),
    ("opt", opt::describe),
    ("gemma2", gemma::gemma2),
    ("gemma3_text", gemma::gemma3),
    ("olmo2", olmo2::describe),
    ("smollm3", smollm3::describe),
];

/// A family that the user insists on, whatever `config.json` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assume {
    /// Llama.
    Llama,
}

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
    let checkpoint = &*checkpoint;
    let family = checkpoint.config.word_or("model_type", "")?;
    if checkpoint.config.flag_or("is_encoder_decoder", false)? {
        return Err(unsupported(family, "it is a sequence-to-sequence model, and this tool merges decoders"));
    }
    let described = match (FAMILIES.iter().find(|(name, _)| *name == family), assume) {
        (_, Some(Assume::Llama)) => llama_fallback::assumed(checkpoint, family),
        (Some((_, describe)), None) => known(checkpoint, family, *describe),
        (None, None) if family.is_empty() => Err(Error::config("model_type is missing, so the family is not known")),
        (None, None) => llama_fallback::as_llama(checkpoint, family),
    };
    let (description, mut warnings) = quantised::judge(checkpoint, described)?;
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

/// The error for a family or an option that is not computed.
fn unsupported(family: &str, reason: impl Into<String>) -> Error {
    Error::UnsupportedFamily { family: family.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
