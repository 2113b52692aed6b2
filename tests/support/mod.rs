//! What the native integration tests share: where the fixtures are, and how a golden record is read.
#![allow(dead_code, reason = "every test file compiles its own copy and uses a part of it")]

use std::path::{Path, PathBuf};
use std::rc::Rc;

use mka_lab::checkpoint::source::{DiskSource, MemorySource, Source};
use mka_lab::parked::Meter;
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use pollster::block_on;
use safetensors::SafeTensors;

/// A file or folder under `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The folder of a built-in model.
pub fn model_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("www/public/models").join(name)
}

/// Opens a folder that must open.
pub fn open_folder(lab: &Rc<Lab>, folder: &Path) -> Rc<Model> {
    open(lab, &DiskSource::folder(folder).unwrap())
}

/// Opens files that must open.
pub fn open(lab: &Rc<Lab>, files: &[Source]) -> Rc<Model> {
    block_on(lab.open(files, &Task::silent())).unwrap_or_else(|error| panic!("{error}"))
}

/// Opens a folder with the file `config` in the place of its `config.json`.
pub fn open_with_config(lab: &Rc<Lab>, folder: &Path, config: &str) -> Rc<Model> {
    let mut files = DiskSource::folder(folder).unwrap();
    files.retain(|file| file.name() != "config.json");
    let bytes = std::fs::read(folder.join(config)).unwrap();
    files.push(Rc::new(MemorySource::new("config.json", &bytes, &Meter::default())));
    open(lab, &files)
}

/// A golden record.
pub struct Golden {
    /// Its figures.
    pub json: serde_json::Value,
    /// All token ids, window after window.
    pub ids: Vec<u32>,
    /// Number of windows.
    pub sequences: usize,
    /// Tokens of each.
    pub window: usize,
    /// The chosen rows, `(sequence, position)`.
    pub rows: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Golden {
    /// Reads the record of a model.
    pub fn read(name: &str) -> Self {
        let json = serde_json::from_slice(&std::fs::read(fixture(&format!("golden/{name}.json"))).unwrap()).unwrap();
        let bytes = std::fs::read(fixture(&format!("golden/{name}.safetensors"))).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let integers = |name: &str| bytemuck::pod_collect_to_vec::<u8, i32>(tensors.tensor(name).unwrap().data());
        let shape = tensors.tensor("input_ids").unwrap().shape().to_vec();
        let ids = integers("input_ids").into_iter().map(|id| id as u32).collect();
        let rows = integers("rows").chunks(2).map(|row| (row[0] as usize, row[1] as usize)).collect();
        Self { json, ids, sequences: shape[0], window: shape[1], rows, bytes: bytes.clone() }
    }

    /// A tensor of f32 or f64.
    pub fn floats(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap();
        match view.dtype() {
            safetensors::Dtype::F32 => {
                bytemuck::pod_collect_to_vec::<u8, f32>(view.data()).into_iter().map(f64::from).collect()
            }
            safetensors::Dtype::F64 => bytemuck::pod_collect_to_vec(view.data()),
            other => panic!("{name} is {other:?}"),
        }
    }
}

/// The pair and the alpha (none for a drop) of a line of `surgery`; none for lines with a repair.
pub fn surgery_line(line: &str, layers: usize) -> Option<((usize, usize), Option<f64>)> {
    if line.contains("repair") {
        return None;
    }
    if line == "drop last" {
        return Some(((layers - 2, layers - 1), None));
    }
    if let Some(gone) = line.strip_prefix("drop ") {
        let gone: usize = gone.parse().unwrap();
        return Some(((gone - 1, gone), None));
    }
    let (pair, alpha) = line.strip_prefix("average ")?.split_once(" alpha ")?;
    let (keep, gone) = pair.split_once(',')?;
    Some(((keep.parse().unwrap(), gone.parse().unwrap()), Some(alpha.parse().unwrap())))
}
