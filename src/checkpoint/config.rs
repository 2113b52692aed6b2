//! `config.json`: read by key, written back with every number spelled as it was.

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// A parsed `config.json` that remembers its own text.
#[derive(Debug, Clone)]
pub struct Config {
    raw: IndexMap<String, Box<RawValue>>,
    values: serde_json::Map<String, Value>,
}

impl Config {
    /// Parses the file's bytes.
    ///
    /// # Errors
    /// [`Error::BadConfig`] when it is not a JSON object in UTF-8.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|e| Error::config(format!("it is not UTF-8: {e}")))?;
        let not_json = |e: serde_json::Error| Error::config(format!("it is not a JSON object: {e}"));
        Ok(Self {
            raw: serde_json::from_str(text).map_err(not_json)?,
            values: serde_json::from_str(text).map_err(not_json)?,
        })
    }

    /// The value of a key; none where it is absent or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// All of it as plain JSON.
    pub fn values(&self) -> &serde_json::Map<String, Value> {
        &self.values
    }

    /// A copy in which some keys have other values, given as JSON text; all others keep their spelling and their order.
    ///
    /// # Errors
    /// [`Error::BadConfig`] when a value is not JSON.
    pub fn with(&self, changes: &[(&str, String)]) -> Result<Self> {
        let mut changed = self.clone();
        for (key, json) in changes {
            let raw = RawValue::from_string(json.clone()).map_err(|e| Error::config(format!("{key}: {e}")))?;
            let value = serde_json::from_str(json).map_err(|e| Error::config(format!("{key}: {e}")))?;
            changed.raw.insert((*key).into(), raw);
            changed.values.insert((*key).into(), value);
        }
        Ok(changed)
    }

    /// A copy in which some keys are absent.
    pub fn without(mut self, keys: &[&str]) -> Self {
        self.raw.retain(|key, _| !keys.contains(&key.as_str()));
        self.values.retain(|key, _| !keys.contains(&key.as_str()));
        self
    }

    /// The ids that end or begin a document, of a vocabulary of so many; none where the file names none.
    pub fn separator_tokens(&self, vocabulary: usize) -> Vec<u32> {
        let named = ["eos_token_id", "bos_token_id"].into_iter().filter_map(|key| self.get(key));
        let ids = named.flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
        let mut ends: Vec<u32> = Vec::new();
        for id in ids.filter_map(Value::as_u64).filter(|id| *id < vocabulary as u64).map(|id| id as u32) {
            if !ends.contains(&id) {
                ends.push(id);
            }
        }
        ends
    }

    /// The text of the file, one key a line.
    pub fn to_json(&self) -> String {
        let quoted = |key: &String| Value::from(key.as_str()).to_string();
        let lines: Vec<String> =
            self.raw.iter().map(|(key, value)| format!("  {}: {}", quoted(key), value.get())).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// A positive integer that must be there.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.size_or(key, None)
    }

    /// A positive integer, or `default` where the key is absent.
    pub fn size_or(&self, key: &str, default: Option<usize>) -> Result<usize> {
        let Some(value) = self.get(key) else {
            return default.ok_or_else(|| Error::config(format!("{key} is missing")));
        };
        let size = value.as_u64().filter(|size| (1..=1 << 30).contains(size));
        size.map(|size| size as usize)
            .ok_or_else(|| Error::config(format!("{key} is {value}, expected a positive integer")))
    }

    /// A finite number, or `default` where the key is absent.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        number(key, self.get(key), Some(default))
    }

    /// True or false, or `default` where the key is absent.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        value.as_bool().ok_or_else(|| Error::config(format!("{key} is {value}, expected true or false")))
    }

    /// A word, or `default` where the key is absent.
    pub fn word_or<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        value.as_str().ok_or_else(|| Error::config(format!("{key} is {value}, expected a word")))
    }
}

/// A finite number out of JSON, or the default where there is none.
pub fn number(key: &str, value: Option<&Value>, default: Option<f64>) -> Result<f64> {
    match (value, default) {
        (None, Some(default)) => Ok(default),
        (None, None) => Err(Error::config(format!("{key} is missing"))),
        (Some(value), _) => {
            let found = value.as_f64().filter(|x| x.is_finite());
            found.ok_or_else(|| Error::config(format!("{key} is {value}, expected a number")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_spelling() {
        let text = "{\"a\": 7.0, \"n\": 12, \"eps\": 1e-05, \"list\": [1, 2.50], \"deep\": {\"x\": 3.0}}";
        let changed =
            Config::parse(text.as_bytes()).unwrap().with(&[("n", "11".into()), ("new", "[true]".into())]).unwrap();
        let expected = "{\n  \"a\": 7.0,\n  \"n\": 11,\n  \"eps\": 1e-05,\n  \"list\": [1, 2.50],\n  \"deep\": {\"x\": 3.0},\n  \"new\": [true]\n}\n";
        assert_eq!(changed.to_json(), expected);
        assert_eq!(changed.size("n").unwrap(), 11);
    }

    #[test]
    fn wrong_types_are_named() {
        let config = Config::parse(b"{\"a\": -1, \"b\": 1.5, \"c\": \"x\", \"d\": null, \"e\": 1e400}")
            .unwrap_or_else(|_| Config::parse(b"{\"a\": -1, \"b\": 1.5, \"c\": \"x\", \"d\": null}").unwrap());
        for key in ["a", "b", "c"] {
            let error = config.size(key).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
        assert_eq!(config.size_or("d", Some(4)).unwrap(), 4, "null counts as absent");
        assert!(config.size("d").is_err());
        assert!(config.flag_or("c", false).is_err());
        assert!(config.number_or("c", 0.0).is_err());
        for broken in [&b"[1]"[..], b"{", b"", b"\xff{}"] {
            assert_eq!(Config::parse(broken).unwrap_err().code(), "bad-config");
        }
    }
}
