//! Bytes to tensors and back: opening a checkpoint in Hugging Face layout by its headers, and
//! composing a new one out of ranges of it.
//!
//! Nothing is read but headers, configuration and tokenizer; weights are ranges of sources until
//! somebody asks for them. This module must not know what a tensor is for, nor anything of compute.

pub mod config;
pub mod content_hash;
pub mod end_tokens;
pub mod file_type;
pub mod float8;
pub mod header;
mod layout;
pub mod members;
pub mod read;
pub mod source;
pub mod tensor_writer;
mod text;
pub mod write;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use config::Config;
use content_hash::hex;
use header::{Header, MAX_TENSORS, read_header, too_many};
use members::{LONGEST_NAME, LONGEST_VALUE, cut, each_of_different};
use source::{Source, read_small};

/// No `config.json` is larger than this, in bytes: as values it takes sixteen times as much.
const MAX_CONFIG: u64 = 4 << 20;
/// No index is larger than this, in bytes.
const MAX_INDEX: u64 = 32 << 20;
/// No tokenizer file is larger than this, in bytes.
const MAX_TOKENIZER: u64 = 64 << 20;
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
    /// Tensors that an index lists and no file has: name to the file that it says. Often nothing
    /// needs them.
    pub unfounded: IndexMap<String, String>,
    /// The bytes of `tokenizer.json`, where there is one.
    pub tokenizer: Option<Vec<u8>>,
    /// What an export copies: everything at the top of the folder but weights, index, configuration
    /// and README.
    pub companions: Vec<Source>,
    /// SHA-256 over `config.json`, the headers, the lengths and samples of the weights: tells
    /// models apart without reading them whole. Recipes name their model by it. This is version 1,
    /// whose fingerprints are bare hexadecimal digits; a later one begins with its number and a
    /// colon.
    pub fingerprint: String,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Index<'j> {
    #[serde(borrow)]
    weight_map: &'j RawValue,
}

impl Checkpoint {
    /// Opens the files of one model.
    ///
    /// # Errors
    /// What is wrong with which file: [`Error::NotACheckpoint`], [`Error::MissingFile`],
    /// [`Error::BadHeader`], [`Error::BadIndex`], [`Error::BadConfig`], or what reading fails with.
    pub async fn open(files: &[Source]) -> Result<Self> {
        let files = &layout::checkpoint_files(files)?[..];
        let find = |name: &str| files.iter().find(|file| file.name() == name);
        let weights = find_weights(files).await?;
        let config_file = find("config.json").ok_or_else(|| Error::MissingFile { file: "config.json".into() })?;
        file_type::refuse_other_types(config_file.as_ref()).await?;
        let config_bytes = read_small(config_file.as_ref(), MAX_CONFIG).await?;
        let config = Config::parse(&config_bytes)?;

        let mut digest = Sha256::new();
        digest.update(&config_bytes);
        let mut tensors = IndexMap::new();
        let mut unfounded = IndexMap::new();
        for (file, listed) in &weights {
            file_type::refuse_other_types(file.as_ref()).await?;
            let header = read_header(file.as_ref()).await?;
            sample(file, &header, &mut digest).await?;
            let missing = listed.iter().filter(|name| !header.tensors.contains_key(*name));
            unfounded.extend(missing.map(|name| (name.clone(), file.name().to_string())));
            collect(file, header, &mut tensors)?;
        }

        let tokenizer = match find("tokenizer.json") {
            Some(file) => {
                file_type::refuse_other_types(file.as_ref()).await?;
                Some(read_small(file.as_ref(), MAX_TOKENIZER).await?)
            }
            None => None,
        };
        let companions = files.iter().filter(|file| is_companion(file.name())).cloned().collect();
        let fingerprint = hex(&digest.finalize());
        let mut warnings = Vec::new();
        if files.iter().any(|file| layout::is_adapter(file.name())) {
            warnings.push(
                "An adapter (LoRA) lies beside the model. It is not applied: merge it first if you mean it.".into(),
            );
        }
        Ok(Self { config, tensors, unfounded, tokenizer, companions, fingerprint, warnings })
    }

    /// Bytes of all tensors together.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.bytes).sum()
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], or [`Error::BadIndex`] where an index says where it should be.
    pub fn tensor(&self, name: &str) -> Result<&StoredTensor> {
        self.tensors.get(name).ok_or_else(|| match self.unfounded.get(name) {
            None => Error::MissingTensor { tensor: name.into() },
            Some(file) => Error::BadIndex {
                file: INDEX.into(),
                reason: format!("it says that the tensor {name} lies in {file}, where it is not"),
            },
        })
    }
}

