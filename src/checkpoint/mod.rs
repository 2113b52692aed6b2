//! Bytes to tensors and back: opening a checkpoint in Hugging Face layout by its headers, and composing a new one out of ranges of it.
//!
//! Nothing is read but headers, configuration and tokenizer; weights are ranges of sources until somebody asks for them. This module must
//! not know what a tensor is for, nor anything of compute.

pub mod config;
pub mod content_hash;
pub mod fresh;
pub mod header;
pub mod kind;
pub mod read;
pub mod source;
pub mod write;

use indexmap::IndexMap;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use config::Config;
use content_hash::hex;
use header::{Header, read_header};
use source::{Source, read_small};

/// No `config.json` or index is larger than this, in bytes.
const MAX_JSON: u64 = 64 << 20;
/// No tokenizer file is larger than this, in bytes.
const MAX_TOKENIZER: u64 = 256 << 20;
/// A fingerprint takes this many samples of this many bytes of each weight file.
const SAMPLES: (u64, u64) = (16, 4096);
/// The weights when there is one file of them.
const SINGLE: &str = "model.safetensors";
/// The index when there are several.
const INDEX: &str = "model.safetensors.index.json";

/// A tensor as a range of a source.
#[derive(Clone)]
pub struct StoredTensor {
    /// The stored number format.
    pub dtype: safetensors::Dtype,
    /// Sizes of the dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Where the bytes are.
    pub source: Source,
    /// First byte in the source.
    pub start: u64,
    /// Number of bytes.
    pub bytes: u64,
}

/// An opened checkpoint.
#[derive(Clone)]
pub struct Checkpoint {
    /// The model's configuration.
    pub config: Config,
    /// Name to tensor, in the order of the files' data.
    pub tensors: IndexMap<String, StoredTensor>,
    /// The bytes of `tokenizer.json`, where there is one.
    pub tokenizer: Option<Vec<u8>>,
    /// What an export copies: everything at the top of the folder but weights, index, configuration and README.
    pub companions: Vec<Source>,
    /// SHA-256 over `config.json`, the headers, the lengths and samples of the weights: tells models
    /// apart without reading them whole. Recipes name their model by it. This is version 1, whose
    /// fingerprints are bare hexadecimal digits; a later one begins with its number and a colon.
    pub fingerprint: String,
}

#[derive(Deserialize)]
struct Index {
    weight_map: IndexMap<String, String>,
}

impl Checkpoint {
    /// Opens the files of one model.
    ///
    /// # Errors
    /// What is wrong with which file: [`Error::NotACheckpoint`], [`Error::MissingFile`], [`Error::BadHeader`], [`Error::BadIndex`],
    /// [`Error::BadConfig`], or what reading fails with.
    pub async fn open(files: &[Source]) -> Result<Self> {
        let find = |name: &str| files.iter().find(|file| file.name() == name);
        let weights = find_weights(files).await?;
        let config_file = find("config.json").ok_or_else(|| Error::MissingFile { file: "config.json".into() })?;
        kind::refuse_wrong_kind(config_file.as_ref()).await?;
        let config_bytes = read_small(config_file.as_ref(), MAX_JSON).await?;
        let config = Config::parse(&config_bytes)?;

        let mut digest = Sha256::new();
        digest.update(&config_bytes);
        let mut tensors = IndexMap::new();
        for (file, expected) in &weights {
            kind::refuse_wrong_kind(file.as_ref()).await?;
            let header = read_header(file.as_ref()).await?;
            sample(file, &header, &mut digest).await?;
            collect(file, header, expected.as_deref(), &mut tensors)?;
        }

        let tokenizer = match find("tokenizer.json") {
            Some(file) => {
                kind::refuse_wrong_kind(file.as_ref()).await?;
                Some(read_small(file.as_ref(), MAX_TOKENIZER).await?)
            }
            None => None,
        };
        let companions = files.iter().filter(|file| is_companion(file.name())).cloned().collect();
        let fingerprint = hex(&digest.finalize());
        Ok(Self { config, tensors, tokenizer, companions, fingerprint })
    }

    /// Bytes of all tensors together.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.bytes).sum()
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    /// [`Error::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&StoredTensor> {
        self.tensors.get(name).ok_or_else(|| Error::MissingTensor { tensor: name.into() })
    }
}

