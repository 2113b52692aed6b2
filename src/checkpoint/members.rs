//! The members of a JSON object one after the other, without a tree of values: a list of zeros
//! takes sixteen times its text once it is one. Must not know what they mean.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Hands each member of the object `json` to `see`, in their order.
///
/// # Errors
/// What `see` says, or why it is no JSON object.
pub fn each_member<'j>(json: &'j str, see: impl FnMut(String, &'j str) -> Result<(), String>) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = Members(see).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.map_err(|error| {
        let text = error.to_string();
        // What a member's fault is about it names itself: a line and a column add nothing.
        match error.is_data() {
            true => text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.into()),
            false => text,
        }
    })
}

/// The same where no key may stand twice.
///
/// # Errors
/// As [`each_member`].
pub fn each_of_different<'j>(
    json: &'j str,
    mut see: impl FnMut(&str, &'j str) -> Result<(), String>,
) -> Result<(), String> {
    let mut seen = HashSet::new();
    each_member(json, |key, value| {
        if seen.contains(&key) {
            return Err(format!("the key {:?} stands twice", cut(&key, LONGEST_NAME)));
        }
        see(&key, value)?;
        seen.insert(key);
        Ok(())
    })
}

/// Signs of a name that an error shows.
pub const LONGEST_NAME: usize = 200;
/// Signs of a value that an error shows.
pub const LONGEST_VALUE: usize = 60;

/// A text of at most so many signs, cut where it is longer.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}

struct Members<F>(F);

impl<'de, F: FnMut(String, &'de str) -> Result<(), String>> DeserializeSeed<'de> for Members<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(String, &'de str) -> Result<(), String>> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<&RawValue>()?;
            (self.0)(key, value.get()).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}
