//! New tensors on their way from whoever computes them to a source. Must not know what the bytes
//! mean, nor where they are kept.

use std::any::Any;
use std::rc::Rc;

use super::source::{ByteSource, Source, SourceId, check_range};
use crate::error::{Pending, Result};
use crate::platform::off_heap::Meter;
use crate::platform::written::{Writer, Written};

/// A tensor that is being written, from its first byte to its last.
pub struct TensorWriter(Writer);

/// A tensor that was written.
pub struct WrittenSource {
    id: SourceId,
    written: Written,
}

impl TensorWriter {
    /// Room for `length` bytes; what is kept in memory is counted by `meter`.
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`] when there is no room.
    pub fn new(name: impl Into<String>, length: u64, meter: &Meter) -> Result<Self> {
        Writer::new(name, length, meter).map(Self)
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`crate::error::Error::Storage`] when the browser does not take them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.push(bytes)
    }

    /// The source of all that was written.
    ///
    /// # Errors
    /// As [`TensorWriter::push`].
    pub fn finish(self) -> Result<Source> {
        Ok(Rc::new(WrittenSource { id: SourceId::new(), written: self.0.finish()? }))
    }
}

impl WrittenSource {
    /// What was written.
    pub fn written(&self) -> &Written {
        &self.written
    }
}

impl ByteSource for WrittenSource {
    fn name(&self) -> &str {
        self.written.name()
    }

    fn id(&self) -> SourceId {
        self.id
    }

    fn len(&self) -> u64 {
        self.written.len()
    }

    fn read(&self, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            check_range(self, offset, length)?;
            self.written.read(offset, length).await
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
