//! Bytes that are written once, from the first to the last, and read many times: few of them in an
//! off-heap buffer, many in a Blob, which the browser keeps on disk when it likes. Must not know
//! what the bytes mean.

use super::off_heap::{Meter, OffHeapBuffer};
use crate::error::Result;

/// From this many bytes on they are not kept in the page's memory. Blobs of few bytes would cost
/// more than they save: a Blob is freed when the garbage collector finds it, and it does not hurry
/// for small objects.
#[cfg(target_arch = "wasm32")]
const BLOB_BYTES: u64 = 16 << 20;

/// Bytes on their way.
pub struct Writer {
    name: String,
    at: usize,
    place: Place<OffHeapBuffer, Pieces>,
}

/// Bytes that are all there.
pub struct Written {
    name: String,
    place: Place<OffHeapBuffer, Whole>,
}

enum Place<Buffer, Blob> {
    Buffer(Buffer),
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "natively there are no Blobs"))]
    Blob(Blob),
}

#[cfg(target_arch = "wasm32")]
use blob::{Pieces, Whole};

/// Natively there are no Blobs.
#[cfg(not(target_arch = "wasm32"))]
type Pieces = std::convert::Infallible;
#[cfg(not(target_arch = "wasm32"))]
type Whole = std::convert::Infallible;

impl Writer {
    /// Room for `length` bytes; what lies in a buffer is counted by `meter`. `name` stands in
    /// errors.
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`] when there is no room.
    pub fn new(name: impl Into<String>, length: u64, meter: &Meter) -> Result<Self> {
        let name = name.into();
        #[cfg(target_arch = "wasm32")]
        if length >= BLOB_BYTES {
            return Ok(Self { name, at: 0, place: Place::Blob(Pieces::default()) });
        }
        Ok(Self { name, at: 0, place: Place::Buffer(OffHeapBuffer::zeros(length as usize, meter)?) })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`crate::error::Error::Storage`] when the browser does not take them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.place {
            Place::Buffer(buffer) => buffer.write(self.at, bytes),
            #[cfg(target_arch = "wasm32")]
            Place::Blob(pieces) => pieces.push(&self.name, bytes)?,
            #[cfg(not(target_arch = "wasm32"))]
            Place::Blob(never) => match *never {},
        }
        self.at += bytes.len();
        Ok(())
    }

    /// All that was written.
    ///
    /// # Errors
    /// As [`Writer::push`].
    pub fn finish(self) -> Result<Written> {
        let place = match self.place {
            Place::Buffer(buffer) => Place::Buffer(buffer),
            #[cfg(target_arch = "wasm32")]
            Place::Blob(pieces) => Place::Blob(pieces.finish(&self.name)?),
            #[cfg(not(target_arch = "wasm32"))]
            Place::Blob(never) => match never {},
        };
        Ok(Written { name: self.name, place })
    }
}

impl Written {
    /// The name that errors have.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match &self.place {
            Place::Buffer(buffer) => buffer.len() as u64,
            #[cfg(target_arch = "wasm32")]
            Place::Blob(whole) => whole.len(),
            #[cfg(not(target_arch = "wasm32"))]
            Place::Blob(never) => match *never {},
        }
    }

    /// True when there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `length` bytes from `offset` on, which are there.
    ///
    /// # Errors
    /// [`crate::error::Error::Storage`] when the browser does not give them.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        match &self.place {
            Place::Buffer(buffer) => {
                let mut bytes = vec![0; length];
                buffer.read(offset as usize, &mut bytes);
                Ok(bytes)
            }
            #[cfg(target_arch = "wasm32")]
            Place::Blob(whole) => whole.read(&self.name, offset, length).await,
            #[cfg(not(target_arch = "wasm32"))]
            Place::Blob(never) => match *never {},
        }
    }

    /// The bytes `start..end` as a Blob, without reading them; none where they are in a buffer.
    ///
    /// # Errors
    /// [`crate::error::Error::Storage`] when the browser does not give them.
    #[cfg(target_arch = "wasm32")]
    pub fn blob(&self, start: u64, end: u64) -> Result<Option<web_sys::Blob>> {
        match &self.place {
            Place::Buffer(_) => Ok(None),
            Place::Blob(whole) => whole.slice(&self.name, start, end).map(Some),
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod blob {
    use js_sys::{Array, ArrayBuffer, Uint8Array};
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::Blob;

    use crate::error::{Error, Result};
    use crate::platform::off_heap::release;

    /// The pieces of a Blob in the making.
    #[derive(Default)]
    pub struct Pieces(Array);

    /// A Blob.
    pub struct Whole(Blob);

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

        pub fn finish(self, name: &str) -> Result<Whole> {
            Blob::new_with_blob_sequence(&self.0).map(Whole).map_err(|thrown| failed(name, &thrown))
        }
    }

    impl Whole {
        pub fn len(&self) -> u64 {
            self.0.size() as u64
        }

        pub fn slice(&self, name: &str, start: u64, end: u64) -> Result<Blob> {
            self.0.slice_with_f64_and_f64(start as f64, end as f64).map_err(|thrown| failed(name, &thrown))
        }

        pub async fn read(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
            let slice = self.slice(name, offset, offset + length as u64)?;
            let buffer = JsFuture::from(slice.array_buffer()).await;
            let buffer: ArrayBuffer = buffer.map_err(|thrown| failed(name, &thrown))?.unchecked_into();
            let bytes = Uint8Array::new(&buffer).to_vec();
            release(&buffer);
            if bytes.len() == length { Ok(bytes) } else { Err(failed(name, &"it came back shorter".into())) }
        }
    }

    fn failed(name: &str, thrown: &JsValue) -> Error {
        let message = js_sys::Reflect::get(thrown, &"message".into()).ok().and_then(|message| message.as_string());
        let reason = message.or_else(|| thrown.as_string()).unwrap_or_else(|| "the browser did not say why".into());
        Error::Storage { file: name.into(), reason: format!("the browser could not keep the merged tensor: {reason}") }
    }
}
