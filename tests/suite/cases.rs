//! Folders of models with the cause of one public bug report of another tool each, on both engines:
//! what transformers computes of them, or a refusal that names the cause.
//! `tests/fixtures/cases/README.md` says what is in them.

use std::path::{Path, PathBuf};
use std::time::Instant;

use mka_lab::checkpoint::source::Source;
use mka_lab::error::{Error, Result};
use mka_lab::interface::{EvaluateOptions, Input};
use mka_lab::merge::choices::{Alpha, Combination};
use mka_lab::merge::options::MergeOptions;
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use pollster::block_on;
use serde::Deserialize;
use serde_json::Value;

/// What should happen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expect {
    expect: String,
    must_mention: Vec<String>,
    loss: Option<f64>,
    text: String,
    /// The text is so many of it, one after the other, cut after `characters`.
    repeat: Option<usize>,
    characters: Option<usize>,
    kind: String,
}

impl Expect {
    fn whole_text(&self) -> String {
        let characters = self.characters.unwrap_or(usize::MAX);
        self.text.repeat(self.repeat.unwrap_or(1)).chars().take(characters).collect()
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The bytes of a tensor of a file, or all of a file that has no tensors.
fn part(path: &str, tensor: &str) -> Vec<u8> {
    match (path, tensor) {
        ("", _) => Vec::new(),
        (_, "") => bytes(path),
        _ => {
            let file = bytes(path);
            let (length, metadata) = safetensors::SafeTensors::read_metadata(&file).unwrap();
            let (from, to) = metadata.info(tensor).unwrap().data_offsets;
            file[8 + length + from..8 + length + to].to_vec()
        }
    }
}

/// A file of a case: a copy of a fixture, or weights of which each tensor lies in one.
fn unpacked(place: &Value) -> Vec<u8> {
    if let Some(path) = place.as_str() {
        return bytes(path);
    }
    let header = place["header"].as_str().unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    for entry in place["data"].as_array().unwrap() {
        file.extend(part(entry[0].as_str().unwrap(), entry[1].as_str().unwrap()));
    }
    file
}

fn case(name: &str) -> (Expect, Vec<Source>) {
    let read = |file: &str| bytes(&format!("cases/{name}/{file}"));
    let listed: Value = serde_json::from_slice(&read("files.json")).unwrap();
    let files = listed.as_object().unwrap().iter();
    let files = files.map(|(path, place)| crate::support::source(path, &unpacked(place))).collect();
    (serde_json::from_slice(&read("expect.json")).unwrap(), files)
}

/// The loss over the first 64 ids of the text, no special token added.
fn loss(model: &Model, text: &str) -> Result<f64> {
    let task = Task::silent();
    let measure = |input: Input, window: usize| {
        let options = EvaluateOptions { input, window: Some(window), sequences: Some(1) };
        block_on(model.evaluate(&options, &task)).map(|(measured, _)| measured.dense.nll)
    };
    match measure(crate::support::native::text(text), 64) {
        Err(Error::BadArgument { argument: "text", .. }) => {
            let (ids, _) = block_on(model.logits(&crate::support::native::text(text), &task))?;
            let window = ids.len();
            measure(crate::support::oracle::input(&ids), window)
        }
        measured => measured,
    }
}

/// What is not as it should be.
fn fault(lab: &std::rc::Rc<Lab>, backend: &str, name: &str) -> Option<String> {
    let (expect, files) = case(name);
    if expect.kind != "model" {
        return None;
    }
    let begun = Instant::now();
    let opened = block_on(lab.open(&files, &Task::silent()));
    let opening = begun.elapsed().as_secs_f64();
    if opening > 20.0 {
        return Some(format!("{name}: opening takes {opening:.0} s"));
    }
    match (opened.and_then(|model| loss(&model, &expect.whole_text())), expect.expect.as_str()) {
        (Ok(found), "loads" | "either") => {
            let expected = expect.loss.unwrap();
            let allowed = crate::support::oracle::Differences::allowed(backend).loss;
            let off = (found / expected - 1.0).abs();
            (off.is_nan() || off > allowed).then(|| format!("{name}: the loss is {found}, expected {expected}"))
        }
        (Ok(found), _) => Some(format!("{name}: it was opened, with a loss of {found}")),
        (Err(error), "loads") => Some(format!("{name}: it was refused: {error}")),
        (Err(error), _) => {
            let said = format!("{error} {}", error.hint());
            let silent = |word: &&String| {
                !regex::RegexBuilder::new(word).case_insensitive(true).build().unwrap().is_match(&said)
            };
            let missing = expect.must_mention.iter().find(silent);
            missing.map(|word| format!("{name}: {said:?} does not mention {word}"))
        }
    }
}

/// The folders of all cases.
fn names() -> Vec<String> {
    let folders = std::fs::read_dir(fixtures().join("cases")).unwrap();
    let mut names: Vec<String> = folders
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_string())
        .collect();
    names.sort();
    names
}

fn all(backend: &str) {
    let lab = block_on(crate::support::lab(backend));
    let names = names();
    assert_eq!(names.len(), 29);
    let faults: Vec<String> = names.iter().filter_map(|name| fault(&lab, backend, name)).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_case_is_right_on_the_cpu() {
    all("cpu");
}

#[test]
fn every_case_is_right_on_webgpu() {
    all("webgpu");
}

/// Two blocks of every model that opens become one; what is written opens again, under the names
/// and with the tying that it has, and predicts what was measured.
#[test]
fn what_is_written_of_every_case_opens_again() {
    let lab = crate::support::native::lab();
    let mut written = 0;
    for name in names() {
        let (expect, files) = case(&name);
        let Ok(model) = block_on(lab.open(&files, &Task::silent())) else { continue };
        let options = crate::support::native::pairs(&[(1, 2)], Combination::Average);
        let options = MergeOptions { alpha: Some(Alpha::Weight(0.5)), ..options };
        let merged =
            crate::support::native::merge(&model, &options, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let out = crate::support::native::export(&merged);
        let files: Vec<Source> = out.iter().map(|(name, bytes)| crate::support::source(name, bytes)).collect();
        let again = block_on(lab.open(&files, &Task::silent())).unwrap_or_else(|error| panic!("{name}: {error}"));
        let config = String::from_utf8_lossy(&out["config.json"]);
        assert!(!config.contains("quantization"), "{name}: weights that were merged are plain");
        let text = expect.whole_text();
        let predicted = block_on(merged.evaluate(&first_window(&text), &Task::silent())).unwrap().0;
        let found = block_on(again.evaluate(&first_window(&text), &Task::silent())).unwrap().0;
        assert_eq!(predicted.divergence.unwrap().merged.nll, found.dense.nll, "{name}");
        written += 1;
    }
    assert_eq!(written, 20);
}

fn first_window(text: &str) -> EvaluateOptions {
    EvaluateOptions { input: crate::support::native::text(text), window: Some(32), sequences: Some(1) }
}
