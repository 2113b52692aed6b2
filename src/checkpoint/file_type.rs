//! What a file is when it is not what it should be: told by its first bytes.

use super::source::ByteSource;
use crate::error::{Error, Result};

const PICKLE_HINT: &str =
    "Take the model.safetensors of the same model, or convert it: load it in transformers and call save_pretrained.";
const LFS_HINT: &str = "This is a placeholder that git leaves; fetch the real file with `git lfs pull`, or download it from the model's page.";
const HTML_HINT: &str = "The download saved a web page, often a log-in or error page; download the file itself.";
const GGUF_HINT: &str = "GGUF files are quantised for other programs; take the original model in safetensors.";
const ZIP_HINT: &str =
    "Unpack it and drop the folder. If it is a PyTorch file (.bin, .pt), take the model.safetensors instead.";
const EMPTY_HINT: &str = "The download stopped before it began; download the file again.";

/// What the file is, in words, with what to do about it, when its first bytes tell that it is a
/// well-known other thing.
pub async fn file_type(source: &dyn ByteSource) -> Result<Option<Error>> {
    let start = source.read(0, source.len().min(64) as usize).await?;
    let trimmed = start.trim_ascii_start().to_ascii_lowercase();
    let (found, hint) = match &start[..] {
        [] => ("the file is empty", EMPTY_HINT),
        [b'P', b'K', 3 | 5, ..] => ("this is a zip archive, as PyTorch's .bin and .pt files are", ZIP_HINT),
        [0x80, 2..=5, ..] => ("this is a Python pickle, which may run any program when it is loaded", PICKLE_HINT),
        [b'G', b'G', b'U', b'F', ..] => ("this is a GGUF file", GGUF_HINT),
        _ if start.starts_with(b"version https://git-lfs") => {
            ("this is a Git LFS pointer, not the file itself", LFS_HINT)
        }
        _ if trimmed.starts_with(b"<!doctype") || trimmed.starts_with(b"<html") => {
            ("this is a web page (HTML)", HTML_HINT)
        }
        _ => return Ok(None),
    };
    Ok(Some(Error::NotACheckpoint { file: source.name().into(), found: found.into(), hint }))
}

/// Fails when the file is a well-known other thing.
pub async fn refuse_other_types(source: &dyn ByteSource) -> Result<()> {
    file_type(source).await?.map_or(Ok(()), Err)
}
