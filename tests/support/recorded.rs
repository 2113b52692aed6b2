//! Recipes of an earlier version, in `tests/fixtures/recipes`, and how a model is opened and hashed
//! for them. `examples/record_recipes.rs` writes them, `tests/recipes.rs` replays them. Must not
//! know how a merge is chosen.
#![allow(dead_code, reason = "a test and an example compile their own copies, and each uses a part of it")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mka_lab::checkpoint::source::{MemorySource, Source};
use mka_lab::platform::off_heap::Meter;
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use pollster::block_on;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is said in a test or example that cannot go on.
pub type Done<T> = Result<T, Box<dyn Error>>;

/// `exported.json` of a recorded recipe.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// The folder of the model, below the repository's root.
    pub model: String,
    /// SHA-256, hexadecimal, of every exported file by its name.
    pub sha256: BTreeMap<String, String>,
}

/// The folder with one folder per recorded recipe.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recipes")
}

/// Opens the model in a folder below the repository's root, whole: configuration, weights,
/// tokenizer.
pub fn open(lab: &Rc<Lab>, folder: &str) -> Done<Rc<Model>> {
    let mut files: Vec<Source> = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !["reference.json", "config.v4.json"].contains(&name) {
            files.push(Rc::new(MemorySource::new(name, &fs::read(&path)?, &Meter::default())?));
        }
    }
    // In the order of their names, as a file dialogue gives them, and not in that of the disk.
    files.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(block_on(lab.open(&files, &Task::silent()))?)
}

/// All exported files of a merged model.
pub fn files(model: &Model) -> Done<BTreeMap<String, Vec<u8>>> {
    model.files()?.iter().map(|file| Ok((file.name.clone(), block_on(file.bytes())?))).collect()
}

/// SHA-256, hexadecimal, of each of some files.
pub fn sha256(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    let hash = |bytes: &Vec<u8>| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    files.iter().map(|(name, bytes)| (name.clone(), hash(bytes))).collect()
}
