//! The WebGPU engine.

/// A buffer on the device.
#[derive(Debug)]
pub struct DeviceBuffer;
