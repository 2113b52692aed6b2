//! What the last panic said. It ends the instance by a trap that says nothing; the worker asks here
//! once more before it lets go of it. Must not know what was computed.

use std::cell::RefCell;
use std::panic::PanicHookInfo;

use wasm_bindgen::prelude::*;

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Crates that end the program on what they do not expect of a `tokenizer.json`.
const OF_TOKENIZERS: [&str; 4] = ["/tokenizers-", "/spm_precompiled-", "/fancy-regex-", "/daachorse-"];

/// A panic.
#[wasm_bindgen(getter_with_clone)]
#[derive(Clone)]
pub struct Panic {
    /// Where it was, and why.
    pub message: String,
    /// Whether it was in what reads and applies a `tokenizer.json`.
    pub tokenizer: bool,
}

/// Keeps what a panic says, and shows it in the console.
pub(super) fn keep(panic: &PanicHookInfo<'_>) {
    let message = panic.to_string();
    web_sys::console::error_1(&message.as_str().into());
    let file = panic.location().map_or("", |location| location.file());
    let tokenizer = OF_TOKENIZERS.iter().any(|name| file.contains(name));
    LAST.replace(Some(Panic { message, tokenizer }));
}

/// What the last panic said; none where the program ended without one: an allocation failed.
#[wasm_bindgen(js_name = lastPanic)]
pub fn last_panic() -> Option<Panic> {
    LAST.take()
}
