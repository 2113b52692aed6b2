//! A text, tokenised by the miniatures' tokenizer: the start is that of the whole, and every id is
//! one of the vocabulary.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mka_lab::tokens::{Tokenizer, check_ids, windows};
use mka_lab_fuzz::bounded;

const VOCABULARY: usize = 512;
static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let bytes = include_bytes!("../../tests/fixtures/llama/tokenizer.json");
    Tokenizer::parse(bytes, VOCABULARY).expect("the miniatures' tokenizer opens")
});

fuzz_target!(|text: &str| {
    LazyLock::force(&TOKENIZER);
    bounded(text.len(), || {
        let ids = TOKENIZER.encode(text).expect("every text has ids");
        check_ids(ids.iter(), VOCABULARY).expect("ids are those of the vocabulary");
        let start = TOKENIZER.encode_start(text, 16).expect("every text has ids");
        assert_eq!(start, ids[..ids.len().min(16)]);
        let _ = TOKENIZER.decode(&ids);
        let _ = windows(&[ids], 16, 4);
    });
});
