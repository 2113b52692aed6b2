//! Short ways to say what the native tests say again and again: the CPU engine, waited for, and what must not fail.

use std::collections::BTreeMap;
use std::rc::Rc;

use mka_lab::error::Result;
use mka_lab::evaluate::Measured;
use mka_lab::interface::{CalibrateOptions, EvaluateOptions, Input, MergeOptions, RowsOption};
use mka_lab::session::{Calibration, Lab, Model};
use mka_lab::task::Task;
use pollster::block_on;

use super::{Files, TINYSTORIES, sources};

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
pub fn evaluate(model: &Model, input: Input) -> (Measured, Vec<String>) {
    let options = EvaluateOptions { input, window: Some(64), sequences: Some(4) };
    block_on(model.evaluate(&options, &Task::silent())).unwrap()
}

/// Pairs by hand.
pub fn pairs(pairs: &[(usize, usize)], combination: &str) -> MergeOptions {
    MergeOptions {
        selection: Some("manual".into()),
        pairs: Some(pairs.to_vec()),
        combination: Some(combination.into()),
        ..MergeOptions::default()
    }
}
