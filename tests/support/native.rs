//! Short ways to say what the native tests say again and again: the CPU engine, waited for, and
//! what must not fail.

use std::collections::BTreeMap;
use std::rc::Rc;

use mka_lab::calibration::Calibration;
use mka_lab::error::Result;
use mka_lab::evaluate::Evaluation;
use mka_lab::interface::{CalibrateOptions, EvaluateOptions, Input, RowsOption};
use mka_lab::merge::choices::{Combination, Selection};
use mka_lab::merge::options::MergeOptions;
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use pollster::block_on;
use safetensors::SafeTensors;

use super::{Files, TINYSTORIES, content, oracle, source, sources};

/// The CPU engine.
pub fn lab() -> Rc<Lab> {
    block_on(super::lab("cpu"))
}

/// Opens files that must open.
pub fn open(lab: &Rc<Lab>, files: &Files) -> Rc<Model> {
    block_on(super::open(lab, &sources(files)))
}

/// A text as input.
pub fn text(text: &str) -> Input {
    Input { text: Some(text.into()), ..Input::default() }
}

/// A small calibration on the held-out text.
pub fn calibrate(model: &Model) -> Calibration {
    let options = CalibrateOptions {
        input: text(TINYSTORIES),
        sequences: Some(4),
        window: Some(64),
        rows: Some(RowsOption::Count(128)),
        ..CalibrateOptions::default()
    };
    block_on(model.calibrate(&options, &Task::silent())).unwrap()
}

/// Merges.
pub fn merge(model: &Rc<Model>, options: &MergeOptions, calibration: Option<&Calibration>) -> Result<Rc<Model>> {
    block_on(model.merge(options, calibration, &Task::silent()))
}

/// All files of a merged model.
pub fn export(model: &Model) -> BTreeMap<String, Vec<u8>> {
    model.files().unwrap().iter().map(|file| (file.name.clone(), block_on(file.bytes()).unwrap())).collect()
}

/// Measures on four windows of 64 tokens.
pub fn evaluate(model: &Model, input: Input) -> (Evaluation, Vec<String>) {
    let options = EvaluateOptions { input, window: Some(64), sequences: Some(4) };
    block_on(model.evaluate(&options, &Task::silent())).unwrap()
}

/// Pairs by hand.
pub fn pairs(pairs: &[(usize, usize)], combination: Combination) -> MergeOptions {
    MergeOptions {
        selection: Some(Selection::Manual),
        pairs: Some(pairs.to_vec()),
        combination: Some(combination),
        ..MergeOptions::default()
    }
}

/// The token ids of a miniature's record.
pub fn reference_ids(files: &Files) -> Vec<u32> {
    oracle::ids(&serde_json::from_slice(content(files, "reference.json")).unwrap())
}

/// The loss of a model on ids; of a merged one its own, not that of its original.
pub fn loss(model: &Model, ids: &[u32]) -> f64 {
    block_on(oracle::loss(model, ids)).unwrap()
}

/// The logits after the last of some ids.
pub fn logits(model: &Model, ids: &[u32]) -> Vec<f64> {
    block_on(oracle::logits(model, ids)).unwrap()
}

/// Opens what was exported.
pub fn reopened(lab: &Rc<Lab>, files: &BTreeMap<String, Vec<u8>>) -> Rc<Model> {
    let files: Vec<_> = files.iter().map(|(name, bytes)| source(name, bytes)).collect();
    block_on(super::open(lab, &files))
}

/// A calibration of a miniature: all rows of the ids in three windows.
pub fn small(model: &Model, ids: &[u32]) -> Calibration {
    let options = CalibrateOptions {
        input: oracle::input(ids),
        sequences: Some(3),
        window: Some(ids.len() / 3),
        rows: Some(RowsOption::Word("all".into())),
        skip: Some(1),
        ..CalibrateOptions::default()
    };
    block_on(model.calibrate(&options, &Task::silent())).unwrap()
}

/// The model's files with each tensor changed by `change`, all in f32.
pub fn changed(files: &Files, change: impl Fn(&str, Vec<f32>, &dyn Fn(&str) -> Vec<f32>) -> Vec<f32>) -> Files {
    let bytes = content(files, "model.safetensors");
    let read = SafeTensors::deserialize(bytes).unwrap();
    let values = |name: &str| bytemuck::pod_collect_to_vec::<u8, f32>(read.tensor(name).unwrap().data());
    let mut new = bytes.to_vec();
    let (length, metadata) = SafeTensors::read_metadata(bytes).unwrap();
    for name in read.names() {
        let (from, to) = metadata.info(name).unwrap().data_offsets;
        let changed = change(name, values(name), &values);
        new[8 + length + from..8 + length + to].copy_from_slice(bytemuck::cast_slice(&changed));
    }
    let new: &'static [u8] = Box::leak(new.into_boxed_slice());
    files.iter().map(|(name, old)| (*name, if *name == "model.safetensors" { new } else { old })).collect()
}
