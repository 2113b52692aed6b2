//! The pattern that a tokenizer splits by, translated from Oniguruma: the first line of the input;
//! the rest is the text that is split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mka_lab::tokens::Tokenizer;
use mka_lab_fuzz::bounded;
use serde_json::json;

fuzz_target!(|input: &str| {
    let (pattern, text) = input.split_once('\n').unwrap_or((input, "The fox's 1234 naïve  grapes"));
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"u": 0}, "unk_token": "u"},
    });
    bounded(input.len(), || {
        let Ok(tokenizer) = Tokenizer::parse(tokenizer.to_string().as_bytes(), 1) else { return };
        let _ = tokenizer.encode(text);
    });
});
