//! What differs between the blocks of one model: which keys a query sees, and how positions enter.

use serde_json::Value;

use super::files::unsupported;
use crate::checkpoint::config::Config;
use crate::error::{Error, Result};

/// Whether a block's queries see all positions before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// All.
    Global,
    /// The last ones only.
    Local,
}

impl LayerKind {
    /// The word for it in `layer_types`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Global => "full_attention",
            Self::Local => "sliding_attention",
        }
    }
}

/// The options of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerOptions {
    /// What `config.json` calls it.
    pub kind: LayerKind,
    /// The most positions that a query sees, its own among them; none where it sees all.
    pub window: Option<usize>,
    /// Which of the description's rotary embeddings turns queries and keys, if any.
    pub rope: Option<usize>,
    /// Which of the description's kinds of blocks it is of.
    pub block: usize,
}

impl LayerOptions {
    /// A block that sees everything and has the first rotary embedding.
    pub const GLOBAL: Self = Self { kind: LayerKind::Global, window: None, rope: Some(0), block: 0 };
}

/// A list in `config.json` that has an entry for every block, or a rule in its place.
#[derive(Debug, Clone, Copy)]
pub struct LayerList {
    /// Its key.
    pub key: &'static str,
    /// The entry of a block.
    pub entry: fn(&LayerOptions) -> Value,
    /// Keys that say the same by a rule, which gives way to the list once blocks are missing.
    pub rules: &'static [&'static str],
}

impl LayerList {
    /// The words of `layer_types`.
    pub fn kinds(rules: &'static [&'static str]) -> Self {
        Self { key: "layer_types", entry: |options| options.kind.word().into(), rules }
    }
}

/// The kinds of the blocks: the list `layer_types` where there is one, else what `rule` says for
/// each.
///
/// # Errors
/// [`Error::BadConfig`] when the list does not fit, [`Error::UnsupportedFamily`] for other kinds.
pub fn kinds(config: &Config, layers: usize, rule: impl Fn(usize) -> LayerKind) -> Result<Vec<LayerKind>> {
    let Some(list) = config.get("layer_types") else {
        return Ok((0..layers).map(rule).collect());
    };
    let list = list.as_array().filter(|list| list.len() == layers);
    let list = list.ok_or_else(|| Error::config(format!("layer_types is not a list of {layers} words")))?;
    let kind = |value: &Value| match value.as_str() {
        Some("full_attention") => Ok(LayerKind::Global),
        Some("sliding_attention") => Ok(LayerKind::Local),
        _ => Err(unsupported(
            config.word_or("model_type", "")?,
            format!("a block of the kind {value} is not one that this tool computes"),
        )),
    };
    list.iter().map(kind).collect()
}
