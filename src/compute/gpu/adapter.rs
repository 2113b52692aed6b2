//! Finds a device, requests the largest buffers that it grants, and describes it in words. Must not
//! know the operations.

use crate::error::{Error, Result};

/// The largest buffer that is ever asked for: what a matrix may take, and far below what 32-bit
/// indices reach.
const LARGEST_BUFFER: u64 = 1 << 30;

/// Words in the names of software adapters: Chromium's, Mesa's and Microsoft's rasterisers.
const SOFTWARE: [&str; 5] = ["swiftshader", "llvmpipe", "lavapipe", "basic render", "warp"];

/// A device and what is known of it.
pub(super) struct Found {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// For the user, e.g. "NVIDIA Ampere".
    pub(super) name: String,
    /// True where the adapter is a program, not hardware.
    pub(super) software: bool,
}

/// The fastest adapter, with its own limits for buffers if it grants them.
pub(super) async fn find() -> Result<Found> {
    let refused = |reason: String| Error::NoWebGpu { reason };
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    let adapter =
        instance.request_adapter(&options).await.map_err(|error| refused(format!("there is no adapter ({error})")))?;
    let own = adapter.limits();
    let mut reason = String::new();
    for largest in [u64::MAX, LARGEST_BUFFER, wgpu::Limits::defaults().max_buffer_size] {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("mka-lab"),
            required_limits: limits(&own, largest),
            ..Default::default()
        };
        match adapter.request_device(&descriptor).await {
            Ok((device, queue)) => {
                let (name, software) = describe(&adapter, &device);
                return Ok(Found { device, queue, name, software });
            }
            Err(error) => reason = format!("the adapter gives no device ({error})"),
        }
    }
    Err(refused(reason))
}

/// The defaults of WebGPU, with buffers as large as the adapter has them, up to `largest`.
fn limits(own: &wgpu::Limits, largest: u64) -> wgpu::Limits {
    let defaults = wgpu::Limits::defaults().or_worse_values_from(own);
    wgpu::Limits {
        max_buffer_size: own.max_buffer_size.min(largest).max(defaults.max_buffer_size),
        max_storage_buffer_binding_size: own
            .max_storage_buffer_binding_size
            .min(largest)
            .max(defaults.max_storage_buffer_binding_size),
        ..defaults
    }
}

/// The most bytes that one buffer may have and be bound whole.
pub(super) fn largest_buffer(device: &wgpu::Device) -> u64 {
    let limits = device.limits();
    limits.max_buffer_size.min(limits.max_storage_buffer_binding_size).min(LARGEST_BUFFER)
}

#[cfg(not(target_arch = "wasm32"))]
fn describe(adapter: &wgpu::Adapter, _device: &wgpu::Device) -> (String, bool) {
    let info = adapter.get_info();
    let software = info.device_type == wgpu::DeviceType::Cpu || names_software(&info.name);
    (info.name, software)
}

/// wgpu hands on the description alone, which Chromium leaves empty; the other names are read from
/// JavaScript.
#[cfg(target_arch = "wasm32")]
fn describe(adapter: &wgpu::Adapter, device: &wgpu::Device) -> (String, bool) {
    use js_sys::Reflect;
    let info = device
        .as_webgpu()
        .and_then(|device| Reflect::get(device.as_ref(), &"adapterInfo".into()).ok())
        .unwrap_or_default();
    let text = |key: &str| {
        let value = Reflect::get(&info, &key.into()).ok();
        value.and_then(|value| value.as_string()).unwrap_or_default()
    };
    let (vendor, architecture) = (text("vendor"), text("architecture"));
    let description = adapter.get_info().name;
    let software = adapter.get_info().device_type == wgpu::DeviceType::Cpu
        || [&vendor, &architecture, &description].into_iter().any(|name| names_software(name));
    (in_words(&vendor, &architecture, &description), software)
}

fn names_software(name: &str) -> bool {
    let name = name.to_lowercase();
    SOFTWARE.iter().any(|word| name.contains(word))
}

/// The name for the user, from the identifiers that WebGPU gives ("google", "swiftshader").
#[cfg(any(target_arch = "wasm32", test))]
fn in_words(vendor: &str, architecture: &str, description: &str) -> String {
    const SPELLED: [(&str, &str); 4] =
        [("amd", "AMD"), ("arm", "Arm"), ("nvidia", "NVIDIA"), ("swiftshader", "SwiftShader")];
    let spell = |word: &str| match SPELLED.iter().find(|(id, _)| *id == word) {
        Some((_, name)) => (*name).to_owned(),
        None => {
            let mut letters = word.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string());
            first.unwrap_or_default() + letters.as_str()
        }
    };
    if !description.is_empty() {
        return description.to_owned();
    }
    let words: Vec<String> = [vendor, architecture].into_iter().filter(|word| !word.is_empty()).map(spell).collect();
    if words.is_empty() { "a GPU that the browser does not name".into() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_and_programs_are_known() {
        assert_eq!(in_words("google", "swiftshader", ""), "Google SwiftShader");
        assert_eq!(in_words("nvidia", "ampere", ""), "NVIDIA Ampere");
        assert_eq!(in_words("apple", "", ""), "Apple");
        assert_eq!(in_words("intel", "xe", "Intel Arc A770"), "Intel Arc A770");
        assert!(in_words("", "", "").contains("not name"));
        assert!(names_software("llvmpipe (LLVM 15.0.6, 256 bits)"));
        assert!(names_software("SwiftShader Device (Subzero)"));
        assert!(!names_software("AMD Radeon RX 7900"));
    }

    #[test]
    fn limits_are_never_below_the_defaults_nor_beyond_the_adapter() {
        let own = wgpu::Limits {
            max_buffer_size: 4 << 30,
            max_storage_buffer_binding_size: 2 << 30,
            ..wgpu::Limits::defaults()
        };
        let all = limits(&own, u64::MAX);
        assert_eq!((all.max_buffer_size, all.max_storage_buffer_binding_size), (4 << 30, 2 << 30));
        let capped = limits(&own, LARGEST_BUFFER);
        assert_eq!((capped.max_buffer_size, capped.max_storage_buffer_binding_size), (1 << 30, 1 << 30));
        assert_eq!(limits(&wgpu::Limits::defaults(), 0), wgpu::Limits::defaults());
    }
}
