//! Model families as data: what their tensors are called and which options they have.
//!
//! One file per family turns a `config.json` into one neutral [`Description`]; nothing here computes. To add a family, write its file and add
//! a line to [`FAMILIES`].

mod description;
mod disguise;
mod gemma;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod layers;
mod llama;
mod mistral;
mod olmo2;
mod opt;
mod options;
mod phi;
mod phi3;
mod qwen;
pub mod rope;
mod smollm3;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::Config;
use crate::error::{Error, Result};
pub use description::{Description, Learned, Narrow, Norm, NormKind, Projection, Role};
pub use layers::{LayerKind, LayerList, LayerOptions};

/// What a family's file gets to read.
struct Files<'a> {
    config: &'a Config,
    checkpoint: &'a Checkpoint,
}

impl Files<'_> {
    /// The one of `roots` that is in front of the tensor `name`; the first where none is.
    fn root<'r>(&self, roots: &[&'r str], name: &str) -> &'r str {
        let found = roots.iter().find(|root| self.checkpoint.tensors.contains_key(&format!("{root}{name}")));
        found.or(roots.first()).copied().unwrap_or("")
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

/// Reads the family and its options from the configuration, and the style of its names from the tensors; with warnings for the user.
///
/// # Errors
/// [`Error::UnsupportedFamily`] for a family or an option that this tool does not compute, [`Error::BadConfig`] for values that make no sense.
pub fn describe(checkpoint: &Checkpoint) -> Result<(Description, Vec<String>)> {
    let files = Files { config: &checkpoint.config, checkpoint };
    let family = files.config.word_or("model_type", "")?;
    match FAMILIES.iter().find(|(name, _)| *name == family) {
        Some((_, describe)) => Ok((describe(&files)?, Vec::new())),
        None if family.is_empty() => Err(Error::config("model_type is missing, so the family is not known")),
        None => disguise::as_llama(&files, family),
    }
}

/// The names of the families, for the user.
fn known() -> String {
    FAMILIES.map(|(name, _)| name).join(", ")
}

/// The error for a family or an option that is not computed.
fn unsupported(family: &str, reason: impl Into<String>) -> Error {
    Error::UnsupportedFamily { family: family.into(), reason: reason.into() }
}
