//! The header of a safetensors file, checked under all rules of the format before anything is
//! believed.
//!
//! A file is `u64 n`, n bytes of JSON, data. The `safetensors` crate checks the same, but its
//! offsets are `usize`: on wasm32 they end at 4 GiB, and a checkpoint may be larger. Its [`Dtype`]
//! is used; its parser is the oracle of this one in the tests.

mod entry;

use indexmap::IndexMap;
use safetensors::Dtype;

use super::members::{LONGEST_NAME, cut, each_of_different};
use super::source::ByteSource;
use crate::error::{Error, Result};
use entry::{RawEntry, check_metadata};

/// The format's own limit of a header, in bytes.
const MAX_HEADER: u64 = 100_000_000;
/// Beyond this many bytes a header would take more memory than a page has to give.
const LONGEST_HEADER: u64 = 32 << 20;
/// No model has so many tensors.
pub(super) const MAX_TENSORS: usize = 200_000;

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

/// What is said of more tensors than [`MAX_TENSORS`].
pub(super) fn too_many() -> String {
    format!("it lists more than {MAX_TENSORS} tensors, more than any model has")
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

/// Checks the JSON of a header over `data` bytes; the answer's offsets count from the start of the
/// data.
fn parse_header(json: &[u8], data: u64) -> Result<Vec<(String, HeaderEntry)>, String> {
    if json.first() != Some(&b'{') {
        return Err("it does not begin with {".into());
    }
    let text = std::str::from_utf8(json).map_err(|e| format!("it is not UTF-8: {e}"))?;
    let mut entries: Vec<(String, RawEntry)> = Vec::new();
    each_of_different(text, |key, value| {
        match key {
            "__metadata__" => check_metadata(value)?,
            _ if entries.len() == MAX_TENSORS => return Err(too_many()),
            _ => entries.push((key.into(), RawEntry::read(key, value)?)),
        }
        Ok(())
    })?;
    // Empty tensors share their offset with the next one, so they must come first.
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut end = 0;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, RawEntry { dtype, shape, data_offsets: (from, to) }) in entries {
        let fault = |words: String| Err(format!("{}: {words}", cut(&name, LONGEST_NAME)));
        if from != end {
            return fault(format!(
                "data_offsets is [{from}, {to}], expected from {end} on: there is a hole or an overlap"
            ));
        }
        let bits = shape.iter().try_fold(dtype.bitsize() as u64, |product, size| product.checked_mul(*size));
        let bytes = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
        let Some(bytes) = bytes else {
            return fault(format!("the size of its shape {shape:?} overflows or is no whole number of bytes"));
        };
        if bytes != to - from {
            return fault(format!(
                "data_offsets spans {} bytes, its shape {shape:?} of {dtype:?} asks for {bytes}",
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
mod tests;
