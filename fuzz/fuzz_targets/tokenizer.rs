//! `tokenizer.json`: what opens tokenises a text, with ids that the vocabulary has, and gives text
//! for ids.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mka_lab::tokens::Tokenizer;
use mka_lab_fuzz::bounded;

const TEXT: &str = "The fox's 1234 naïve  grapes\r\n<|endoftext|>東京 e\u{301}\0";

fuzz_target!(|bytes: &[u8]| {
    bounded(bytes.len(), || {
        let Ok(tokenizer) = Tokenizer::parse(bytes, 300) else { return };
        if let Ok(ids) = tokenizer.encode(TEXT) {
            let _ = tokenizer.decode(&ids);
        }
        let _ = tokenizer.decode(&[0, 1, 299, 300, u32::MAX]);
        let _ = tokenizer.separator_tokens(300);
    });
});
