//! The header of a safetensors file, checked under all rules of the format before anything is
//! believed.
//!
//! A file is `u64 n`, n bytes of JSON, data. The `safetensors` crate checks the same, but its
//! offsets are `usize`: on wasm32 they end at 4 GiB, and a checkpoint may be larger. Its [`Dtype`]
//! is used; its parser is the oracle of this one in the tests.

use indexmap::IndexMap;
use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::source::ByteSource;
use crate::error::{Error, Result};

/// The format's own limit of a header, in bytes.
const MAX_HEADER: u64 = 100_000_000;
/// Beyond this many bytes a header would take more memory than a page has to give.
const LONGEST_HEADER: u64 = 32 << 20;
/// No file of any model lists so many tensors.
const MAX_TENSORS: usize = 200_000;

/// What the header says of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderEntry {
    /// The stored number format.
    pub dtype: Dtype,
    /// Sizes of the dimensions, outermost first.
    pub shape: Vec<u64>,
    /// First byte, counted from the start of the file.
    pub start: u64,
    /// Bytes that the tensor takes.
    pub bytes: u64,
}

/// A checked header: tensors in the order of their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Name to tensor, in the order of the data.
    pub tensors: IndexMap<String, HeaderEntry>,
    /// The header's own bytes, with the length first: what a fingerprint is taken of.
    pub raw: Vec<u8>,
}

