//! The WebGPU engine against the CPU engine on native Vulkan.
#![cfg(not(target_arch = "wasm32"))]

mod gpu_support;

/// One test for each body, each with an engine of its own.
macro_rules! on_vulkan {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                pollster::block_on(async { gpu_support::$name(&gpu_support::gpu().await).await });
            }
        )*
    };
}

on_vulkan!(
    products,
    many_rows,
    decoding,
    norms_gates_and_sums,
    soft_caps,
    rotation,
    attention,
    statistics,
    rows_and_copies,
    transposes,
    fits,
    order,
    memory,
    limits,
);
