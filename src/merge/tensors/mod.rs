//! From the state of a merge to tensors.
//!
//! New values are computed on the CPU in `f32`, products and sums apart and in ascending order of
//! the layers, and rounded once: one recipe gives the same bytes on every engine.

mod change;
mod gather;
mod merged_checkpoint;
mod merged_tensor;
mod parts;
mod weighted_sum;

pub use change::{ParentDistance, TensorChange};
pub use merged_checkpoint::{merged_checkpoint, mixed_kinds, moved_image_blocks, only_dropped, seconds_per_value};
pub use parts::folds_norm_of;
