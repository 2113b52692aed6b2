//! Wrong files are named for what they are; written files are read back by the safetensors crate.

use std::rc::Rc;

use super::source::MemorySource;
use super::write::safetensors_file;
use super::*;
use crate::parked::Meter;

fn file(name: &str, bytes: &[u8]) -> Source {
    Rc::new(MemorySource::new(name, bytes, &Meter::default()).unwrap())
}

fn weights(tensors: &[(&str, &[f32])]) -> Vec<u8> {
    let bytes: Vec<(String, Vec<u8>)> =
        tensors.iter().map(|(name, values)| ((*name).into(), bytemuck::cast_slice(values).to_vec())).collect();
    let views = bytes.iter().map(|(name, data)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![data.len() / 4], data).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

fn open(files: &[Source]) -> Result<Checkpoint> {
    pollster::block_on(Checkpoint::open(files))
}

fn refused(files: &[Source], code: &str, words: &str) {
    let Err(error) = open(files) else { panic!("accepted, expected {code}") };
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error} does not say {words:?}");
    assert!(!error.hint().is_empty());
}

#[test]
fn what_is_no_safetensors_is_named() {
    let config = || file("config.json", b"{}");
    for (bytes, words) in [
        (&b"\x80\x02}q\x00."[..], "pickle"),
        (b"PK\x03\x04rest", "zip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"<html><body>", "web page"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"", "empty"),
    ] {
        refused(&[config(), file("model.safetensors", bytes)], "not-a-checkpoint", words);
        refused(&[config(), file("pytorch_model.bin", bytes)], "not-a-checkpoint", words);
        refused(&[file("config.json", bytes), file("model.safetensors", &weights(&[]))], "not-a-checkpoint", words);
        refused(
            &[config(), file("model.safetensors", &weights(&[])), file("tokenizer.json", bytes)],
            "not-a-checkpoint",
            words,
        );
    }
    let whole = weights(&[("a", &[1.0, 2.0])]);
    refused(&[config(), file("model.safetensors", &whole[..whole.len() - 1])], "bad-header", "truncated");
}

#[test]
fn missing_files_are_named() {
    refused(&[file("config.json", b"{}")], "missing-file", "model.safetensors");
    refused(&[file("model.safetensors", &weights(&[]))], "missing-file", "config.json");
    refused(&[], "missing-file", "model.safetensors");
    let shard = file("model-00001-of-00002.safetensors", &weights(&[]));
    refused(&[file("config.json", b"{}"), shard], "missing-file", "model.safetensors.index.json");
}

#[test]
fn an_index_must_be_true() {
    let shard = || file("model-00001-of-00002.safetensors", &weights(&[("a", &[1.0])]));
    let with = |index: &str| vec![file("config.json", b"{}"), shard(), file(INDEX, index.as_bytes())];
    refused(&with("{}"), "bad-index", "weight_map");
    refused(&with("{\"weight_map\": {}}"), "bad-index", "no tensor");
    for path in ["../model.safetensors", "/etc/passwd", "a\\b", "", ".."] {
        let index = serde_json::json!({"weight_map": {"a": path}}).to_string();
        refused(&with(&index), "bad-index", "not a file of this folder");
    }
    let there = "model-00001-of-00002.safetensors";
    refused(&with(&serde_json::json!({"weight_map": {"b": there}}).to_string()), "bad-index", "where it is not");
    let gone = "model-00002-of-00002.safetensors";
    refused(&with(&serde_json::json!({"weight_map": {"a": there, "b": gone}}).to_string()), "missing-file", gone);
    let good = open(&with(&serde_json::json!({"weight_map": {"a": there}}).to_string())).unwrap();
    assert_eq!(good.tensors.len(), 1);
}

#[test]
fn fingerprints_tell_weights_and_configurations_apart() {
    let print = |config: &str, values: &[f32]| {
        open(&[file("config.json", config.as_bytes()), file("model.safetensors", &weights(&[("a", values)]))])
            .unwrap()
            .fingerprint
    };
    let base = print("{}", &[1.0, 2.0]);
    assert_eq!(base.len(), 64);
    assert_eq!(base, print("{}", &[1.0, 2.0]));
    assert_ne!(base, print("{ }", &[1.0, 2.0]));
    assert_ne!(base, print("{}", &[1.0, 3.0]));
}

#[test]
fn a_written_file_is_read_by_the_crate_and_ranges_are_joined() {
    let input = open(&[
        file("config.json", b"{}"),
        file("model.safetensors", &weights(&[("a", &[1.0, 2.0]), ("b", &[3.0]), ("c", &[4.0, 5.0, 6.0])])),
        file("tokenizer_config.json", b"{}"),
        file("README.md", b"old"),
    ])
    .unwrap();
    assert_eq!(input.companions.iter().map(|c| c.name()).collect::<Vec<_>>(), ["tokenizer_config.json"]);
    let output = safetensors_file("model.safetensors", &input.tensors).unwrap();
    assert_eq!(output.segments.len(), 2, "a header and one range");
    let bytes = pollster::block_on(output.bytes()).unwrap();
    assert_eq!(bytes.len() as u64, output.len());
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(bytemuck::pod_collect_to_vec::<u8, f32>(read.tensor("c").unwrap().data()), [4.0, 5.0, 6.0]);
}
