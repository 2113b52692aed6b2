//! The tokens that end a text, by the files beside the weights. Must not know how text is
//! generated.

use serde_json::Value;

use super::Checkpoint;
use super::config::Config;
use super::source::read_small;
use crate::error::Result;

/// No file that is read here is larger than this, in bytes.
const MAX_JSON: u64 = 1 << 20;
/// Where a configuration has that of its text model (`GenerationConfig.from_model_config`).
const TEXT_PARTS: [&str; 3] = ["decoder", "generator", "text_config"];

/// The ids after which a model has nothing to say, as `transformers` chooses them: every
/// `eos_token_id` of `generation_config.json`, or of `config.json` where that file is missing,
/// cannot be read or names none. `transformers` goes on to the last token where neither names any;
/// here it is the tokenizer's own `eos_token` then, if it has one. `id_of` gives the id of a token
/// by its name.
///
/// # Errors
/// What reading fails with.
pub async fn end_tokens(checkpoint: &Checkpoint, id_of: &dyn Fn(&str) -> Option<u32>) -> Result<Vec<u32>> {
    let key = "eos_token_id";
    let generation = companion(checkpoint, "generation_config.json").await?;
    let config = &checkpoint.config;
    let parts = TEXT_PARTS.iter().filter_map(|part| config.get(part)?.get(key));
    let named = [generation.as_ref().and_then(|generation| generation.get(key)), config.get(key)];
    for value in named.into_iter().flatten().chain(parts) {
        let found = ids(value);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let tokenizer = companion(checkpoint, "tokenizer_config.json").await?;
    // A name, or an object that has it.
    let token = tokenizer.as_ref().and_then(|tokenizer| tokenizer.get("eos_token"));
    let name = token.and_then(|token| token.get("content").unwrap_or(token).as_str());
    Ok(name.and_then(id_of).into_iter().collect())
}

/// One id, or a list of ids.
fn ids(value: &Value) -> Vec<u32> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()).collect()
}

/// A small JSON file beside the weights; none where it is missing or cannot be read, as
/// `transformers` takes it.
async fn companion(checkpoint: &Checkpoint, name: &str) -> Result<Option<Config>> {
    let Some(file) = checkpoint.companions.iter().find(|file| file.name() == name && file.len() <= MAX_JSON) else {
        return Ok(None);
    };
    Ok(Config::parse(&read_small(file.as_ref(), MAX_JSON).await?).ok())
}
