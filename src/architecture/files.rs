//! What a family's file gets to read: the configuration as transformers resolves it, and the names
//! of the tensors. Must not know any family.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::Config;
use crate::error::{Error, Result};

/// What a family's file gets to read.
pub(super) struct Files<'a> {
    /// `config.json` as transformers' own class of the family resolves it: synonyms followed,
    /// defaults filled in.
    pub(super) config: Config,
    pub(super) checkpoint: &'a Checkpoint,
    synonyms: IndexMap<String, String>,
}

impl<'a> Files<'a> {
    /// The files of a model of the family `family`.
    pub(super) fn new(checkpoint: &'a Checkpoint, family: &str) -> Result<Self> {
        let class = ConfigClass::of(family)?;
        let mut config = checkpoint.config.resolved(&class.synonyms, &class.defaults);
        // Where those of rotary embeddings are null, they are the default of the class, if it has
        // one.
        if let (None, Some(rope)) = (config.get("rope_parameters"), class.defaults.get("rope_parameters")) {
            config = config.with(&[("rope_parameters", rope.to_string())])?;
        }
        Ok(Self { config, checkpoint, synonyms: class.synonyms })
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
        let given = &self.checkpoint.config;
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
    fn of(family: &str) -> Result<Self> {
        let mut classes: HashMap<String, Self> = serde_json::from_str(include_str!("defaults.json"))
            .map_err(|e| Error::config(format!("the table of defaults cannot be read: {e}")))?;
        classes.remove(family).ok_or_else(|| unsupported(family, "its defaults are not known"))
    }
}

/// The error for a family or an option that is not computed.
pub(super) fn unsupported(family: &str, reason: impl Into<String>) -> Error {
    Error::UnsupportedFamily { family: family.into(), reason: reason.into() }
}
