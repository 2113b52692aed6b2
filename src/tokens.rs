//! Text to ids to windows, and ids back to text.
//!
//! The tokenizer itself is Hugging Face's own crate. This module must not know of models beyond the
//! size of their vocabulary.

mod oniguruma;
mod parts;
mod precompiled;

use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Bytes of text that are tokenised first, per token that is wanted: more than nearly any text
/// needs.
const BYTES_PER_TOKEN: usize = 8;
/// Tokens beyond those wanted that a prefix of the text must give before its tokens count as those
/// of the whole text.
const MARGIN: usize = 64;

/// A tokenizer with more tokens beyond the embedding than this is another model's.
const MOST_UNUSED: usize = 256;

/// A tokenizer in the format of `tokenizer.json`.
pub struct Tokenizer(tokenizers::Tokenizer);

/// What tokens that end or begin a document are called.
const DOCUMENT_ENDS: [&str; 8] =
    ["<|endoftext|>", "</s>", "<s>", "<eos>", "<bos>", "<|end_of_text|>", "<|begin_of_text|>", "[EOS]"];

impl Tokenizer {
    /// The tokens below `vocabulary` that end or begin a document, by their names: a chat model's
    /// configuration names those of a message instead.
    pub fn separator_tokens(&self, vocabulary: usize) -> Vec<u32> {
        let known = DOCUMENT_ENDS.iter().filter_map(|name| self.0.token_to_id(name));
        known.filter(|id| (*id as usize) < vocabulary).collect()
    }

    /// Reads `tokenizer.json` and checks that no text gives an id beyond a vocabulary of
    /// `vocabulary` entries, special tokens that are spelled out excepted.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`].
    pub fn parse(bytes: &[u8], vocabulary: usize) -> Result<Self> {
        let bad = |reason: String| Error::BadTokenizer { reason };
        let text = std::str::from_utf8(bytes).map_err(|e| bad(format!("it is not UTF-8: {e}")))?;
        let unread = |reason: String| bad(format!("it cannot be read: {reason}"));
        let text = parts::prepared(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(unread)?;
        let mut tokenizer = tokenizers::Tokenizer::from_str(&text).map_err(|e| unread(e.to_string()))?;
        // A limit set for batches would cut the text short.
        tokenizer.with_truncation(None).map_err(|e| bad(e.to_string()))?;
        tokenizer.with_padding(None);
        let parsed = Self(tokenizer);
        parsed.check_ids(vocabulary)?;
        Ok(parsed)
    }

    /// Fails when a token of the model's own, no added one, lies beyond the vocabulary and its own
    /// text gives it.
    fn check_ids(&self, vocabulary: usize) -> Result<()> {
        let own = self.0.get_vocab(false);
        if own.is_empty() && self.0.get_added_vocabulary().get_vocab().is_empty() {
            return Err(Error::BadTokenizer { reason: "its vocabulary is empty".into() });
        }
        let added = self.0.get_added_vocabulary().get_vocab();
        let mut beyond: Vec<(&String, u32)> = own
            .iter()
            .filter(|(token, id)| **id as usize >= vocabulary && !added.contains_key(*token))
            .map(|(token, id)| (token, *id))
            .collect();
        beyond.sort_by_key(|(_, id)| *id);
        let given = |(_, id): &&(&String, u32)| {
            let text = self.0.decode(&[*id], false).unwrap_or_default();
            // Many of them belong to another model's vocabulary, whatever a few of them give.
            beyond.len() > MOST_UNUSED || self.encode(&text).is_ok_and(|ids| ids.contains(id))
        };
        match beyond.iter().find(given) {
            Some((token, id)) => {
                let last = vocabulary.saturating_sub(1);
                let reason = format!("its token {token:?} has the id {id}, the model's embedding ends at {last}");
                Err(Error::BadTokenizer { reason })
            }
            None => Ok(()),
        }
    }

    /// The ids of a text, no special token added.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`] when the tokenizer cannot handle the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.0.encode_fast(text, false).map_err(|e| Error::BadTokenizer { reason: e.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The first `wanted` ids of a text, or all if it has fewer, as if it were tokenised whole.
    ///
    /// A token depends on its neighbourhood only, so a prefix is tokenised that gives [`MARGIN`]
    /// tokens more than are wanted; it is doubled until it does. A megabyte of text would otherwise
    /// cost a hundred of memory.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_start(&self, text: &str, wanted: usize) -> Result<Vec<u32>> {
        let mut length = (wanted + MARGIN).saturating_mul(BYTES_PER_TOKEN);
        while length < text.len() {
            let ids = self.encode(&text[..text.floor_char_boundary(length)])?;
            if ids.len() >= wanted + MARGIN {
                return Ok(ids[..wanted].to_vec());
            }
            length = length.saturating_mul(2);
        }
        let mut ids = self.encode(text)?;
        ids.truncate(wanted);
        Ok(ids)
    }

    /// The id of a token, by its name.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    /// The text of some ids, special tokens included.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`].
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.0.decode(ids, false).map_err(|e| Error::BadTokenizer { reason: e.to_string() })
    }
}

