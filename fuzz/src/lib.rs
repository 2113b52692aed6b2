//! What the targets share: a run that takes too much memory ends, and files that are not there but
//! for their start.

#[path = "../../tests/support/allocations.rs"]
mod allocations;
#[path = "../../tests/support/sparse.rs"]
mod sparse;

use mka_lab::checkpoint::source::Source;

pub use sparse::file;

/// Bytes that a target may take for each byte of its input, and beside that.
const FACTOR: usize = 64;
const FLOOR: usize = 16 << 20;

/// Runs `job` on an input of `length` bytes; it may take [`FLOOR`] and [`FACTOR`] times as many.
pub fn bounded<T>(length: usize, job: impl FnOnce() -> T) -> T {
    allocations::measured(FLOOR + FACTOR * length, job).0
}

/// A safetensors file of a header, as long as its data have to be; of no data where that cannot be
/// told.
pub fn weights(name: &str, header: &[u8]) -> Source {
    let end = |entry: &serde_json::Value| entry.get("data_offsets")?.get(1)?.as_u64();
    let parsed: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(header).ok();
    let data = parsed.and_then(|entries| entries.values().filter_map(end).max()).unwrap_or(0);
    sparse::weights(name, header, data)
}
