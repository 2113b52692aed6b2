//! Wrong files are named for what they are; written files are read back by the safetensors crate.

use std::rc::Rc;

use super::source::MemorySource;
use super::write::safetensors_file;
use super::*;
use crate::platform::off_heap::Meter;

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
fn the_model_is_found_where_it_lies() {
    let config = |folder: &str| file(&format!("{folder}config.json"), b"{}");
    let single = |folder: &str| file(&format!("{folder}model.safetensors"), &weights(&[("a", &[1.0])]));
    let opens = |files: &[Source]| {
        let opened = open(files).unwrap_or_else(|error| panic!("{error}"));
        assert!(opened.tensors.contains_key("a"));
        opened.companions.iter().map(|file| file.name().to_string()).collect::<Vec<_>>()
    };
    let tokens = file("m/tokenizer_config.json", b"{}");
    let pooling = file("m/1_Pooling/config.json", b"{}");
    assert_eq!(opens(&[config("m/"), single("m/"), tokens, pooling]), ["tokenizer_config.json"]);
    // The outermost one counts: those inside are earlier states of it, or parts.
    opens(&[config(""), single(""), config("checkpoint-1/"), single("checkpoint-1/")]);
    let hub = "models--a--b/snapshots/0123/";
    opens(&[config(hub), single(hub), file("models--a--b/blobs/77", b"{}"), file("models--a--b/refs/main", b"0123")]);
    let litter = ["._config.json", "._model.safetensors", ".DS_Store", "desktop.ini", "__MACOSX/config.json"];
    let mut files: Vec<Source> = litter.iter().map(|name| file(name, b"\0\x05\x16\x07")).collect();
    files.extend([config(""), single("")]);
    assert_eq!(opens(&files), [""; 0]);

    let two = [config("a/"), single("a/"), config("b/"), single("b/")];
    refused(&two, "not-a-checkpoint", "there are 2 checkpoints: a, b");
    let adapter = [file("adapter_config.json", b"{}"), file("adapter_model.safetensors", &weights(&[]))];
    refused(&adapter, "not-a-checkpoint", "an adapter (LoRA)");
    let beside = open(&[config(""), single(""), adapter[0].clone(), adapter[1].clone()]).unwrap();
    assert!(beside.warnings.len() == 1 && beside.warnings[0].contains("adapter"));
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
    // An entry that nothing asks for is no fault.
    let listed = open(&with(&serde_json::json!({"weight_map": {"a": there, "b": there}}).to_string())).unwrap();
    let error = listed.tensor("b").err().unwrap();
    assert!(error.code() == "bad-index" && error.to_string().contains("where it is not"), "{error}");
    refused(&with(r#"{"weight_map": {"a": "x\u0000y"}}"#), "bad-index", "not a file of this folder");
    refused(&with(r#"{"weight_map": {"a": 1}}"#), "bad-index", "the file of the tensor a is 1");
    let twice = format!(r#"{{"weight_map": {{"a": "{there}", "a": "{there}"}}}}"#);
    refused(&with(&twice), "bad-index", "weight_map: the key \"a\" stands twice");
    let mut claimed = with(&serde_json::json!({"weight_map": {"a": there, "b": "second.safetensors"}}).to_string());
    claimed.push(file("second.safetensors", &weights(&[("a", &[1.0]), ("b", &[1.0])])));
    refused(&claimed, "bad-index", "the tensor a lies in model-00001-of-00002.safetensors and in second.safetensors");
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
    assert_eq!(
        base, "bbf520a46d3dd4754eb44f4c819f72bfc96184ad50efd5e404773e42fee6912d",
        "recipes name their model by it: it must never change"
    );
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

#[test]
fn shards_are_cut_between_tensors_and_open_again() {
    let bytes: Vec<u8> = (0..60).collect();
    let whole = file("weights", &bytes);
    let tensor = |start: u64, bytes: u64| StoredTensor {
        dtype: safetensors::Dtype::U8,
        shape: vec![bytes],
        source: whole.clone(),
        start,
        bytes,
    };
    let tensors: IndexMap<String, StoredTensor> =
        [("a", 0, 10), ("b", 10, 10), ("c", 20, 30), ("d", 50, 5), ("e", 55, 5)]
            .map(|(name, start, bytes)| (name.to_string(), tensor(start, bytes)))
            .into();
    let names = |limit| {
        let files = write::weight_files(&tensors, limit).unwrap();
        files.iter().map(|file| file.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(60), ["model.safetensors"]);
    assert_eq!(names(59).len(), 3, "two shards and the index");
    // A tensor beyond the limit has a shard of its own.
    let files = write::weight_files(&tensors, 20).unwrap();
    assert_eq!(files.len(), 4, "a and b, c, d and e, the index");
    let mut sources = vec![file("config.json", br#"{"model_type": "x"}"#)];
    for written in &files {
        sources.push(file(&written.name, &pollster::block_on(written.bytes()).unwrap()));
    }
    let opened = pollster::block_on(Checkpoint::open(&sources)).unwrap();
    assert_eq!(opened.tensors.keys().collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
    let d = &opened.tensors["d"];
    assert_eq!(pollster::block_on(d.source.read(d.start, 5)).unwrap(), [50, 51, 52, 53, 54]);
}

/// A file of 8 GiB of which only the header and the last bytes are there.
struct Far {
    id: source::SourceId,
    start: Vec<u8>,
    length: u64,
}

impl source::ByteSource for Far {
    fn name(&self) -> &str {
        "model.safetensors"
    }

    fn id(&self) -> source::SourceId {
        self.id
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn read(&self, offset: u64, length: usize) -> crate::error::Pending<'_, Vec<u8>> {
        Box::pin(async move {
            source::check_range(self, offset, length)?;
            // After the header every byte tells where it is: the offset's GiB.
            Ok((offset..offset + length as u64)
                .map(|at| self.start.get(at as usize).copied().unwrap_or((at >> 30) as u8))
                .collect())
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[test]
fn tensors_beyond_four_gibibytes_are_read_where_they_are() {
    let (first, second) = (5u64 << 30, 8u64);
    let header = format!(
        r#"{{"far": {{"dtype": "U8", "shape": [{first}], "data_offsets": [0, {first}]}}, "end": {{"dtype": "U8", "shape": [{second}], "data_offsets": [{first}, {}]}}}}"#,
        first + second
    );
    let mut start = (header.len() as u64).to_le_bytes().to_vec();
    start.extend(header.bytes());
    let length = start.len() as u64 + first + second;
    let sources: Vec<source::Source> = vec![
        file("config.json", br#"{"model_type": "x"}"#),
        std::rc::Rc::new(Far { id: source::SourceId::new(), start, length }),
    ];
    let opened = pollster::block_on(Checkpoint::open(&sources)).unwrap();
    let end = &opened.tensors["end"];
    assert!(end.start > 1 << 32);
    assert_eq!(pollster::block_on(end.source.read(end.start, 8)).unwrap(), [5; 8]);
}
