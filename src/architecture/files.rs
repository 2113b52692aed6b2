//! What a family's file gets to read: the configuration as transformers resolves it, and the names
//! of the tensors. Must not know any family.

use std::collections::HashMap;
use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::wrapper::Wrapper;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::Config;
use crate::error::{Error, Result};

/// What a family's file gets to read.
pub(super) struct Files<'a> {
    /// The decoder's configuration as transformers' own class of the family resolves it: synonyms
    /// followed, defaults filled in.
    pub(super) config: Config,
    /// The same as it was given.
    pub(super) given: Config,
    pub(super) checkpoint: &'a Checkpoint,
    /// The model around the decoder, if there is one.
    pub(super) wrapper: Option<&'static Wrapper>,
    synonyms: &'static IndexMap<String, String>,
}

impl<'a> Files<'a> {
    /// The files of a model of the family `family`.
    pub(super) fn new(checkpoint: &'a Checkpoint, family: &str) -> Result<Self> {
        let class = ConfigClass::of(family)?;
        let given = checkpoint.config.clone();
        let config = class.resolve(&given)?;
        Ok(Self { config, given, checkpoint, wrapper: None, synonyms: &class.synonyms })
    }

    /// The files of a model around a decoder of the family `tower`, whose configuration is `text`.
    pub(super) fn wrapped(
        checkpoint: &'a Checkpoint,
        wrapper: &'static Wrapper,
        tower: &str,
        text: Config,
    ) -> Result<Self> {
        let class = ConfigClass::of(tower)?;
        let resolved = class.resolve(&text)?;
        let tied = wrapper.ties(&checkpoint.config, &resolved)?;
        let config = resolved.with(&[("tie_word_embeddings", tied.to_string())])?;
        Ok(Self { config, given: text, checkpoint, wrapper: Some(wrapper), synonyms: &class.synonyms })
    }

    /// What comes before the names of a decoder's tensors, the first of which begin with one of
    /// `stems`, and the name of its head: those of Llama, or what the model around it puts in their
    /// place.
    pub(super) fn text_names(&self, stems: &[&str]) -> (&'static str, &'static str) {
        let (roots, heads) =
            self.wrapper.map_or((&["model.", ""][..], &["lm_head.weight"][..]), |found| (found.roots, found.heads));
        let there = |head: &&&str| self.checkpoint.tensors.contains_key(**head);
        let head = heads.iter().find(there).or(heads.last()).copied().unwrap_or("lm_head.weight");
        (self.root(roots, stems), head)
    }

    /// The first of `roots` that comes before one of `stems` in the name of a tensor; the first
    /// where none does.
    pub(super) fn root<'r>(&self, roots: &[&'r str], stems: &[&str]) -> &'r str {
        let begins = |root: &str, stem: &str| {
            let start = format!("{root}{stem}");
            self.checkpoint.tensors.keys().any(|name| name.starts_with(&start))
        };
        let found = roots.iter().find(|root| stems.iter().any(|stem| begins(root, stem)));
        found.or(roots.first()).copied().unwrap_or("")
    }

    /// The number of blocks, which `key` says: no more than there are tensors, so that whatever is
    /// built for each stays small.
    pub(super) fn layers(&self, key: &str) -> Result<usize> {
        let (layers, tensors) = (self.config.size(key)?, self.checkpoint.tensors.len());
        if layers > tensors {
            return Err(Error::config(format!("{key} is {layers}, the weights have {tensors} tensors in all")));
        }
        Ok(layers)
    }

    /// The keys that count the blocks in this `config.json`: `own`, and synonyms of it that are
    /// there.
    pub(super) fn count_keys(&self, own: &str) -> Vec<String> {
        let given = &self.given;
        let synonyms = self.synonyms.iter().filter(|(_, stands_for)| *stands_for == own).map(|(key, _)| key);
        let mut keys: Vec<String> = synonyms.filter(|key| given.get(key).is_some()).cloned().collect();
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
    fn of(family: &str) -> Result<&'static Self> {
        static CLASSES: LazyLock<serde_json::Result<HashMap<String, ConfigClass>>> =
            LazyLock::new(|| serde_json::from_str(include_str!("defaults.json")));
        let unread = |error| Error::config(format!("the table of defaults cannot be read: {error}"));
        let classes = CLASSES.as_ref().map_err(unread)?;
        classes.get(family).ok_or_else(|| unsupported(family, "its defaults are not known"))
    }

    /// What the class makes of a configuration. Where the options of rotary embeddings are null,
    /// they are the default of the class, if it has one.
    fn resolve(&self, given: &Config) -> Result<Config> {
        let config = given.resolved(&self.synonyms, &self.defaults);
        match (config.get("rope_parameters"), self.defaults.get("rope_parameters")) {
            (None, Some(rope)) => config.with(&[("rope_parameters", rope.to_string())]),
            _ => Ok(config),
        }
    }
}

/// The error for a family or an option that is not computed.
pub(super) fn unsupported(family: &str, reason: impl Into<String>) -> Error {
    Error::UnsupportedFamily { family: family.into(), reason: reason.into() }
}