/// Cuts each run of ids into windows of `window`, takes them in turn from the runs, `sequences` at
/// the most, one after the other.
///
/// # Errors
/// [`Error::BadArgument`] when not one window can be filled.
pub fn windows(runs: &[Vec<u32>], window: usize, sequences: usize) -> Result<Vec<Vec<u32>>> {
    let mut out = Vec::new();
    let most = runs.iter().map(|run| run.len() / window.max(1)).max().unwrap_or(0);
    for index in 0..most {
        for run in runs {
            if let Some(ids) = run.get(index * window..(index + 1) * window) {
                out.push(ids.to_vec());
                if out.len() == sequences {
                    return Ok(out);
                }
            }
        }
    }
    if out.is_empty() {
        let tokens: usize = runs.iter().map(Vec::len).sum();
        return Err(Error::argument("text", format!("it has {tokens} tokens, one window of {window} needs more")));
    }
    Ok(out)
}

/// Fails for an id outside a vocabulary of `vocabulary` entries.
///
/// # Errors
/// [`Error::BadArgument`].
pub fn check_ids<'a>(mut ids: impl Iterator<Item = &'a u32>, vocabulary: usize) -> Result<()> {
    match ids.find(|id| **id as usize >= vocabulary) {
        Some(id) => Err(Error::argument("ids", format!("{id} is outside the vocabulary of {vocabulary}"))),
        None => Ok(()),
    }
}

/// SHA-256 over token ids as little-endian u32.
pub fn digest<'a>(ids: impl IntoIterator<Item = &'a u32>) -> [u8; 32] {
    let mut digest = Sha256::new();
    ids.into_iter().for_each(|id| digest.update(id.to_le_bytes()));
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn word_level(vocabulary: &str) -> String {
        format!(
            r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
            "pre_tokenizer":{{"type":"Whitespace"}},"post_processor":null,"decoder":null,
            "model":{{"type":"WordLevel","vocab":{vocabulary},"unk_token":"u"}}}}"#
        )
    }

    #[test]
    fn a_broken_tokenizer_and_ids_beyond_the_embedding_are_refused() {
        for (json, words) in
            [("{", "cannot be read"), ("\u{0}", "cannot be read"), ("{\"version\":\"1.0\"}", "cannot be read")]
        {
            let error = Tokenizer::parse(json.as_bytes(), 10).err().unwrap();
            assert_eq!(error.code(), "bad-tokenizer");
            assert!(error.to_string().contains(words), "{error}");
        }
        let json = word_level(r#"{"u":0,"a":9}"#);
        assert!(Tokenizer::parse(json.as_bytes(), 10).is_ok());
        assert!(Tokenizer::parse(json.as_bytes(), 9).err().unwrap().to_string().contains("\"a\" has the id 9"));
        // What no text gives is no fault: an added token, or one that the text never becomes.
        let added = json.replace(
            "\"added_tokens\":[]",
            r#""added_tokens":[{"id":9,"content":"a","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}]"#,
        );
        assert!(Tokenizer::parse(added.as_bytes(), 9).is_ok());
        let unreached = word_level(r#"{"u":0,"a b":9}"#);
        assert!(Tokenizer::parse(unreached.as_bytes(), 9).is_ok());
    }

    /// Recorded by `tests/fixtures/tokenizers/make_tokenizers.py` with the tokenizers of Python,
    /// which match with Oniguruma.
    #[test]
    fn every_way_to_split_gives_the_ids_that_python_gives() {
        let record: Value = serde_json::from_str(include_str!("../tests/fixtures/tokenizers/ids.json")).unwrap();
        let base: Value = serde_json::from_str(include_str!("../tests/fixtures/llama/tokenizer.json")).unwrap();
        let texts: Vec<&str> = record["texts"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let mut faults = Vec::new();
        for case in record["tokenizers"].as_array().unwrap() {
            let mut tokenizer = base.clone();
            for (key, value) in case["parts"].as_object().unwrap() {
                tokenizer[key] = value.clone();
            }
            let parsed = match Tokenizer::parse(tokenizer.to_string().as_bytes(), 1 << 20) {
                Ok(parsed) => parsed,
                Err(error) => {
                    faults.push(format!("{}: {error}", case["parts"]));
                    continue;
                }
            };
            for (text, expected) in texts.iter().zip(case["ids"].as_array().unwrap()) {
                let found = Value::from(parsed.encode(text).unwrap());
                if found != *expected {
                    faults.push(format!("{}\n  {text:?} gives {found}, expected {expected}", case["parts"]));
                }
            }
        }
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }

    #[test]
    fn the_start_of_a_long_text_is_that_of_the_whole() {
        let tokenizer = Tokenizer::parse(word_level(r#"{"u":0,"a":1,"b":2}"#).as_bytes(), 3).unwrap();
        let text = "a b a  c ".repeat(2_000);
        let whole = tokenizer.encode(&text).unwrap();
        for wanted in [0, 1, 97, 7_999, 8_000, 9_000] {
            assert_eq!(tokenizer.encode_start(&text, wanted).unwrap(), whole[..wanted.min(whole.len())]);
        }
        assert!(tokenizer.encode_start(&" ".repeat(10_000), 5).unwrap().is_empty());
    }

    #[test]
    fn windows_come_in_turn_from_texts_of_several_kinds() {
        let runs = [(0..7).collect(), (10..13).collect::<Vec<u32>>(), (20..22).collect()];
        assert_eq!(windows(&runs, 3, 9).unwrap(), [vec![0, 1, 2], vec![10, 11, 12], vec![3, 4, 5]]);
        assert_eq!(windows(&runs, 3, 2).unwrap().len(), 2);
        assert_eq!(windows(&runs, 8, 2).unwrap_err().code(), "bad-argument");
    }
}
