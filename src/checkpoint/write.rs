//! Composing files out of ranges of the input around the few bytes that are new.

use indexmap::IndexMap;
use serde::Serialize;

use super::source::Source;
use super::{INDEX, SINGLE, StoredTensor};
use crate::error::{Error, Result};

/// A piece of an output file.
pub enum Segment {
    /// New bytes.
    Bytes(Vec<u8>),
    /// The bytes `start..end` of a source, unchanged.
    Range {
        /// Where they are.
        source: Source,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
}

/// A file to be written: its segments, one after the other.
pub struct OutputFile {
    /// Its name inside the folder.
    pub name: String,
    /// Its content.
    pub segments: Vec<Segment>,
}

impl OutputFile {
    /// A file of new bytes.
    pub fn text(name: &str, content: String) -> Self {
        Self { name: name.into(), segments: vec![Segment::Bytes(content.into_bytes())] }
    }

    /// A copy of a source.
    pub fn copy(source: &Source) -> Self {
        Self {
            name: source.name().into(),
            segments: vec![Segment::Range { source: source.clone(), start: 0, end: source.len() }],
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        let length = |segment: &Segment| match segment {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::Range { start, end, .. } => end - start,
        };
        self.segments.iter().map(length).sum()
    }

    /// True when the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes at once. For small files and for tests.
    ///
    /// # Errors
    /// What reading the sources fails with.
    pub async fn bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Bytes(bytes) => out.extend_from_slice(bytes),
                Segment::Range { source, start, end } => out.extend(source.read(*start, (end - start) as usize).await?),
            }
        }
        Ok(out)
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    dtype: safetensors::Dtype,
    shape: &'a [u64],
    data_offsets: (u64, u64),
}

#[derive(Serialize)]
struct Metadata {
    format: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Metadata(Metadata),
    Tensor(Entry<'a>),
}

#[derive(Serialize)]
struct Index<'a> {
    metadata: TotalSize,
    weight_map: IndexMap<&'a str, String>,
}

#[derive(Serialize)]
struct TotalSize {
    total_size: u64,
}

/// The weight files of these tensors: `model.safetensors`, or, where that would have more than
/// `limit` bytes of data, shards of at most so many and their index. A tensor is never cut: one
/// that is larger has a shard of its own.
///
/// # Errors
/// [`Error::BadHeader`] when a header or the index cannot be written.
pub fn weight_files(tensors: &IndexMap<String, StoredTensor>, limit: u64) -> Result<Vec<OutputFile>> {
    let mut shards: Vec<IndexMap<String, StoredTensor>> = vec![IndexMap::new()];
    let mut filled = 0;
    for (name, tensor) in tensors {
        if filled > 0 && filled + tensor.bytes > limit {
            shards.push(IndexMap::new());
            filled = 0;
        }
        filled += tensor.bytes;
        if let Some(shard) = shards.last_mut() {
            shard.insert(name.clone(), tensor.clone());
        }
    }
    if let [only] = &shards[..] {
        return Ok(vec![safetensors_file(SINGLE, only)?]);
    }
    let name = |number: usize| format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
    let mut files = Vec::new();
    let mut weight_map = IndexMap::new();
    for (number, shard) in shards.iter().enumerate() {
        weight_map.extend(shard.keys().map(|tensor| (tensor.as_str(), name(number))));
        files.push(safetensors_file(&name(number), shard)?);
    }
    let total_size = tensors.values().map(|tensor| tensor.bytes).sum();
    let index = serde_json::to_string_pretty(&Index { metadata: TotalSize { total_size }, weight_map })
        .map_err(|e| Error::BadHeader { file: INDEX.into(), reason: e.to_string() })?;
    files.push(OutputFile::text(INDEX, index + "\n"));
    Ok(files)
}

/// A safetensors file of these tensors, in this order, with the metadata `format: pt` that
/// transformers asks for.
///
/// # Errors
/// [`Error::BadHeader`] when the header cannot be written.
pub fn safetensors_file(name: &str, tensors: &IndexMap<String, StoredTensor>) -> Result<OutputFile> {
    let mut items = IndexMap::new();
    items.insert("__metadata__", Item::Metadata(Metadata { format: "pt" }));
    let mut end = 0;
    for (name, tensor) in tensors {
        let data_offsets = (end, end + tensor.bytes);
        items.insert(name, Item::Tensor(Entry { dtype: tensor.dtype, shape: &tensor.shape, data_offsets }));
        end = data_offsets.1;
    }
    let mut json =
        serde_json::to_vec(&items).map_err(|e| Error::BadHeader { file: name.into(), reason: e.to_string() })?;
    // The format wants the data aligned to 8 bytes; spaces may follow the JSON.
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut start = (json.len() as u64).to_le_bytes().to_vec();
    start.extend(json);
    let mut segments = vec![Segment::Bytes(start)];
    for tensor in tensors.values().filter(|tensor| tensor.bytes > 0) {
        let tensor_end = tensor.start + tensor.bytes;
        match segments.last_mut() {
            // Neighbours in the input stay one range.
            Some(Segment::Range { source, end, .. })
                if std::rc::Rc::ptr_eq(source, &tensor.source) && *end == tensor.start =>
            {
                *end = tensor_end;
            }
            _ => segments.push(Segment::Range { source: tensor.source.clone(), start: tensor.start, end: tensor_end }),
        }
    }
    Ok(OutputFile { name: name.into(), segments })
}
