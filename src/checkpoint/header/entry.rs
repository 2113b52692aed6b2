//! What a header says of one tensor, and of the file: checked before it takes memory, and told with
//! the tensor and the key where it is wrong. Must not know what lies beside it in the file.

use indexmap::IndexMap;
use safetensors::Dtype;
use serde::Deserialize;
use serde_json::Value;

use crate::checkpoint::members::{LONGEST_NAME, LONGEST_VALUE, cut, each_member, each_of_different};

/// Bytes of what a header says of one tensor, and dimensions of its shape: more than any has.
const LONGEST: usize = 4096;
const MAX_DIMENSIONS: usize = 64;

/// What a header says of one tensor; offsets count from the start of the data.
pub(super) struct RawEntry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
    pub(super) data_offsets: (u64, u64),
}

impl RawEntry {
    /// Reads what the header says of the tensor `name`; a fault is told with the tensor and the
    /// key.
    pub(super) fn read(name: &str, json: &str) -> Result<Self, String> {
        Self::fields(json).map_err(|fault| format!("{}: {fault}", cut(name, LONGEST_NAME)))
    }

    fn fields(json: &str) -> Result<Self, String> {
        if !json.starts_with('{') {
            return Err(format!("it is {}, expected an object", cut(json, LONGEST_VALUE)));
        }
        if json.len() > LONGEST {
            return Err(format!("its entry has {} bytes, more than the {LONGEST} that one may have", json.len()));
        }
        let mut entry: IndexMap<String, Value> = IndexMap::new();
        each_of_different(json, |key, value| {
            let value = serde_json::from_str(value).map_err(|error| format!("{key}: {error}"))?;
            entry.insert(key.into(), value);
            Ok(())
        })?;
        let field = |key: &str| entry.get(key).ok_or_else(|| format!("{key} is missing"));
        let dtype = field("dtype")?;
        let shape = numbers(field("shape")?).map_err(|fault| format!("shape{fault}"))?;
        if shape.len() > MAX_DIMENSIONS {
            return Err(format!("shape has {} dimensions, more than any tensor has", shape.len()));
        }
        let offsets = numbers(field("data_offsets")?).map_err(|fault| format!("data_offsets{fault}"))?;
        let [from, to] = offsets[..] else {
            return Err(format!("data_offsets has {} numbers, expected 2", offsets.len()));
        };
        if to < from {
            return Err(format!("data_offsets is [{from}, {to}], which ends before it begins"));
        }
        let known = Dtype::deserialize(dtype)
            .map_err(|_| format!("dtype is {}, which is no number format of safetensors", shown(dtype)));
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
    cut(&value.to_string(), LONGEST_VALUE)
}

/// Fails unless the metadata are words to words, or nothing.
pub(super) fn check_metadata(json: &str) -> Result<(), String> {
    let fault = |fault: String| format!("__metadata__: {fault}");
    if json == "null" {
        return Ok(());
    }
    if !json.starts_with('{') {
        return Err(fault(format!("it is {}, expected an object of strings", cut(json, LONGEST_VALUE))));
    }
    each_member(json, |key, value| match serde_json::from_str::<String>(value) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{} is {}, expected a string", cut(&key, LONGEST_NAME), cut(value, LONGEST_VALUE))),
    })
    .map_err(fault)
}
