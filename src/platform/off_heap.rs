//! Bytes that wait outside the WebAssembly heap.
//!
//! WebAssembly memory never shrinks, so what is large and rarely touched (resident weights,
//! hidden-state streams) is kept in JavaScript ArrayBuffers and enters slice by slice. Natively it
//! is a plain vector. This module must not know what the bytes mean.

use std::cell::Cell;
use std::rc::Rc;

use sha2::{Digest, Sha256};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen::JsValue;

use crate::error::{Error, Result};

/// Counts the bytes that are held somewhere, and the most that were ever held at once.
#[derive(Debug, Clone, Default)]
pub struct Meter(Rc<(Cell<u64>, Cell<u64>)>);

impl Meter {
    /// Bytes held now.
    pub fn now(&self) -> u64 {
        self.0.0.get()
    }

    /// The largest value that [`Meter::now`] ever had.
    pub fn peak(&self) -> u64 {
        self.0.1.get()
    }

    /// Counts `bytes` as held until the answer is dropped.
    pub fn hold(&self, bytes: u64) -> Held {
        self.0.0.set(self.now() + bytes);
        self.0.1.set(self.peak().max(self.now()));
        Held { meter: self.clone(), bytes }
    }
}

/// A share of a [`Meter`]; given back on drop.
#[derive(Debug)]
pub struct Held {
    meter: Meter,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.0.0.set(self.meter.now().saturating_sub(self.bytes));
    }
}

/// A block of bytes of fixed length outside the WebAssembly heap.
pub struct OffHeapBuffer {
    #[cfg(target_arch = "wasm32")]
    bytes: js_sys::Uint8Array,
    #[cfg(not(target_arch = "wasm32"))]
    bytes: std::cell::RefCell<Vec<u8>>,
    _held: Held,
}

#[cfg(target_arch = "wasm32")]
impl OffHeapBuffer {
    /// `length` zero bytes, counted by `meter`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the browser refuses an array of this length.
    pub fn zeros(length: usize, meter: &Meter) -> Result<Self> {
        use wasm_bindgen::JsCast;
        // The constructor throws where there is no room; an exception that passes through wasm
        // would leave the call hanging.
        let array = js_sys::Reflect::get(&js_sys::global(), &"Uint8Array".into())
            .and_then(|class| class.dyn_into::<js_sys::Function>())
            .and_then(|class| js_sys::Reflect::construct(&class, &js_sys::Array::of1(&(length as f64).into())))
            .and_then(|array| array.dyn_into::<js_sys::Uint8Array>());
        let bytes = array.map_err(|_| no_room(length))?;
        Ok(Self { bytes, _held: meter.hold(length as u64) })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.length() as usize
    }

    /// Replaces the bytes from `at` on by `source`; what would lie beyond the end is ignored.
    pub fn write(&self, at: usize, source: &[u8]) {
        let end = (at + source.len()).min(self.len());
        if at < end {
            self.bytes.subarray(at as u32, end as u32).copy_from(&source[..end - at]);
        }
    }

    /// Copies bytes from `at` on into `target`; what would lie beyond the end is left alone.
    pub fn read(&self, at: usize, target: &mut [u8]) {
        let end = (at + target.len()).min(self.len());
        if at < end {
            self.bytes.subarray(at as u32, end as u32).copy_to(&mut target[..end - at]);
        }
    }
}

#[cfg(target_arch = "wasm32")]
impl Drop for OffHeapBuffer {
    fn drop(&mut self) {
        free(&self.bytes.buffer());
    }
}

/// Gives the memory of a buffer back at once, one that only JavaScript and WebAssembly have
/// touched. The garbage collector lets hundreds of megabytes of dead buffers stand before it comes.
#[cfg(target_arch = "wasm32")]
fn free(buffer: &js_sys::ArrayBuffer) {
    use wasm_bindgen::JsCast;
    let transfer = js_sys::Reflect::get(buffer, &"transfer".into());
    // An older browser has no such method: the buffer waits for the collector then.
    if let Some(transfer) = transfer.ok().and_then(|method| method.dyn_into::<js_sys::Function>().ok()) {
        let _ = transfer.call1(buffer, &0.into());
    }
}

