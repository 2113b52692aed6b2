//! Failures of the device in a browser. The device is caught on its way to the engine, and made to fail from outside.

use js_sys::Function;
use mka_lab::compute::Compute;
use mka_lab::compute::gpu::Gpu;
use wasm_bindgen_test::wasm_bindgen_test;

/// Runs a script, in which `device` is the one that was made last.
fn script(body: &str) {
    Function::new_no_args(body).call0(&js_sys::global()).unwrap();
}

/// An engine, with its device in the global `device`.
async fn gpu() -> Gpu {
    script(
        "if (globalThis.device === undefined) {
             const request = GPUAdapter.prototype.requestDevice;
             GPUAdapter.prototype.requestDevice = async function (descriptor) {
                 return globalThis.device = await request.call(this, descriptor);
             };
         }",
    );
    Gpu::create().await.unwrap()
}

/// The code of the error that the next reading gives.
async fn next_error(gpu: &Gpu) -> Option<&'static str> {
    let value = gpu.upload(1, &[7.0]).map_err(|error| error.code());
    match value {
        Ok(value) => gpu.read(&value).await.err().map(|error| error.code()),
        Err(code) => Some(code),
    }
}

#[wasm_bindgen_test]
async fn a_refused_command_is_reported_once() {
    let gpu = gpu().await;
    script("device.createBuffer({ size: 16, usage: 0xffffff })");
    assert_eq!(next_error(&gpu).await, Some("device-lost"));
    assert_eq!(next_error(&gpu).await, None);
}

#[wasm_bindgen_test]
async fn full_memory_and_internal_errors_are_told_apart() {
    let gpu = gpu().await;
    for (class, code) in [("GPUOutOfMemoryError", "out-of-memory"), ("GPUInternalError", "device-lost")] {
        script(&format!(
            "device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', {{ error: new {class}('a test') }}))"
        ));
        assert_eq!(next_error(&gpu).await, Some(code), "{class}");
        assert_eq!(next_error(&gpu).await, None, "{class}");
    }
}

#[wasm_bindgen_test]
async fn a_lost_device_stays_lost() {
    let gpu = gpu().await;
    assert_eq!(next_error(&gpu).await, None);
    script("device.destroy()");
    assert_eq!(next_error(&gpu).await, Some("device-lost"));
    assert_eq!(gpu.yield_now().await.unwrap_err().code(), "device-lost");
    assert_eq!(next_error(&gpu).await, Some("device-lost"));
}
