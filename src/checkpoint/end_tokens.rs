//! The tokens that end a text, by the files beside the weights. Must not know how text is generated.

use serde_json::Value;

use super::Checkpoint;
use super::source::read_small;
use crate::error::Result;

/// No file that is read here is larger than this, in bytes.
const MAX_JSON: u64 = 1 << 20;
/// Where a configuration has that of its text model (`GenerationConfig.from_model_config`).
const TEXT_PARTS: [&str; 3] = ["decoder", "generator", "text_config"];

/// The ids after which a model has nothing to say, as `transformers` chooses them: every
/// `eos_token_id` of `generation_config.json`, or of `config.json` where that file is missing,
/// cannot be read or names none. `transformers` goes on to the last token where neither names any;
/// here it is the tokenizer's own `eos_token` then, if it has one. `id_of` gives the id of a token by
/// its name.
///
/// # Errors
/// What reading fails with.
pub async fn end_tokens(checkpoint: &Checkpoint, id_of: impl Fn(&str) -> Option<u32>) -> Result<Vec<u32>> {
    let generation = companion(checkpoint, "generation_config.json").await?;
    let config = &checkpoint.config;
    let parts = TEXT_PARTS.iter().filter_map(|part| config.get(part)?.get("eos_token_id"));
    let named = [generation.get("eos_token_id"), config.get("eos_token_id")];
    let found = named.into_iter().flatten().chain(parts).map(ids).find(|ids| !ids.is_empty());
    if let Some(found) = found {
        return Ok(found);
    }
    let of_tokenizer = companion(checkpoint, "tokenizer_config.json").await?;
    // A name, or an object that has it.
    let name = of_tokenizer.get("eos_token").and_then(|token| token.get("content").unwrap_or(token).as_str());
    Ok(name.and_then(id_of).into_iter().collect())
}

/// One id, or a list of ids.
fn ids(value: &Value) -> Vec<u32> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()).collect()
}

/// A small JSON file beside the weights; null where it is missing or cannot be read, as
/// `transformers` takes it.
async fn companion(checkpoint: &Checkpoint, name: &str) -> Result<Value> {
    let Some(file) = checkpoint.companions.iter().find(|file| file.name() == name && file.len() <= MAX_JSON) else {
        return Ok(Value::Null);
    };
    let bytes = read_small(file.as_ref(), MAX_JSON).await?;
    Ok(serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)).unwrap_or(Value::Null))
}