/// Gives the memory of a buffer back soon, one that the browser has handled: read from a file, or
/// put into a Blob. In Chromium its own handle keeps the bytes alive, and `transfer` would only
/// strike them from the collector's count, which then comes later (1 GB of pieces of 2 MB left
/// 1,090 MB standing; untouched 600 MB; this way 320 MB). A clone that takes the bytes over is one
/// dead object that is counted.
#[cfg(target_arch = "wasm32")]
pub fn release(buffer: &js_sys::ArrayBuffer) {
    let options = js_sys::Object::new();
    let _ = js_sys::Reflect::set(&options, &"transfer".into(), &js_sys::Array::of1(buffer));
    // It fails only in a browser without such clones: the buffer waits for the collector then.
    let _ = structured_clone(buffer, &options);
}

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = structuredClone, catch)]
    fn structured_clone(value: &js_sys::ArrayBuffer, options: &js_sys::Object)
    -> std::result::Result<JsValue, JsValue>;
}

#[cfg(not(target_arch = "wasm32"))]
impl OffHeapBuffer {
    /// `length` zero bytes, counted by `meter`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when there is no room.
    pub fn zeros(length: usize, meter: &Meter) -> Result<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| no_room(length))?;
        bytes.resize(length, 0);
        Ok(Self { bytes: bytes.into(), _held: meter.hold(length as u64) })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.borrow().len()
    }

    /// Replaces the bytes from `at` on by `source`; what would lie beyond the end is ignored.
    pub fn write(&self, at: usize, source: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        let end = (at + source.len()).min(bytes.len());
        if at < end {
            bytes[at..end].copy_from_slice(&source[..end - at]);
        }
    }

    /// Copies bytes from `at` on into `target`; what would lie beyond the end is left alone.
    pub fn read(&self, at: usize, target: &mut [u8]) {
        let bytes = self.bytes.borrow();
        let end = (at + target.len()).min(bytes.len());
        if at < end {
            target[..end - at].copy_from_slice(&bytes[at..end]);
        }
    }
}

impl std::fmt::Debug for OffHeapBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

impl OffHeapBuffer {
    /// SHA-256 of the bytes.
    pub fn digest(&self) -> [u8; 32] {
        let (mut digest, mut piece) = (Sha256::new(), vec![0; self.len().min(1 << 20)]);
        for at in (0..self.len()).step_by(piece.len().max(1)) {
            let count = piece.len().min(self.len() - at);
            self.read(at, &mut piece[..count]);
            digest.update(&piece[..count]);
        }
        digest.finalize().into()
    }

    /// True when there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Parks a copy of `values`.
    ///
    /// # Errors
    /// As [`OffHeapBuffer::zeros`].
    pub fn from_f32(values: &[f32], meter: &Meter) -> Result<Self> {
        let buffer = Self::zeros(size_of_val(values), meter)?;
        buffer.write(0, bytemuck::cast_slice(values));
        Ok(buffer)
    }

    /// All values, back on the heap. Only for what [`OffHeapBuffer::from_f32`] made.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.len() / 4];
        self.read(0, bytemuck::cast_slice_mut(&mut values));
        values
    }
}

fn no_room(length: usize) -> Error {
    Error::OutOfMemory { what: format!("there is no room for another {} MiB", length.div_ceil(1 << 20)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_the_meter_counts() {
        let meter = Meter::default();
        {
            let buffer = OffHeapBuffer::from_f32(&[1.0, 2.0, 3.0], &meter).unwrap();
            assert_eq!(buffer.to_f32(), [1.0, 2.0, 3.0]);
            assert_eq!((meter.now(), buffer.len()), (12, 12));
            let mut tail = [9u8; 8];
            buffer.read(8, &mut tail);
            assert_eq!(tail, [0, 0, 64, 64, 9, 9, 9, 9], "a read past the end leaves the rest alone");
        }
        assert_eq!((meter.now(), meter.peak()), (0, 12));
    }
}
