//! The WebGPU engine against the CPU engine in a browser, in a worker, as the page runs it.
#![cfg(target_arch = "wasm32")]

mod gpu_support;

use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// One test for each body, each with an engine of its own.
macro_rules! in_browser {
    ($($name:ident),* $(,)?) => {
        $(
            #[wasm_bindgen_test]
            async fn $name() {
                gpu_support::$name(&gpu_support::gpu().await).await;
            }
        )*
    };
}

in_browser!(
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
