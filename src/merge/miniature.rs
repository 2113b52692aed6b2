//! A miniature of tests/fixtures, opened for the tests of this module's parts.

use std::path::Path;
use std::rc::Rc;

use super::choices::Norms;
use super::context::MergeContext;
use crate::architecture::describe;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::source::{DiskSource, Source};
use crate::compute::Compute;
use crate::compute::cpu::Cpu;
use crate::platform::off_heap::Meter;
use crate::transformer::{Transformer, WeightStore};

/// The miniature `name` on the CPU engine.
pub(super) fn open(name: &str, norms: Norms) -> MergeContext {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let is_needed = |file: &Source| ["config.json", "model.safetensors"].contains(&file.name());
    let files: Vec<Source> = DiskSource::folder(&folder).unwrap().into_iter().filter(is_needed).collect();
    let mut checkpoint = pollster::block_on(Checkpoint::open(&files)).unwrap();
    let description = describe(&mut checkpoint, None).unwrap().0;
    let engine: Rc<dyn Compute> = Rc::new(Cpu::default());
    let weights = Rc::new(WeightStore::new(engine.clone(), 512 << 20));
    let original = Transformer::new(engine, weights.clone(), Rc::new(checkpoint), description).unwrap();
    MergeContext { original, norms, weights, meter: Meter::default(), separators: Vec::new() }
}
