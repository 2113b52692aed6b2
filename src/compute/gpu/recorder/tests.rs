//! What happens when the device fails; the operations themselves are tested against the CPU engine
//! in `tests/`.

use super::*;
use crate::compute::gpu::Gpu;
use crate::compute::{Compute, Tensor};

fn gpu() -> Gpu {
    pollster::block_on(Gpu::create()).unwrap()
}

fn pace(gpu: &Gpu) -> Option<&'static str> {
    pollster::block_on(gpu.yield_now()).err().map(|error| error.code())
}

fn read(gpu: &Gpu, tensor: &Tensor) -> Result<Vec<f32>> {
    pollster::block_on(gpu.read(tensor))
}

#[test]
fn a_refused_command_is_reported_once_and_the_engine_goes_on() {
    let gpu = gpu();
    let (small, large) = (gpu.zeros(1, 4).unwrap(), gpu.zeros(1, 100).unwrap());
    gpu.recorder.copy(large.device().unwrap(), small.device().unwrap(), 0, 400).unwrap();
    assert_eq!(read(&gpu, &small).unwrap_err().code(), "device-lost");
    let mut sum = gpu.upload(1, &[1.0; 4]).unwrap();
    gpu.add(&mut sum, 1.0, &small).unwrap();
    assert_eq!(read(&gpu, &sum).unwrap(), [1.0; 4]);
    assert_eq!(pace(&gpu), None);
}

#[test]
fn full_memory_is_reported_once_with_what_was_recorded_dropped() {
    let gpu = gpu();
    let mut sum = gpu.upload(1, &[1.0; 4]).unwrap();
    let one = gpu.upload(1, &[1.0; 4]).unwrap();
    assert_eq!(pace(&gpu), None);
    gpu.add(&mut sum, 1.0, &one).unwrap();
    gpu.recorder.faults.report(Fault::Memory);
    gpu.recorder.faults.report(Fault::Refused("an invalid buffer".into()));
    gpu.add(&mut sum, 1.0, &one).unwrap();
    assert_eq!(pace(&gpu), Some("out-of-memory"));
    assert_eq!(pace(&gpu), None);
    gpu.add(&mut sum, 1.0, &one).unwrap();
    let found = read(&gpu, &sum).unwrap();
    assert!(found == [2.0; 4] || found == [4.0; 4], "{found:?}: commands are dropped whole or not at all");
}

#[test]
fn a_lost_device_is_an_error_of_every_call_and_nothing_hangs() {
    let gpu = gpu();
    let mut tensor = gpu.upload(1, &[1.0; 4]).unwrap();
    let other = gpu.upload(1, &[1.0; 4]).unwrap();
    gpu.add(&mut tensor, 1.0, &other).unwrap();
    gpu.recorder.device.destroy();
    assert_eq!(read(&gpu, &tensor).unwrap_err().code(), "device-lost");
    for _ in 0..3 {
        assert_eq!(pace(&gpu), Some("device-lost"));
        assert_eq!(gpu.add(&mut tensor, 1.0, &other).unwrap_err().code(), "device-lost");
        assert_eq!(gpu.zeros(1, 1).unwrap_err().code(), "device-lost");
        assert_eq!(read(&gpu, &tensor).unwrap_err().code(), "device-lost");
    }
}

#[test]
fn tensors_outlive_their_engine() {
    let gpu = gpu();
    let mut sum = gpu.upload(1, &[1.0; 4]).unwrap();
    let recorded = gpu.upload(1, &[1.0; 4]).unwrap();
    gpu.add(&mut sum, 1.0, &recorded).unwrap();
    drop(gpu);
    drop((sum, recorded));
}
