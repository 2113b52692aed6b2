//! What two models are told apart by: SHA-256 over their content, field by field, under a name
//! with a version.
//!
//! A hash that is written to a file (a recipe has one) must come out the same in every later
//! version of the program, so it is taken of bytes that are laid down here, never of what `Debug`
//! prints. Whoever changes what goes in raises the version in the name. Must not know what the
//! content means.

use sha2::{Digest, Sha256};

/// A hash in the making. Each field is preceded by its length, so that no two sequences of fields
/// give the same bytes.
pub struct ContentHash(Sha256);

impl ContentHash {
    /// A hash of nothing yet; `name` says of what it will be, and in which version:
    /// `"merge-state/1"`.
    pub fn new(name: &str) -> Self {
        Self(Sha256::new()).text(name)
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a whole number: an index, a count, the number of fields that follow.
    #[must_use]
    pub fn number(mut self, number: usize) -> Self {
        self.0.update((number as u64).to_le_bytes());
        self
    }

    /// Adds a number by its bits, so that 0 and -0 differ and NaN equals itself.
    #[must_use]
    pub fn real(mut self, number: f64) -> Self {
        self.0.update(number.to_bits().to_le_bytes());
        self
    }

    /// 64 hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are part of what a version of the name promises: this value must never change.
    #[test]
    fn the_same_content_has_the_same_hash_in_every_version() {
        let hash = ContentHash::new("test/1").text("abc").number(3).real(-0.5).bytes(&[0, 255]).finish();
        assert_eq!(hash, "253dcb4be325d6352f861a70a57602b6863b41f9ffffcedf88dc7b9fb0cfd8c7");
    }

    #[test]
    fn fields_do_not_run_into_one_another() {
        let of = |texts: &[&str]| texts.iter().fold(ContentHash::new("test/1"), |hash, text| hash.text(text)).finish();
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", ""]), of(&["ab"]));
        assert_ne!(ContentHash::new("a").real(0.0).finish(), ContentHash::new("a").real(-0.0).finish());
        assert_ne!(ContentHash::new("a/1").finish(), ContentHash::new("a/2").finish());
    }
}
