//! Merges the layers of a small language model in a browser tab: MKA (arXiv 2406.16330) on
//! WebAssembly and WebGPU.
//!
//! The pipeline, in the order of a run:
//!
//! 1. [`checkpoint`] opens a model in Hugging Face layout by its headers; weights stay ranges of
//!    files.
//! 2. [`architecture`] describes its family: names, shapes, options. [`tokens`] turns text into
//!    windows of ids.
//! 3. [`transformer`] runs the windows through it, one block at a time, on an engine of
//!    [`compute`].
//! 4. [`calibration`] keeps the hidden states at chosen rows: the activation matrix of each layer.
//! 5. [`manifold`] embeds each matrix by a diffusion map; [`similarity`] measures how much any two
//!    layers share (NPIB), and the controls.
//! 6. [`merge`] selects pairs of layers, combines them, and repairs the gaps, with fits by
//!    [`regression`]; a recipe records it.
//! 7. [`evaluate`] measures what that cost: perplexity, KL divergence, top-1 agreement.
//! 8. [`checkpoint::write`] composes the smaller model's files out of ranges of the input.
//! 9. [`session`] is the one place that knows this order; the `web` module shows it to JavaScript.
//!
//! ARCHITECTURE.md lists which modules may use which.

pub mod architecture;
pub mod calibration;
pub mod checkpoint;
pub mod compute;
pub mod dtype;
pub mod error;
pub mod evaluate;
pub mod interface;
pub mod manifold;
pub mod merge;
pub mod platform;
pub mod regression;
pub mod session;
pub mod similarity;
pub mod task;
pub mod tokens;
pub mod transformer;
#[cfg(target_arch = "wasm32")]
pub mod web;
