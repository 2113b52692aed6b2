//! All integration tests, in one binary: linking the crate with its dependencies costs as much as
//! many of the tests.
//!
//! Natively all modules but `gpu_faults` run. In a browser, in a dedicated worker as on the page,
//! those run whose code differs there: kernels through the browser's compiler, the CPU engine on
//! WebAssembly's SIMD, every family. `#[ignore]` marks what only the full run has (`--
//! --include-ignored`, in both places), with its reason.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod cpu_products;
mod families;
mod golden_runs;
mod gpu_engine;
mod gpu_operations;

#[cfg(not(target_arch = "wasm32"))]
mod cases;
#[cfg(not(target_arch = "wasm32"))]
mod combinations;
#[cfg(not(target_arch = "wasm32"))]
mod factors;
#[cfg(not(target_arch = "wasm32"))]
mod families_table;
#[cfg(not(target_arch = "wasm32"))]
mod float8;
#[cfg(not(target_arch = "wasm32"))]
mod golden_similarity;
#[cfg(not(target_arch = "wasm32"))]
mod known_issues;
#[cfg(not(target_arch = "wasm32"))]
mod lineup;
#[cfg(not(target_arch = "wasm32"))]
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod merging;
#[cfg(not(target_arch = "wasm32"))]
mod methods;
#[cfg(not(target_arch = "wasm32"))]
mod recipes;
#[cfg(not(target_arch = "wasm32"))]
mod session;
#[cfg(not(target_arch = "wasm32"))]
mod wrappers;

#[cfg(target_arch = "wasm32")]
mod gpu_faults;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);
