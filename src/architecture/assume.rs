//! What the user insists on where a family is not known. Must not know any family's file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// A family that the user insists on, whatever `config.json` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub enum Assume {
    /// Llama.
    Llama,
}

impl Assume {
    /// The family of this name.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for another word.
    pub fn from_word(word: &str) -> Result<Self> {
        let known = serde_json::from_value(Value::from(word));
        known.map_err(|_| Error::argument("assume", format!("is {word:?}, expected \"llama\"")))
    }
}
