//! `config.json`: read by key, written back with every number spelled as it was.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

use super::text;
use crate::error::{Error, Result};

/// A parsed `config.json` that remembers its own text.
#[derive(Debug, Clone)]
pub struct Config {
    raw: IndexMap<String, Box<RawValue>>,
    values: serde_json::Map<String, Value>,
}

impl Config {
    /// Parses the file's bytes. Numbers that Python writes and JSON has not (`NaN`, `Infinity`) may
    /// be in it; whoever asks for one gets an error.
    ///
    /// # Errors
    /// [`Error::BadConfig`] when it is not a JSON object in UTF-8.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = text::utf8(bytes).map_err(Error::config)?;
        let json = quoted_literals(text);
        let not_json = |e: serde_json::Error| Error::config(format!("it is not a JSON object: {e}"));
        Ok(Self {
            raw: serde_json::from_str(&json).map_err(not_json)?,
            values: serde_json::from_str(&json).map_err(not_json)?,
        })
    }

    /// A copy to read from, in which a key has the value that was given under a synonym (general to
    /// own name), and keys that are absent have their defaults. It is not meant to be written.
    pub fn resolved(&self, synonyms: &IndexMap<String, String>, defaults: &serde_json::Map<String, Value>) -> Self {
        let mut values = self.values.clone();
        for (general, own) in synonyms {
            if let Some(value) = self.get(general) {
                values.insert(own.clone(), value.clone());
            }
        }
        for (key, value) in defaults {
            values.entry(key.as_str()).or_insert_with(|| value.clone());
        }
        Self { raw: self.raw.clone(), values }
    }

    /// The value of a key; none where it is absent or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// All of it as plain JSON.
    pub fn values(&self) -> &serde_json::Map<String, Value> {
        &self.values
    }

    /// A copy in which some keys have other values, given as JSON text; all others keep their
    /// spelling and their order.
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

    /// The object under a key, as a configuration of its own.
    ///
    /// # Errors
    /// [`Error::BadConfig`] where the key is absent, or has no object.
    pub fn nested(&self, key: &str) -> Result<Self> {
        let raw = self.raw.get(key).ok_or_else(|| Error::config(format!("{key} is missing")))?;
        let not_an_object = |_| Error::config(format!("{key} is {}, expected an object", shown(&self.values[key])));
        Ok(Self {
            raw: serde_json::from_str(raw.get()).map_err(not_an_object)?,
            values: serde_json::from_str(raw.get()).map_err(not_an_object)?,
        })
    }

    /// A copy with another configuration under a key.
    ///
    /// # Errors
    /// [`Error::BadConfig`] when it cannot be written as JSON.
    pub fn with_nested(&self, key: &str, nested: &Self) -> Result<Self> {
        self.with(&[(key, nested.lines("  "))])
    }

    /// The ids that end or begin a document, of a vocabulary of so many; none where the file names
    /// none.
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
        LITERALS.iter().fold(self.lines(""), |text, word| text.replace(&stand_in(word), word)) + "\n"
    }

    /// The object, one key a line, as far to the right as `indent` says.
    fn lines(&self, indent: &str) -> String {
        let quoted = |key: &String| Value::from(key.as_str());
        let lines = self.raw.iter().map(|(key, value)| format!("{indent}  {}: {}", quoted(key), value.get()));
        let lines: Vec<String> = lines.collect();
        format!("{{\n{}\n{indent}}}", lines.join(",\n"))
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
            .ok_or_else(|| Error::config(format!("{key} is {}, expected a positive integer", shown(value))))
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
        value.as_bool().ok_or_else(|| Error::config(format!("{key} is {}, expected true or false", shown(value))))
    }

    /// A number that must be there.
    pub fn number(&self, key: &str) -> Result<f64> {
        number(key, self.get(key), None)
    }

    /// True or false; it must be there.
    pub fn flag(&self, key: &str) -> Result<bool> {
        if self.get(key).is_none() {
            return Err(Error::config(format!("{key} is missing")));
        }
        self.flag_or(key, false)
    }

    /// A word that must be there.
    pub fn word(&self, key: &str) -> Result<&str> {
        if self.get(key).is_none() {
            return Err(Error::config(format!("{key} is missing")));
        }
        self.word_or(key, "")
    }

    /// A word, or `default` where the key is absent.
    pub fn word_or<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        value.as_str().ok_or_else(|| Error::config(format!("{key} is {}, expected a word", shown(value))))
    }
}

