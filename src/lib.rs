//! Merges the layers of a small language model (MKA, arXiv 2406.16330).
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
pub mod parked;
pub mod session;
pub mod similarity;
pub mod task;
pub mod tokens;
pub mod transformer;
