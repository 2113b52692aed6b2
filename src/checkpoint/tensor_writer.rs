//! New tensors on their way from whoever computes them to a source: small ones are parked in
//! memory, large ones become a Blob, which the browser keeps on disk when it likes. This module
//! must not know what the bytes mean.

use std::rc::Rc;

use super::source::{MemorySource, Source};
use crate::error::Result;
use crate::parked::{Meter, Parked};

/// From this many bytes on a new tensor is not kept in the page's memory. Blobs of small tensors
/// would cost more than they save: a Blob is freed when the garbage collector finds it, and it does
/// not hurry for small objects.
#[cfg(target_arch = "wasm32")]
const BLOB_BYTES: u64 = 16 << 20;

/// A tensor that is being written, from its first byte to its last.
pub struct TensorWriter {
    name: String,
    at: usize,
    place: Place,
}

enum Place {
    Parked(Parked),
    #[cfg(target_arch = "wasm32")]
    Blob(blob::Pieces),
}

impl TensorWriter {
    /// Room for `length` bytes; what is parked is counted by `meter`.
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`] when there is no room.
    pub fn new(name: impl Into<String>, length: u64, meter: &Meter) -> Result<Self> {
        #[cfg(target_arch = "wasm32")]
        if length >= BLOB_BYTES {
            return Ok(Self { name: name.into(), at: 0, place: Place::Blob(blob::Pieces::default()) });
        }
        Ok(Self { name: name.into(), at: 0, place: Place::Parked(Parked::zeros(length as usize, meter)?) })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`crate::error::Error::Storage`] when the browser does not take them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.place {
            Place::Parked(parked) => parked.write(self.at, bytes),
            #[cfg(target_arch = "wasm32")]
            Place::Blob(pieces) => pieces.push(&self.name, bytes)?,
        }
        self.at += bytes.len();
        Ok(())
    }

    /// The source of all that was written.
    ///
    /// # Errors
    /// As [`TensorWriter::push`].
    pub fn finish(self) -> Result<Source> {
        match self.place {
            Place::Parked(parked) => Ok(Rc::new(MemorySource::from_parked(self.name, parked))),
            #[cfg(target_arch = "wasm32")]
            Place::Blob(pieces) => Ok(Rc::new(pieces.finish(self.name)?)),
        }
    }
}

#[cfg(target_arch = "wasm32")]
pub use blob::BlobSource;

#[cfg(target_arch = "wasm32")]
mod blob {
    use std::any::Any;

    use js_sys::{Array, ArrayBuffer, Uint8Array};
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::Blob;

    use crate::checkpoint::source::{ByteSource, check_range};
    use crate::error::{Error, Pending, Result};
    use crate::parked::release;

    /// The pieces of a Blob in the making.
    #[derive(Default)]
    pub struct Pieces(Array);

    /// Bytes that the browser keeps.
    pub struct BlobSource {
        name: String,
        blob: Blob,
    }

    impl Pieces {
        /// Each piece is a Blob at once, so that its copy in memory can go.
        pub fn push(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
            let copy = Uint8Array::from(bytes);
            let piece = Blob::new_with_u8_array_sequence(&Array::of1(&copy));
            // The Blob has a copy of its own.
            release(&copy.buffer());
            let piece = piece.map_err(|thrown| failed(name, &thrown))?;
            self.0.push(&piece);
            Ok(())
        }

        pub fn finish(self, name: String) -> Result<BlobSource> {
            let blob = Blob::new_with_blob_sequence(&self.0).map_err(|thrown| failed(&name, &thrown))?;
            Ok(BlobSource { name, blob })
        }
    }

    impl BlobSource {
        /// The bytes `start..end` without reading them.
        ///
        /// # Errors
        /// [`Error::Storage`] when the browser does not give them.
        pub fn slice(&self, start: u64, end: u64) -> Result<Blob> {
            let slice = self.blob.slice_with_f64_and_f64(start as f64, end as f64);
            slice.map_err(|thrown| failed(&self.name, &thrown))
        }
    }

    impl ByteSource for BlobSource {
        fn name(&self) -> &str {
            &self.name
        }

        fn len(&self) -> u64 {
            self.blob.size() as u64
        }

        fn read(&self, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
            Box::pin(async move {
                check_range(self, offset, length)?;
                let slice = self.slice(offset, offset + length as u64)?;
                let buffer = JsFuture::from(slice.array_buffer()).await;
                let buffer: ArrayBuffer = buffer.map_err(|thrown| failed(&self.name, &thrown))?.unchecked_into();
                let bytes = Uint8Array::new(&buffer).to_vec();
                release(&buffer);
                if bytes.len() == length { Ok(bytes) } else { Err(failed(&self.name, &"it came back shorter".into())) }
            })
        }

        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    fn failed(name: &str, thrown: &JsValue) -> Error {
        let message = js_sys::Reflect::get(thrown, &"message".into()).ok().and_then(|message| message.as_string());
        let reason = message.or_else(|| thrown.as_string()).unwrap_or_else(|| "the browser did not say why".into());
        Error::Storage { file: name.into(), reason: format!("the browser could not keep the merged tensor: {reason}") }
    }
}
