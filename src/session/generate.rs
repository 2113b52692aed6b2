//! Text from a model.

use super::model::Model;
use crate::error::{Error, Result};
use crate::interface::{GenerateOptions, Token};
use crate::task::Task;
use crate::transformer::{Decoder, Sampler};

impl Model {
    /// Goes on from a prompt, one token at a time, each given to `each` as it comes: up to the
    /// first token that ends a text, which adds none of its own, or to as many as are wanted.
    ///
    /// # Errors
    /// As [`Model::logits`].
    pub async fn generate(&self, options: &GenerateOptions, mut each: impl FnMut(Token), task: &Task) -> Result<()> {
        self.lab.weights.sweep();
        let tokenizer = self.tokenizer()?;
        let wanted = options.tokens.unwrap_or(50);
        let mut sampler = Sampler::new(options.temperature.unwrap_or(0.0), options.seed.unwrap_or(0).into())?;
        let mut ids = tokenizer.encode(&options.prompt)?;
        if ids.is_empty() {
            return Err(Error::argument("prompt", "it has no token to go on from"));
        }
        if wanted == 0 || wanted > 100_000 {
            return Err(Error::argument("tokens", format!("is {wanted}, expected 1 to 100000")));
        }
        let step = task.step("generate", wanted, "tokens");
        let mut decoder = Decoder::new(&self.transformer, ids.len() + wanted)?;
        let mut logits = decoder.append(&ids, task).await?;
        let mut shown = tokenizer.decode(&ids)?.len();
        for done in 1..=wanted {
            let id = sampler.draw(&logits)?;
            let ends = self.end_tokens.contains(&id);
            if !ends {
                ids.push(id);
            }
            let text = tokenizer.decode(&ids)?;
            let last = ends || done == wanted;
            // A character may take several tokens; until then the text ends in a replacement
            // character.
            let complete = last || !text.ends_with(char::REPLACEMENT_CHARACTER);
            let new = if complete { text.get(shown..).unwrap_or("").to_string() } else { String::new() };
            shown += new.len();
            each(Token { id, text: new });
            if ends {
                return step.advance(wanted + 1 - done);
            }
            step.advance(1)?;
            if !last {
                logits = decoder.append(&[id], task).await?;
            }
        }
        Ok(())
    }
}
