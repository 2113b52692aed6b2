//! Files of which only the start is in memory and the rest is zeros, so that a test can claim any
//! length.

use std::any::Any;
use std::rc::Rc;

use mka_lab::checkpoint::source::{ByteSource, Source, SourceId, check_range};
use mka_lab::error::Pending;

/// A file of `length` bytes that begins with `start`.
pub fn sparse(name: &str, start: Vec<u8>, length: u64) -> Source {
    Rc::new(Sparse { id: SourceId::new(), name: name.into(), start, length })
}

/// A file of these bytes.
pub fn file(name: &str, bytes: impl Into<Vec<u8>>) -> Source {
    let bytes = bytes.into();
    let length = bytes.len() as u64;
    sparse(name, bytes, length)
}

/// A safetensors file of this header over so many bytes of data.
pub fn weights(name: &str, header: &[u8], data: u64) -> Source {
    let mut start = (header.len() as u64).to_le_bytes().to_vec();
    start.extend(header);
    let length = (start.len() as u64).saturating_add(data);
    sparse(name, start, length)
}

struct Sparse {
    id: SourceId,
    name: String,
    start: Vec<u8>,
    length: u64,
}

impl ByteSource for Sparse {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> SourceId {
        self.id
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn read(&self, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            check_range(self, offset, length)?;
            let mut out = vec![0; length];
            let there = self.start.get(offset.min(self.start.len() as u64) as usize..).unwrap_or(&[]);
            let count = there.len().min(length);
            out[..count].copy_from_slice(&there[..count]);
            Ok(out)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