/// The weight files, each with the names that the index puts there (none without an index).
async fn find_weights(files: &[Source]) -> Result<Vec<(Source, Vec<String>)>> {
    let find = |name: &str| files.iter().find(|file| file.name() == name);
    if let Some(file) = find(SINGLE) {
        return Ok(vec![(file.clone(), Vec::new())]);
    }
    if let Some(index) = find(INDEX) {
        return sharded(index, files).await;
    }
    let counts = |name: &str| name.ends_with(".safetensors") && !name.contains('/') && !layout::is_adapter(name);
    let named: Vec<&Source> = files.iter().filter(|file| counts(file.name())).collect();
    match named[..] {
        [one] if !one.name().contains("-of-") || one.name().contains("-00001-of-00001.") => {
            Ok(vec![(one.clone(), Vec::new())])
        }
        [] => {
            // Say what was dropped instead of weights, if it is something well known.
            for file in files.iter().filter(|file| !file.name().ends_with(".json")) {
                file_type::refuse_other_types(file.as_ref()).await?;
            }
            Err(Error::MissingFile { file: SINGLE.into() })
        }
        _ => Err(Error::MissingFile { file: INDEX.into() }),
    }
}

/// Follows the index of a sharded checkpoint.
async fn sharded(index: &Source, files: &[Source]) -> Result<Vec<(Source, Vec<String>)>> {
    file_type::refuse_other_types(index.as_ref()).await?;
    let bad = |reason: String| Error::BadIndex { file: INDEX.into(), reason };
    let bytes = read_small(index.as_ref(), MAX_INDEX).await?;
    let json = text::utf8(&bytes).map_err(bad)?;
    let Index { weight_map } = serde_json::from_str(json).map_err(|e| bad(format!("it is not an index: {e}")))?;
    let mut shards: IndexMap<String, Vec<String>> = IndexMap::new();
    let mut count = 0;
    each_of_different(weight_map.get(), |tensor, file| {
        let shown = cut(tensor, LONGEST_NAME);
        let shard: String = serde_json::from_str(file)
            .map_err(|_| format!("the file of the tensor {shown} is {}, expected a name", cut(file, LONGEST_VALUE)))?;
        if shard.contains(['/', '\\', '\0']) || shard.starts_with('.') || shard.is_empty() {
            let shard = cut(&shard, LONGEST_NAME);
            return Err(format!("the tensor {shown} is said to lie in {shard:?}, which is not a file of this folder"));
        }
        count += 1;
        if count > MAX_TENSORS {
            return Err(too_many());
        }
        shards.entry(shard).or_default().push(tensor.into());
        Ok(())
    })
    .map_err(|fault| bad(format!("weight_map: {fault}")))?;
    if shards.is_empty() {
        return Err(bad("it names no tensor".into()));
    }
    let locate = |(shard, names): (String, Vec<String>)| {
        let file = files.iter().find(|file| file.name() == shard).cloned();
        file.map(|file| (file, names)).ok_or(Error::MissingFile { file: shard })
    };
    shards.into_iter().map(locate).collect()
}

/// Adds the tensors of one file: all of them, as transformers does, whether an index lists them or
/// not.
fn collect(file: &Source, header: Header, tensors: &mut IndexMap<String, StoredTensor>) -> Result<()> {
    if tensors.len() + header.tensors.len() > MAX_TENSORS {
        return Err(Error::BadIndex { file: INDEX.into(), reason: too_many() });
    }
    for (name, entry) in header.tensors {
        if let Some(other) = tensors.get(&name) {
            let name = cut(&name, LONGEST_NAME);
            let reason = format!("the tensor {name} lies in {} and in {}", other.source.name(), file.name());
            return Err(Error::BadIndex { file: INDEX.into(), reason });
        }
        let tensor = StoredTensor {
            dtype: entry.dtype,
            shape: entry.shape,
            source: file.clone(),
            start: entry.start,
            bytes: entry.bytes,
        };
        tensors.insert(name, tensor);
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
        && !layout::is_litter(name)
        && !layout::is_adapter(name)
        && !rewritten.contains(&name)
        && !weights.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod properties;
#[cfg(test)]
mod tests;