/// The weight files, each with the names that the index puts there (none without an index).
async fn find_weights(files: &[Source]) -> Result<Vec<(Source, Option<Vec<String>>)>> {
    let find = |name: &str| files.iter().find(|file| file.name() == name);
    if let Some(file) = find(SINGLE) {
        return Ok(vec![(file.clone(), None)]);
    }
    if let Some(index) = find(INDEX) {
        return sharded(index, files).await;
    }
    let named: Vec<&Source> = files.iter().filter(|file| file.name().ends_with(".safetensors")).collect();
    match named[..] {
        [one] if !one.name().contains("-of-") => Ok(vec![(one.clone(), None)]),
        [] => {
            // Say what was dropped instead of weights, if it is something well known.
            for file in files.iter().filter(|file| !file.name().ends_with(".json")) {
                kind::refuse_wrong_kind(file.as_ref()).await?;
            }
            Err(Error::MissingFile { file: SINGLE.into() })
        }
        _ => Err(Error::MissingFile { file: INDEX.into() }),
    }
}

/// Follows the index of a sharded checkpoint.
async fn sharded(index: &Source, files: &[Source]) -> Result<Vec<(Source, Option<Vec<String>>)>> {
    kind::refuse_wrong_kind(index.as_ref()).await?;
    let bad = |reason: String| Error::BadIndex { file: INDEX.into(), reason };
    let bytes = read_small(index.as_ref(), MAX_JSON).await?;
    let Index { weight_map } = serde_json::from_slice(&bytes).map_err(|e| bad(format!("it is not an index: {e}")))?;
    let mut shards: IndexMap<String, Vec<String>> = IndexMap::new();
    for (tensor, shard) in weight_map {
        if shard.contains(['/', '\\']) || shard.starts_with('.') || shard.is_empty() {
            return Err(bad(format!(
                "the tensor {tensor} is said to lie in {shard:?}, which is not a file of this folder"
            )));
        }
        shards.entry(shard).or_default().push(tensor);
    }
    if shards.is_empty() {
        return Err(bad("it names no tensor".into()));
    }
    let locate = |(shard, names): (String, Vec<String>)| {
        let file = files.iter().find(|file| file.name() == shard).cloned();
        file.map(|file| (file, Some(names))).ok_or(Error::MissingFile { file: shard })
    };
    shards.into_iter().map(locate).collect()
}

/// Adds the tensors of one file; with an index, exactly those that it names.
fn collect(
    file: &Source,
    header: Header,
    expected: Option<&[String]>,
    tensors: &mut IndexMap<String, StoredTensor>,
) -> Result<()> {
    if let Some(name) = expected.and_then(|names| names.iter().find(|name| !header.tensors.contains_key(*name))) {
        let reason = format!("it says that the tensor {name} lies in {}, where it is not", file.name());
        return Err(Error::BadIndex { file: INDEX.into(), reason });
    }
    let listed = expected.map(|names| names.iter().map(String::as_str).collect::<std::collections::HashSet<_>>());
    for (name, entry) in header.tensors {
        if listed.as_ref().is_none_or(|names| names.contains(name.as_str())) {
            let tensor = StoredTensor {
                dtype: entry.dtype,
                shape: entry.shape,
                source: file.clone(),
                start: entry.start,
                bytes: entry.bytes,
            };
            tensors.insert(name, tensor);
        }
    }
    Ok(())
}

/// Adds a weight file to the fingerprint.
async fn sample(file: &Source, header: &Header, digest: &mut Sha256) -> Result<()> {
    digest.update(&header.raw);
    digest.update(file.len().to_le_bytes());
    let (count, size) = SAMPLES;
    let start = header.raw.len() as u64;
    let room = file.len() - start;
    for i in 0..count {
        let at = start + room / count * i;
        digest.update(file.read(at, size.min(file.len() - at) as usize).await?);
    }
    Ok(())
}

/// Whether an export copies this file.
fn is_companion(name: &str) -> bool {
    let weights = [".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".index.json"];
    let rewritten = ["config.json", "README.md", "recipe.json", "mka-files.json"];
    !name.contains('/')
        && !name.starts_with('.')
        && !rewritten.contains(&name)
        && !weights.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests;
