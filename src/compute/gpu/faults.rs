//! Faults of the device, set by its callbacks and kept until a call can report them. Must not know
//! the operations.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// The faults of one device. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Option<Fault>>>);

/// Something that went wrong, worst last.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// A command was refused or failed; a mistake in this module or in the driver.
    Refused(String),
    /// A buffer could not be had.
    Memory,
    /// The device is lost for good.
    Lost(String),
}

impl Fault {
    fn weight(&self) -> u8 {
        match self {
            Self::Refused(_) => 0,
            Self::Memory => 1,
            Self::Lost(_) => 2,
        }
    }

    /// The error that the user sees.
    pub(super) fn error(self) -> Error {
        match self {
            Self::Memory => Error::OutOfMemory { what: "the GPU has no room for another buffer".into() },
            Self::Refused(reason) => Error::DeviceLost { reason: format!("it refused a command: {reason}") },
            Self::Lost(reason) => Error::DeviceLost { reason },
        }
    }
}

impl Faults {
    /// Keeps `fault` unless a worse one, or an earlier one as bad, is known: what follows is mostly
    /// its consequence.
    pub(super) fn report(&self, fault: Fault) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|known| known.weight() < fault.weight()) {
            *known = Some(fault);
        }
    }

    /// The fault that is known now.
    pub(super) fn known(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error of a device that is gone: the only fault that operations report at once.
    pub(super) fn lost(&self) -> Option<Error> {
        self.known().filter(|fault| matches!(fault, Fault::Lost(_))).map(Fault::error)
    }

    /// Forgets all but a lost device.
    pub(super) fn clear(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.take_if(|fault| !matches!(fault, Fault::Lost(_)));
    }

    /// Listens to the device. wgpu's own handler panics natively; on the web its conversion panics
    /// at internal errors.
    pub(super) fn listen(&self, device: &wgpu::Device) {
        let lost = self.clone();
        device.set_device_lost_callback(move |_, message| {
            let reason = if message.is_empty() { "the browser or the driver gave no reason".into() } else { message };
            lost.report(Fault::Lost(reason));
        });
        self.listen_to_errors(device);
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn listen_to_errors(&self, device: &wgpu::Device) {
        let faults = self.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            faults.report(match error {
                wgpu::Error::OutOfMemory { .. } => Fault::Memory,
                wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                    Fault::Refused(description)
                }
            });
        }));
    }

    #[cfg(target_arch = "wasm32")]
    fn listen_to_errors(&self, device: &wgpu::Device) {
        use js_sys::Reflect;
        use wasm_bindgen::{JsValue, closure::Closure};
        let faults = self.clone();
        let handler = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
            let error = Reflect::get(&event, &"error".into()).unwrap_or_default();
            let kind = Reflect::get(&error, &"constructor".into())
                .and_then(|class| Reflect::get(&class, &"name".into()))
                .unwrap_or_default();
            let message = Reflect::get(&error, &"message".into()).unwrap_or_default();
            faults.report(if kind.as_string().as_deref() == Some("GPUOutOfMemoryError") {
                Fault::Memory
            } else {
                Fault::Refused(message.as_string().unwrap_or_default())
            });
        });
        if let Some(device) = device.as_webgpu() {
            // Setting a property of a live object does not fail.
            let _ = Reflect::set(device.as_ref(), &"onuncapturederror".into(), &handler.into_js_value());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_fault_is_kept_and_a_lost_device_stays_lost() {
        let faults = Faults::default();
        faults.report(Fault::Memory);
        faults.report(Fault::Refused("an invalid buffer".into()));
        assert_eq!(faults.known(), Some(Fault::Memory));
        assert_eq!(faults.lost(), None);
        faults.clear();
        assert_eq!(faults.known(), None);
        faults.report(Fault::Lost("unplugged".into()));
        faults.clear();
        assert_eq!(faults.lost().map(|error| error.code()), Some("device-lost"));
    }
}