/// A value as the file has it, cut where it is long.
fn shown(value: &Value) -> String {
    let text = LITERALS.iter().fold(value.to_string(), |text, word| text.replace(&stand_in(word), word));
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// What Python writes for numbers that JSON has not; the longest first.
const LITERALS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The JSON string that stands for a literal: no text of a configuration begins with a NUL.
fn stand_in(literal: &str) -> String {
    format!("\"\\u0000{literal}\"")
}

/// The text with every literal of Python, outside strings, as a string.
fn quoted_literals(text: &str) -> Cow<'_, str> {
    if !LITERALS.iter().any(|literal| text.contains(literal)) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest, mut inside) = (String::with_capacity(text.len()), text, false);
    while let Some(next) = rest.chars().next() {
        let literal = LITERALS.iter().find(|literal| !inside && rest.starts_with(**literal));
        let taken = match (literal, inside, next) {
            (Some(literal), ..) => {
                out += &stand_in(literal);
                rest = &rest[literal.len()..];
                continue;
            }
            (None, true, '\\') => next.len_utf8() + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, ..) => next.len_utf8(),
        };
        inside ^= next == '"';
        out += &rest[..taken];
        rest = &rest[taken..];
    }
    Cow::Owned(out)
}

/// A finite number out of JSON, or the default where there is none.
pub fn number(key: &str, value: Option<&Value>, default: Option<f64>) -> Result<f64> {
    match (value, default) {
        (None, Some(default)) => Ok(default),
        (None, None) => Err(Error::config(format!("{key} is missing"))),
        (Some(value), _) => {
            let found = value.as_f64().filter(|x| x.is_finite());
            found.ok_or_else(|| Error::config(format!("{key} is {}, expected a number", shown(value))))
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
    fn literals_of_python_are_read_and_written_back() {
        let text = r#"{"a": [0.0, Infinity], "b": -Infinity, "c": {"x": NaN}, "d": "NaN \"Infinity", "n": 3}"#;
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.size("n").unwrap(), 3);
        assert_eq!(config.word_or("d", "").unwrap(), "NaN \"Infinity");
        let error = config.number_or("b", 0.0).unwrap_err().to_string();
        assert!(error.contains("b is -Infinity, expected a number"), "{error}");
        let expected = "{\n  \"a\": [0.0, Infinity],\n  \"b\": -Infinity,\n  \"c\": {\"x\": NaN},\n  \"d\": \"NaN \\\"Infinity\",\n  \"n\": 3\n}\n";
        assert_eq!(config.to_json(), expected);
    }

    #[test]
    fn a_nested_object_is_changed_in_its_place() {
        let text = r#"{"a": 1.0, "in": {"x": 2.50, "list": [1,  2], "y": NaN}, "z": "in"}"#;
        let config = Config::parse(text.as_bytes()).unwrap();
        let nested = config.nested("in").unwrap();
        assert_eq!(nested.number("x").unwrap(), 2.5);
        let changed = config.with_nested("in", &nested.with(&[("list", "[3]".into())]).unwrap()).unwrap();
        let expected = "{\n  \"a\": 1.0,\n  \"in\": {\n    \"x\": 2.50,\n    \"list\": [3],\n    \"y\": NaN\n  },\n  \"z\": \"in\"\n}\n";
        assert_eq!(changed.to_json(), expected);
        assert_eq!(changed.nested("in").unwrap().get("list"), Some(&serde_json::json!([3])));
        assert!(config.nested("b").unwrap_err().to_string().contains("b is missing"));
        assert!(config.nested("a").unwrap_err().to_string().contains("a is 1.0, expected an object"));
    }

    #[test]
    fn synonyms_win_and_defaults_fill() {
        let synonyms = [("general".to_string(), "own".to_string())].into_iter().collect();
        let defaults = serde_json::from_str(r#"{"own": 9, "kept": 1, "null": 2}"#).unwrap();
        let resolve = |text: &str| Config::parse(text.as_bytes()).unwrap().resolved(&synonyms, &defaults);
        assert_eq!(resolve(r#"{"own": 3, "general": 4}"#).size("own").unwrap(), 4);
        assert_eq!(resolve(r#"{"own": 3, "general": null}"#).size("own").unwrap(), 3);
        let filled = resolve(r#"{"kept": 5, "null": null}"#);
        assert_eq!((filled.size("own").unwrap(), filled.size("kept").unwrap()), (9, 5));
        assert!(filled.get("null").is_none(), "a null that is there is no default");
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