struct RawEntry {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl RawEntry {
    /// Reads what the header says of the tensor `name`; a fault is told with the tensor and the
    /// key.
    fn read(name: &str, value: &Value) -> Result<Self, String> {
        let Value::Object(entry) = value else {
            return Err(format!("{name}: it is {}, expected an object", shown(value)));
        };
        let field = |key: &str| match entry.get(key) {
            None => Err(format!("{name}: {key} is missing")),
            Some(value) => Ok(value),
        };
        let dtype = field("dtype")?;
        let shape = numbers(field("shape")?).map_err(|fault| format!("{name}: shape{fault}"))?;
        let offsets = numbers(field("data_offsets")?).map_err(|fault| format!("{name}: data_offsets{fault}"))?;
        let [from, to] = offsets[..] else {
            return Err(format!("{name}: data_offsets has {} numbers, expected 2", offsets.len()));
        };
        if to < from {
            return Err(format!("{name}: data_offsets is [{from}, {to}], which ends before it begins"));
        }
        let known = Dtype::deserialize(dtype)
            .map_err(|_| format!("{name}: dtype is {}, which is no number format of safetensors", shown(dtype)));
        Ok(Self { dtype: known?, shape, data_offsets: (from, to) })
    }
}

/// A list of whole numbers below 2^64; the fault continues the name of a key.
fn numbers(value: &Value) -> Result<Vec<u64>, String> {
    let Value::Array(list) = value else {
        return Err(format!(" is {}, expected a list of whole numbers", shown(value)));
    };
    let number = |(at, value): (usize, &Value)| {
        let reason = || format!("[{at}] is {}, expected a whole number below 2^64", shown(value));
        value.as_u64().ok_or_else(reason)
    };
    list.iter().enumerate().map(number).collect()
}

/// A value as JSON, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The JSON object of a header; a key that occurs twice is an error.
struct RawHeader(Vec<(String, RawEntry)>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawHeader;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let fault = |reason: String| serde::de::Error::custom(reason);
                let mut seen = std::collections::HashSet::new();
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if seen.contains(&key) {
                        return Err(fault(format!("the key {key:?} stands twice")));
                    }
                    if seen.len() > MAX_TENSORS {
                        return Err(fault(format!(
                            "it lists more than {MAX_TENSORS} tensors, more than any model has"
                        )));
                    }
                    let value = map.next_value::<Value>()?;
                    if key == "__metadata__" {
                        check_metadata(&value).map_err(fault)?;
                    } else {
                        entries.push((key.clone(), RawEntry::read(&key, &value).map_err(fault)?));
                    }
                    seen.insert(key);
                }
                Ok(RawHeader(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Words to words, or nothing.
fn check_metadata(value: &Value) -> Result<(), String> {
    let words = match value {
        Value::Null => return Ok(()),
        Value::Object(words) => words,
        other => return Err(format!("__metadata__: it is {}, expected an object of strings", shown(other))),
    };
    let wrong = words.iter().find(|(_, value)| !value.is_string());
    wrong.map_or(Ok(()), |(key, value)| Err(format!("__metadata__: {key} is {}, expected a string", shown(value))))
}

/// Reads and checks the header of `source`.
///
/// # Errors
/// [`Error::BadHeader`] for every broken rule, a file that ends early among them.
pub async fn read_header(source: &dyn ByteSource) -> Result<Header> {
    let bad = |reason: String| Error::BadHeader { file: source.name().into(), reason };
    if source.len() < 8 {
        return Err(bad(format!("the file ends after {} bytes, before the length of the header", source.len())));
    }
    let mut raw = source.read(0, 8).await?;
    let length =
        raw.as_slice().try_into().map(u64::from_le_bytes).map_err(|_| bad("its length cannot be read".into()))?;
    if length > MAX_HEADER {
        return Err(bad(format!(
            "it claims to be {length} bytes long, more than the {MAX_HEADER} that the format allows"
        )));
    }
    if length > source.len() - 8 {
        return Err(bad(format!(
            "the file ends after {} bytes, inside the header of {length} bytes: it is truncated",
            source.len()
        )));
    }
    if length > LONGEST_HEADER {
        return Err(bad(format!("it is {length} bytes long, more than the {LONGEST_HEADER} that are read here")));
    }
    raw.extend(source.read(8, length as usize).await?);
    let entries = parse_header(&raw[8..], source.len() - 8 - length).map_err(bad)?;
    let tensors = entries.into_iter().map(|(name, mut entry)| {
        entry.start += 8 + length;
        (name, entry)
    });
    Ok(Header { tensors: tensors.collect(), raw })
}

/// What is wrong; where a tensor and its key are named, a line and a column add nothing.
fn fault_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match error.is_data() {
        true => text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.into()),
        false => text,
    }
}

/// Checks the JSON of a header over `data` bytes; the answer's offsets count from the start of the
/// data.
fn parse_header(json: &[u8], data: u64) -> Result<Vec<(String, HeaderEntry)>, String> {
    if json.first() != Some(&b'{') {
        return Err("it does not begin with {".into());
    }
    let text = std::str::from_utf8(json).map_err(|e| format!("it is not UTF-8: {e}"))?;
    let RawHeader(mut entries) = serde_json::from_str(text).map_err(|e| fault_of(&e))?;
    // Empty tensors share their offset with the next one, so they must come first.
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut end = 0;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, RawEntry { dtype, shape, data_offsets: (from, to) }) in entries {
        if from != end {
            return Err(format!(
                "{name}: data_offsets is [{from}, {to}], expected from {end} on: there is a hole or an overlap"
            ));
        }
        let bits = shape.iter().try_fold(dtype.bitsize() as u64, |product, size| product.checked_mul(*size));
        let bytes = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
        let bytes = bytes.ok_or_else(|| {
            format!("{name}: the size of its shape {shape:?} overflows or is no whole number of bytes")
        })?;
        if bytes != to - from {
            return Err(format!(
                "{name}: data_offsets spans {} bytes, its shape {shape:?} of {dtype:?} asks for {bytes}",
                to - from
            ));
        }
        end = to;
        tensors.push((name, HeaderEntry { dtype, shape, start: from, bytes }));
    }
    if end > data {
        return Err(format!("the tensors take {end} bytes, the file has {data}: it is truncated"));
    }
    if end < data {
        return Err(format!("the tensors take {end} bytes, the file has {data}: {} belong to no tensor", data - end));
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::source::MemorySource;
    use crate::platform::off_heap::Meter;
    use safetensors::SafeTensors;

    fn file(json: &str, data: usize) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Header> {
        pollster::block_on(read_header(&MemorySource::new("model.safetensors", bytes, &Meter::default()).unwrap()))
    }

    fn refused(bytes: &[u8], words: &str) {
        let error = read(bytes).unwrap_err();
        assert_eq!(error.code(), "bad-header");
        assert!(error.to_string().contains(words), "{error} does not say {words:?}");
        assert!(SafeTensors::deserialize(bytes).is_err(), "the safetensors crate accepts it");
    }

    #[test]
    fn good_headers_are_read_as_the_crate_reads_them() {
        let json = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},
            "none":{"dtype":"F32","shape":[0,7],"data_offsets":[12,12]},"__metadata__":{"format":"pt"}}   "#;
        for bytes in [file(json, 12), file("{}", 0)] {
            let header = read(&bytes).unwrap();
            let oracle = SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(header.tensors.len(), oracle.len());
            for (name, entry) in &header.tensors {
                let view = oracle.tensor(name).unwrap();
                assert_eq!(view.data().as_ptr(), bytes[entry.start as usize..].as_ptr());
                assert_eq!((view.data().len() as u64, view.dtype()), (entry.bytes, entry.dtype));
            }
        }
        assert_eq!(
            read(&file(json, 12)).unwrap().tensors.keys().collect::<Vec<_>>(),
            ["a", "b", "none"],
            "in the order of the data"
        );
    }

    #[test]
    fn too_short_for_a_length() {
        refused(&[1, 2, 3], "ends after 3 bytes");
    }

    #[test]
    fn header_longer_than_allowed() {
        refused(&u64::MAX.to_le_bytes(), "more than the 100000000");
    }

    #[test]
    fn header_longer_than_the_file() {
        refused(&file("{}", 0)[..9], "truncated");
    }

    #[test]
    fn not_an_object() {
        // The crate is laxer than the format's text, which asks for a { as the first byte.
        for json in ["[]", " {}", "null"] {
            assert!(read(&file(json, 0)).unwrap_err().to_string().contains("does not begin with {"));
        }
    }

    #[test]
    fn not_utf8_or_not_json() {
        let mut bytes = file("{ }", 0);
        bytes[9] = 0xff;
        refused(&bytes, "not UTF-8");
        refused(&file("{\"a\":", 0), "EOF");
    }

    #[test]
    fn a_key_that_stands_twice() {
        let json = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
        // The crate lets this pass when both say the same; the format's text forbids it.
        assert!(read(&file(json, 1)).unwrap_err().to_string().contains("stands twice"));
    }

    #[test]
    fn holes_overlaps_and_backward_ranges() {
        let two = |a: &str, b: &str| {
            format!(
                r#"{{"a":{{"dtype":"U8","shape":[2],"data_offsets":{a}}},"b":{{"dtype":"U8","shape":[2],"data_offsets":{b}}}}}"#
            )
        };
        refused(&file(&two("[0,2]", "[3,5]"), 5), "hole or an overlap");
        refused(&file(&two("[0,2]", "[1,3]"), 3), "hole or an overlap");
        refused(&file(&two("[0,2]", "[2,1]"), 4), "b: data_offsets is [2, 1], which ends before it begins");
        refused(&file(&two("[1,3]", "[3,5]"), 5), "hole or an overlap");
    }

    #[test]
    fn size_that_is_not_shape_times_dtype() {
        refused(&file(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8), "asks for 12");
        let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
        refused(&file(huge, 8), "overflows");
    }

    #[test]
    fn data_that_ends_early_or_goes_on() {
        let json = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
        refused(&file(json, 3), "truncated");
        refused(&file(json, 5), "1 belong to no tensor");
    }

    #[test]
    fn an_unknown_dtype_and_negative_numbers() {
        refused(&file(r#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#, 4), "F33");
        refused(&file(r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, 1), "a: shape[0] is -1");
    }

    #[test]
    fn every_fault_of_an_entry_names_the_tensor_and_the_key() {
        let good = [("dtype", r#""U8""#), ("shape", "[2]"), ("data_offsets", "[0,2]")];
        let entry = |key: &str, value: Option<&str>| {
            let field = |(name, usual): (&str, &str)| match (name == key, value) {
                (true, None) => None,
                (true, Some(value)) => Some(format!("{name:?}:{value}")),
                (false, _) => Some(format!("{name:?}:{usual}")),
            };
            let fields: Vec<String> = good.into_iter().filter_map(field).collect();
            format!("{{\"x.y\":{{{}}}}}", fields.join(","))
        };
        assert!(read(&file(&entry("", None), 2)).is_ok());
        for key in ["dtype", "shape", "data_offsets"] {
            let beyond = "18446744073709551616";
            for value in ["null", "7", "-1", "1.5", r#""x""#, "{}", "true", beyond] {
                refused(&file(&entry(key, Some(value)), 2), &format!("x.y: {key} is "));
            }
            refused(&file(&entry(key, None), 2), &format!("x.y: {key} is missing"));
            if key != "dtype" {
                for value in ["null", "-1", "1.5", r#""2""#, "[2]", beyond] {
                    let list = if key == "shape" { format!("[{value}]") } else { format!("[0,{value}]") };
                    refused(&file(&entry(key, Some(&list)), 2), &format!("x.y: {key}["));
                }
            }
        }
        for (offsets, words) in [("[0,1,2]", "has 3 numbers"), ("[2]", "has 1 numbers"), ("[2,0]", "ends before")] {
            refused(&file(&entry("data_offsets", Some(offsets)), 2), words);
        }
        refused(&file(r#"{"x.y":[1]}"#, 0), "x.y: it is [1], expected an object");
        refused(&file(r#"{"__metadata__":{"a":1}}"#, 0), "__metadata__: a is 1");
        assert!(read(&file(r#"{"__metadata__":null}"#, 0)).is_ok());
    }

    #[test]
    fn too_many_tensors_are_refused_before_they_take_memory() {
        let entry = |i: usize| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
        let json = format!("{{{}}}", (0..MAX_TENSORS + 2).map(entry).collect::<Vec<_>>().join(","));
        assert!(read(&file(&json, 0)).unwrap_err().to_string().contains("more than any model has"));
    }

    #[test]
    fn noise_never_panics() {
        let json = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let good = file(json, 8);
        for i in 0..good.len() {
            for value in [0, 1, b'"', b'9', 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[i] = value;
                // Whatever the crate refuses is refused here too.
                if read(&bytes).is_ok() {
                    assert!(SafeTensors::deserialize(&bytes).is_ok());
                }
            }
        }
    }
}
