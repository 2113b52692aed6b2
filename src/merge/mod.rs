//! Which layers are removed, what their survivors become, and the record of it.
//!
//! Four choices are independent ([`choices`]): [`select`] names the next pair, [`combine`] proposes
//! what the survivor becomes, [`repair`] mends the gap, norms are folded or kept. [`greedy`] goes
//! from pair to pair; [`state`] is what has become of the blocks, [`tensors`] makes a checkpoint of
//! it, and a [`recipe::Recipe`] is the record, enough to do it again. All of it works on a
//! [`context::MergeContext`]: the original model, and what it takes to build another one from it.
//! This module must not know sessions, files of a run, or the web.

pub mod choices;
pub mod combine;
pub mod context;
pub mod greedy;
#[cfg(test)]
mod miniature;
pub mod options;
pub mod plan;
pub mod presets;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod properties;
pub mod recipe;
pub mod repair;
pub mod select;
pub mod state;
pub mod tensors;

#[cfg(test)]
mod tests;
