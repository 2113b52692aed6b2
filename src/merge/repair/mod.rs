//! What is done about the gap that a removed layer leaves: one file for each repair, and what fits
//! of blocks share. The caller ([`super::greedy`]) asks the one that the plan names; [`replay`]
//! does again what a recipe says.

mod activation_cache;
mod file;
pub mod fit_targets;
pub mod linear;
pub mod mlp_input_map;
pub mod refit;
pub mod replay;
pub mod scale;

pub use activation_cache::MOST_KEPT;
pub use file::{FILE, read_repairs, repair_file};
