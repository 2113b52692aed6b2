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
//! Open, calibrate, merge, measure, write, natively; in a browser the same calls come from
//! JavaScript:
//!
//! ```
//! use mka_lab::checkpoint::source::DiskSource;
//! use mka_lab::interface::{CalibrateOptions, EvaluateOptions, Input};
//! use mka_lab::merge::options::MergeOptions;
//! use mka_lab::session::Lab;
//! use mka_lab::task::Task;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # pollster::block_on(async {
//! let (task, lab) = (Task::silent(), Lab::create("cpu").await?);
//! let model = lab.open(&DiskSource::folder("www/public/models/demo".as_ref())?, &task).await?;
//! let text = |name| std::fs::read_to_string(format!("www/public/texts/{name}.txt"));
//!
//! let input = Input { text: Some(text("fables")?), ..Input::default() };
//! let (sequences, window) = (Some(2), Some(64));
//! let sample = CalibrateOptions { input, sequences, window, ..Default::default() };
//! let calibration = model.calibrate(&sample, &task).await?;
//! let (preset, remove) = (Some("mka".into()), Some(2));
//! let choices = MergeOptions { preset, remove, ..Default::default() };
//! let merged = model.merge(&choices, Some(&calibration), &task).await?;
//! assert_eq!(merged.summary().layers, model.summary().layers - 2);
//!
//! let input = Input { text: Some(text("drama")?), ..Input::default() };
//! let held_out = EvaluateOptions { input, sequences, window };
//! let (cost, _warnings) = merged.evaluate(&held_out, &task).await?;
//! assert!(cost.divergence.is_some_and(|cost| cost.kl > 0.0));
//!
//! let folder = std::env::temp_dir().join("mka-lab-example");
//! std::fs::create_dir_all(&folder)?;
//! for file in merged.files()? {
//!     std::fs::write(folder.join(&file.name), file.bytes().await?)?;
//! }
//! # Ok(())
//! # })
//! # }
//! ```
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
