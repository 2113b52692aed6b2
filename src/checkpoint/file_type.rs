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
    if begins_with_a_header(&start, source.len()) {
        return Ok(None);
    }
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

/// Whether a header of safetensors may follow the first eight bytes, its length: that of one in two
/// thousand looks like the start of a pickle, and some like that of an archive.
fn begins_with_a_header(start: &[u8], length: u64) -> bool {
    let header = start.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    header.is_some_and(|header| header <= length - 8) && start.get(8) == Some(&b'{')
}

/// Fails when the file is a well-known other thing.
pub async fn refuse_other_types(source: &dyn ByteSource) -> Result<()> {
    file_type(source).await?.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::source::MemorySource;
    use crate::platform::off_heap::Meter;

    #[test]
    fn a_header_as_long_as_a_pickle_or_an_archive_begins_is_a_header() {
        for length in [0x0280u64, 0x0380, 0x0480, 0x0580, 0x03_4b50, 0x05_4b50] {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.push(b'{');
            let told = |bytes: &[u8]| {
                let source = MemorySource::new("model.safetensors", bytes, &Meter::default()).unwrap();
                pollster::block_on(file_type(&source)).unwrap()
            };
            assert!(told(&bytes).is_some(), "a file that ends before its header would");
            bytes.resize(8 + length as usize, b' ');
            assert_eq!(told(&bytes), None, "{length}");
        }
    }
}
