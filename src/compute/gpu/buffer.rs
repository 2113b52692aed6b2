//! Buffers on the device: counted, and freed as soon as no recorded command needs them. Must not
//! know what is in them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::platform::off_heap::Held;

/// A storage buffer on the device. Dropping it frees the memory, at once or with the next
/// submission.
#[derive(Debug)]
pub struct DeviceBuffer {
    pub(super) buffer: wgpu::Buffer,
    /// The recording that used it last.
    used_in: Cell<u64>,
    deferred: Rc<DeferredDestroy>,
    _held: Held,
}

impl DeviceBuffer {
    pub(super) fn new(buffer: wgpu::Buffer, deferred: &Rc<DeferredDestroy>, held: Held) -> Self {
        Self { buffer, used_in: Cell::new(0), deferred: Rc::clone(deferred), _held: held }
    }

    /// Notes that a command which is recorded but not submitted reads or writes this buffer.
    pub(super) fn mark(&self) {
        self.used_in.set(self.deferred.recording.get());
    }

    /// True when a recorded command reads or writes the buffer.
    pub(super) fn is_in_flight(&self) -> bool {
        self.used_in.get() == self.deferred.recording.get()
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        // A destroyed buffer makes the submission of commands that name it fail. After the
        // submission destroying is safe: the device keeps the memory until it is done.
        if self.is_in_flight() {
            self.deferred.bytes.set(self.deferred.bytes.get() + self.buffer.size());
            self.deferred.buffers.borrow_mut().push(self.buffer.clone());
        } else {
            self.buffer.destroy();
        }
    }
}

/// Buffers that were dropped while commands that are recorded but not submitted need them:
/// destroyed after the submission.
#[derive(Debug)]
pub(super) struct DeferredDestroy {
    /// The number of the recording that is open now, from 1.
    recording: Cell<u64>,
    buffers: RefCell<Vec<wgpu::Buffer>>,
    bytes: Cell<u64>,
}

impl Default for DeferredDestroy {
    fn default() -> Self {
        Self { recording: Cell::new(1), buffers: RefCell::default(), bytes: Cell::new(0) }
    }
}

impl DeferredDestroy {
    /// Bytes that the next submission frees.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Destroys the buffers; to be called when the open recording has been submitted or dropped.
    pub(super) fn destroy_all(&self) {
        self.recording.set(self.recording.get() + 1);
        self.bytes.set(0);
        for buffer in self.buffers.borrow_mut().drain(..) {
            buffer.destroy();
        }
    }
}
