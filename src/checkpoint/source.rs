//! Where bytes come from: a file on disk, a `File` of the browser, a range of a URL, memory.

use std::any::Any;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Pending, Result};
use crate::platform::off_heap::{Meter, OffHeapBuffer};

/// Tells a source from every other one for as long as the program runs: an address would be taken
/// again when the source is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId(u64);

impl SourceId {
    /// One that no other source has.
    #[expect(clippy::new_without_default, reason = "a default would suggest that all defaults are equal")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A named run of bytes that is read by range. It is never read whole unless it is small.
pub trait ByteSource {
    /// Path inside the model's folder, with `/` between its parts.
    fn name(&self) -> &str;

    /// What tells it from every other source.
    fn id(&self) -> SourceId;

    /// Length in bytes.
    fn len(&self) -> u64;

    /// True when there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Storage`] or [`Error::Network`] when they cannot be had.
    fn read(&self, offset: u64, length: usize) -> Pending<'_, Vec<u8>>;

    /// The concrete type, for whoever made it.
    fn as_any(&self) -> &dyn Any;
}

/// A source that many tensors share.
pub type Source = Rc<dyn ByteSource>;

/// Reads all of a source that must be small, such as a configuration.
///
/// # Errors
/// [`Error::Storage`] when it has more than `limit` bytes; nothing is allocated then.
pub async fn read_small(source: &dyn ByteSource, limit: u64) -> Result<Vec<u8>> {
    if source.len() > limit {
        let reason = format!("has {} bytes, more than the {limit} that such a file may have", source.len());
        return Err(Error::Storage { file: source.name().into(), reason });
    }
    source.read(0, source.len() as usize).await
}

/// Bytes in memory, outside the WebAssembly heap.
#[derive(Debug)]
pub struct MemorySource {
    id: SourceId,
    name: String,
    bytes: OffHeapBuffer,
}

impl MemorySource {
    /// Keeps a copy of `bytes`, counted by `meter`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when there is no room.
    pub fn new(name: impl Into<String>, bytes: &[u8], meter: &Meter) -> Result<Self> {
        let buffer = OffHeapBuffer::zeros(bytes.len(), meter)?;
        buffer.write(0, bytes);
        Ok(Self::from_off_heap(name, buffer))
    }

    /// Takes bytes that are off the heap already.
    pub fn from_off_heap(name: impl Into<String>, bytes: OffHeapBuffer) -> Self {
        Self { id: SourceId::new(), name: name.into(), bytes }
    }
}

impl ByteSource for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> SourceId {
        self.id
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            check_range(self, offset, length)?;
            let mut out = vec![0; length];
            self.bytes.read(offset as usize, &mut out);
            Ok(out)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A source under another name, such as that of a file by its path inside a model's folder.
pub struct Renamed {
    name: String,
    source: Source,
}

impl Renamed {
    /// Gives `source` the name `name`.
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        Self { name: name.into(), source }
    }
}

impl ByteSource for Renamed {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> SourceId {
        self.source.id()
    }

    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read(&self, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
        self.source.read(offset, length)
    }

    fn as_any(&self) -> &dyn Any {
        self.source.as_any()
    }
}

/// How many folders inside one another are looked into; a link may lead back to where it lies.
#[cfg(not(target_arch = "wasm32"))]
const FOLDERS_DEEP: usize = 4;

/// A file on disk.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub struct DiskSource {
    id: SourceId,
    name: String,
    path: std::path::PathBuf,
    length: u64,
}

#[cfg(not(target_arch = "wasm32"))]
impl DiskSource {
    /// All files of a folder and of the folders inside, named by their path in it.
    ///
    /// # Errors
    /// [`Error::Storage`] when a folder cannot be listed.
    pub fn folder(path: &std::path::Path) -> Result<Vec<Source>> {
        let mut sources: Vec<Source> = Vec::new();
        Self::list(path, "", FOLDERS_DEEP, &mut sources)?;
        Ok(sources)
    }

    fn list(path: &std::path::Path, prefix: &str, deep: usize, sources: &mut Vec<Source>) -> Result<()> {
        let fail = |e: std::io::Error| Error::Storage { file: path.display().to_string(), reason: e.to_string() };
        let mut entries = std::fs::read_dir(path).map_err(fail)?.collect::<std::io::Result<Vec<_>>>().map_err(fail)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            // A link to nowhere is nobody's file.
            let Ok(metadata) = entry.path().metadata() else { continue };
            if metadata.is_file() {
                sources.push(Rc::new(Self { id: SourceId::new(), name, path: entry.path(), length: metadata.len() }));
            } else if metadata.is_dir() && deep > 0 {
                Self::list(&entry.path(), &format!("{name}/"), deep - 1, sources)?;
            }
        }
        Ok(())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl ByteSource for DiskSource {
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
        use std::io::{Read, Seek, SeekFrom};
        Box::pin(async move {
            check_range(self, offset, length)?;
            let read = || -> std::io::Result<Vec<u8>> {
                let mut file = std::fs::File::open(&self.path)?;
                file.seek(SeekFrom::Start(offset))?;
                let mut out = vec![0; length];
                file.read_exact(&mut out)?;
                Ok(out)
            };
            read().map_err(|e| Error::Storage { file: self.name.clone(), reason: e.to_string() })
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Fails unless the range lies inside the source.
pub fn check_range(source: &dyn ByteSource, offset: u64, length: usize) -> Result<()> {
    if offset.checked_add(length as u64).is_some_and(|end| end <= source.len()) {
        return Ok(());
    }
    let reason =
        format!("bytes {offset} to {} were asked for, it has {}", offset.saturating_add(length as u64), source.len());
    Err(Error::Storage { file: source.name().into(), reason })
}
