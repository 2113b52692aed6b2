//! A miniature of tests/fixtures, opened, for the tests of this module's parts.

use std::path::Path;
use std::rc::Rc;

use super::{Lab, Model};
use crate::checkpoint::source::{DiskSource, Source};
use crate::task::Task;

/// The miniature `name` on the CPU engine.
pub(super) fn open(name: &str) -> Rc<Model> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let is_needed = |file: &Source| ["config.json", "model.safetensors", "tokenizer.json"].contains(&file.name());
    let files: Vec<Source> = DiskSource::folder(&folder).unwrap().into_iter().filter(is_needed).collect();
    pollster::block_on(async {
        let lab = Lab::create("cpu").await.unwrap();
        lab.open(&files, &Task::silent()).await.unwrap()
    })
}
