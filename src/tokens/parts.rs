//! The parts of a `tokenizer.json`, looked at before the crate `tokenizers` reads them: patterns
//! are translated, and what that crate would end the program on is refused in words. Must not know
//! what the parts do.

use std::borrow::Cow;

use serde_json::Value;

use super::oniguruma;
use super::precompiled;
use crate::checkpoint::members::each_of_different;

/// The parts that are looked at; the vocabulary is large, and the crate says what is wrong with it.
const PARTS: [&str; 4] = ["normalizer", "pre_tokenizer", "post_processor", "decoder"];
/// So deep lies no part of a tokenizer. The JSON parser gives up at 128, where the crate ends the
/// program.
const DEEPEST: usize = 64;
/// A tokenizer has nine parts.
const MOST: usize = 64;
/// So many values has no tokenizer: the largest vocabularies have 1.3 million. The crate takes more
/// than a hundred bytes for each while it reads them.
const MOST_VALUES: usize = 3_000_000;

/// The text of a tokenizer in which every pattern is one of the engine that is here.
///
/// # Errors
/// What is wrong, with the name of the part.
pub fn prepared(text: &str) -> Result<Cow<'_, str>, String> {
    let values = text.bytes().filter(|byte| *byte == b',').count();
    if values > MOST_VALUES {
        return Err(format!("it has {values} values, more than the {MOST_VALUES} that any tokenizer has"));
    }
    let mut changed: Vec<(&str, String)> = Vec::new();
    let mut count = 0;
    each_of_different(text, |key, json| {
        count += 1;
        if count > MOST {
            return Err(format!("it has more than {MOST} parts"));
        }
        if !PARTS.contains(&key) {
            return Ok(());
        }
        let fault = |reason: String| format!("{key}: {reason}");
        if depth(json) > DEEPEST {
            return Err(fault(format!("it is nested more than {DEEPEST} deep")));
        }
        let mut value: Value = serde_json::from_str(json).map_err(|e| fault(e.to_string()))?;
        check(&value).map_err(fault)?;
        if translate(&mut value) {
            changed.push((json, value.to_string()));
        }
        Ok(())
    })?;
    if changed.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (part, new) in changed {
        // A part is a slice of the text.
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        out += text.get(done..start).unwrap_or_default();
        out += &new;
        done = start + part.len();
    }
    out += text.get(done..).unwrap_or_default();
    Ok(Cow::Owned(out))
}

/// How deep lists and objects lie in one another.
fn depth(json: &str) -> usize {
    let (mut deep, mut most, mut inside, mut escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'[' | b'{' if !inside => deep += 1,
            b']' | b'}' if !inside => deep = deep.saturating_sub(1),
            _ => {}
        }
        most = most.max(deep);
    }
    most
}

/// Fails where the crate would end the program.
fn check(value: &Value) -> Result<(), String> {
    match value {
        Value::Object(fields) => {
            if fields.get("type").and_then(Value::as_str) == Some("Precompiled") {
                let map = fields.get("precompiled_charsmap").and_then(Value::as_str);
                precompiled::check(map.ok_or("precompiled_charsmap is no string")?)?;
            }
            fields.values().try_for_each(check)
        }
        Value::Array(list) => list.iter().try_for_each(check),
        _ => Ok(()),
    }
}

/// Translates every pattern in a part of a tokenizer; whether there was one.
fn translate(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter_mut().fold(false, |any, (key, value)| match value {
            Value::String(pattern) if key == "Regex" => {
                *pattern = oniguruma::translated(pattern);
                true
            }
            _ => translate(value) | any,
        }),
        Value::Array(list) => list.iter_mut().fold(false, |any, value| translate(value) | any),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_no_json_or_too_deep_are_named() {
        for (text, words) in [
            (r#"{"decoder": {"type": "Fuse" x}, "model": {}}"#, "expected `,` or `}`"),
            (r#"{"decoder": {"type": "Fuse", "x": 1e999}}"#, "decoder: number out of range"),
            (r#"{"decoder": null, "decoder": null}"#, "stands twice"),
            (r#"{"normalizer": {"type": "Precompiled"}}"#, "normalizer: precompiled_charsmap is no string"),
        ] {
            let said = prepared(text).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        let deep = format!(r#"{{"decoder": {}0{}}}"#, "[".repeat(65), "]".repeat(65));
        assert!(prepared(&deep).unwrap_err().contains("decoder: it is nested more than 64 deep"));
        let quoted = format!(r#"{{"decoder": "{}\"["}}"#, "[".repeat(65));
        assert_eq!(prepared(&quoted).unwrap(), quoted);
    }

    #[test]
    fn patterns_are_replaced_where_they_stand() {
        let text = r#" {"a": [1.0] , "pre_tokenizer" : {"Regex": "\\h"} , "decoder":{"Regex":"$"}, "z": 2.50 } "#;
        let expected =
            r#" {"a": [1.0] , "pre_tokenizer" : {"Regex":"[0-9a-fA-F]"} , "decoder":{"Regex":"(?m:$)"}, "z": 2.50 } "#;
        assert_eq!(prepared(text).unwrap(), expected);
    }
}
