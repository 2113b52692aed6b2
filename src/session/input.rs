//! From the user's text or ids to windows of token ids.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::model::Model;
use crate::error::{Error, Result};
use crate::interface::Input;
use crate::tokens;

/// A window of so many tokens is used unless the user says otherwise.
const DEFAULT_WINDOW: usize = 256;

/// Windows of equal length, and what the user should know of them.
pub struct Windows {
    /// The token ids.
    pub windows: Vec<Vec<u32>>,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

impl Model {
    /// The windows of an input.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no input, two of them, or not one window of it;
    /// [`Error::MissingFile`] for a text without a tokenizer.
    pub(super) fn windows(&self, input: &Input, window: Option<usize>, sequences: usize) -> Result<Windows> {
        self.windows_drawn(input, window, sequences, None)
    }

    /// The windows from the start of an input, or, with a seed, drawn from all of it.
    ///
    /// # Errors
    /// As [`Model::windows`].
    pub(super) fn windows_drawn(
        &self,
        input: &Input,
        window: Option<usize>,
        sequences: usize,
        seed: Option<u64>,
    ) -> Result<Windows> {
        let positions = self.transformer.description.positions;
        let window = window.unwrap_or(DEFAULT_WINDOW.min(positions));
        if window == 0 || window > 1 << 20 || sequences == 0 {
            let reason = format!("{sequences} sequences of {window} tokens cannot be run");
            return Err(Error::argument("window", reason));
        }
        let considered = if seed.is_some() { usize::MAX / window / 16 } else { sequences };
        let runs = self.ids(input, window.saturating_mul(considered))?;
        let mut windows = tokens::windows(&runs, window, considered)?;
        if let Some(seed) = seed {
            windows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            windows.truncate(sequences);
        }
        tokens::check_ids(windows.iter().flatten(), self.transformer.description.vocabulary)?;
        let mut warnings = Vec::new();
        if windows.len() < sequences {
            warnings.push(format!("The text fills {} windows of {window} tokens, not {sequences}.", windows.len()));
        }
        if window > positions {
            warnings.push(format!(
                "A window has {window} tokens, the model was made for {positions}: its predictions get worse beyond."
            ));
        }
        Ok(Windows { windows, warnings })
    }

    /// Runs of ids, one for each text; at least `wanted` in each unless it has fewer.
    pub(super) fn ids(&self, input: &Input, wanted: usize) -> Result<Vec<Vec<u32>>> {
        match (&input.text, &input.texts, &input.ids) {
            (None, None, Some(ids)) => Ok(vec![ids.clone()]),
            (Some(text), None, None) => Ok(vec![self.tokenizer()?.encode_start(text, wanted)?]),
            (None, Some(texts), None) => {
                let tokenizer = self.tokenizer()?;
                texts.iter().map(|text| tokenizer.encode_start(text, wanted)).collect()
            }
            (None, None, None) => Err(Error::argument("text", "neither a text nor ids were given")),
            _ => Err(Error::argument("text", "give a text or ids, not both")),
        }
    }

    pub(super) fn tokenizer(&self) -> Result<&tokens::Tokenizer> {
        self.tokenizer.as_deref().ok_or_else(|| Error::MissingFile { file: "tokenizer.json".into() })
    }
}
