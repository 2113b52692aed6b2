//! Folders that were made to cost: each is answered in words, in little time and little memory. A
//! program of its own, as its allocator counts everything. `docs/checks.md` has what was measured:
//! `cargo test --test hostile -- --nocapture` prints it.
#![allow(unsafe_code, reason = "an allocator that counts is one that is unsafe to write")]

#[path = "../support/allocations.rs"]
mod allocations;
#[path = "../support/sparse.rs"]
mod sparse;

use mka_lab::checkpoint::source::Source;
use mka_lab::session::Lab;
use mka_lab::task::Task;
use pollster::block_on;
use serde_json::json;
use sparse::{file, weights};

/// Bytes that an answer may take beside the files themselves.
const MEMORY: usize = 200_000_000;
/// What the crate `tokenizers` may take: a vocabulary of a real model is as large.
const TOKENIZER_MEMORY: usize = 450_000_000;
/// Seconds that an answer may take the processor, hardly optimised.
const SECONDS: f64 = 2.0;
const LLAMA: &[u8] = include_bytes!("../fixtures/llama/model.safetensors");
const TOKENIZER: &str = include_str!("../fixtures/llama/tokenizer.json");
const MIB: usize = 1 << 20;

/// A folder, and the code of the error that it is refused with.
type Folder = (&'static str, Vec<Source>, &'static str);

fn config(changes: serde_json::Value) -> Source {
    let mut config: serde_json::Value =
        serde_json::from_str(include_str!("../fixtures/llama/config.json")).unwrap_or_default();
    for (key, value) in changes.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    file("config.json", config.to_string())
}

fn llama() -> Source {
    file("model.safetensors", LLAMA)
}

/// The header's text between `{` and `}`.
fn header(entries: &str) -> Source {
    weights("model.safetensors", format!("{{{entries}}}").as_bytes(), 0)
}

fn plain() -> Source {
    config(json!({}))
}

/// So many copies of a text, separated by commas.
fn list(item: &str, bytes: usize) -> String {
    let count = bytes / (item.len() + 1);
    vec![item; count].join(",")
}

/// So many entries, each under a name of its own.
fn entries(count: usize, entry: &str) -> String {
    (0..count).map(|number| format!("\"{number}\":{entry}")).collect::<Vec<_>>().join(",")
}

const EMPTY: &str = r#"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;

fn of_headers() -> Vec<Folder> {
    let zeros = list("0", 31 * MIB);
    let shape = |shape: &str| format!("\"a\":{{\"dtype\":\"U8\",\"shape\":{shape},\"data_offsets\":[0,0]}}");
    let long = "module.".repeat(31 * MIB / 7);
    let sparse = |length: u64| sparse::sparse("model.safetensors", length.to_le_bytes().to_vec(), 1 << 40);
    vec![
        ("a shape of 16 million zeros", vec![plain(), header(&shape(&format!("[{zeros}]")))], "bad-header"),
        (
            "16 million offsets",
            vec![plain(), header(&shape("[0]").replace("[0,0]", &format!("[{zeros}]")))],
            "bad-header",
        ),
        (
            "a header nested 30 million deep",
            vec![plain(), header(&format!("\"a\":{}", "[".repeat(30 * MIB)))],
            "bad-header",
        ),
        (
            "shapes nested 1000 deep",
            vec![plain(), header(&shape(&("[".repeat(1000) + &"]".repeat(1000))))],
            "bad-header",
        ),
        (
            "metadata of 2 million words",
            vec![plain(), header(&format!("\"__metadata__\":{{{}}}", entries(2_000_000, "\"\"")))],
            "bad-config",
        ),
        ("metadata that are one list", vec![plain(), header(&format!("\"__metadata__\":[{zeros}]"))], "bad-header"),
        ("200,000 empty tensors", vec![plain(), header(&entries(200_000, EMPTY))], "missing-tensor"),
        ("400,000 empty tensors", vec![plain(), header(&entries(400_000, EMPTY))], "bad-header"),
        ("a name of 31 MB", vec![plain(), header(&format!("\"{long}\":{EMPTY}"))], "bad-config"),
        ("a key of 31 MB twice", vec![plain(), header(&format!("\"{long}\":{EMPTY},\"b\":[]"))], "bad-header"),
        ("a header of 2^64 - 1 bytes", vec![plain(), sparse(u64::MAX)], "bad-header"),
        ("a header of 100 MB", vec![plain(), sparse(100_000_000)], "bad-header"),
        (
            "a tensor of 2^60 bytes",
            vec![
                plain(),
                weights(
                    "model.safetensors",
                    format!("{{\"a\":{{\"dtype\":\"U8\",\"shape\":[{0}],\"data_offsets\":[0,{0}]}}}}", 1u64 << 60)
                        .as_bytes(),
                    1 << 60,
                ),
            ],
            "bad-config",
        ),
    ]
}

fn of_indices() -> Vec<Folder> {
    let shard = || weights("s.safetensors", format!("{{\"a\":{EMPTY}}}").as_bytes(), 0);
    let with =
        |map: &str| vec![plain(), shard(), file("model.safetensors.index.json", format!("{{\"weight_map\":{map}}}"))];
    vec![
        (
            "an index of 1.2 million tensors",
            with(&format!("{{{}}}", entries(1_200_000, "\"s.safetensors\""))),
            "bad-index",
        ),
        (
            "an index of 180,000 shards",
            with(&format!("{{{}}}", (0..180_000).map(|n| format!("\"{n}\":\"{n}\"")).collect::<Vec<_>>().join(","))),
            "missing-file",
        ),
        ("a shard that is a list", with(&format!("{{\"a\":[{}]}}", list("0", 31 * MIB))), "bad-index"),
        ("a shard's name of 31 MB", with(&format!("{{\"a\":\"{}\"}}", "/".repeat(31 * MIB))), "bad-index"),
        ("an index nested 30 million deep", with(&"{\"a\":".repeat(6 * MIB)), "bad-index"),
        ("an index of 100 MB", with(&format!("{{\"a\":\"{}\"}}", "s".repeat(100 * MIB))), "storage"),
    ]
}

fn of_configurations() -> Vec<Folder> {
    let raw = |text: String| vec![file("config.json", text), llama()];
    let with = |changes| vec![config(changes), llama()];
    let many = |key: &str, value: serde_json::Value| with(json!({ key: value }));
    let mut folders = vec![
        ("a million layers", many("num_hidden_layers", json!(1_000_000)), "bad-config"),
        (
            "200,000 layers of 200,000 tensors",
            vec![config(json!({"num_hidden_layers": 200_000})), header(&entries(200_000, EMPTY))],
            "missing-tensor",
        ),
        (
            "2^30 heads of 2^14 channels",
            with(json!({"num_attention_heads": 1 << 30, "num_key_value_heads": 1, "head_dim": 1 << 14})),
            "bad-config",
        ),
        ("a configuration of 2 million zeros", raw(format!("{{\"a\":[{}]}}", list("0", 4 * MIB - 100))), "bad-config"),
        ("a configuration of 4 MB of NaN", raw(format!("{{\"a\":[{}]}}", list("NaN", 4 * MIB - 100))), "bad-config"),
        ("a configuration nested 4 million deep", raw(format!("{{\"a\":{}", "[".repeat(4 * MIB - 100))), "bad-config"),
        ("a configuration of 65 MB", raw(format!("{{\"a\":\"{}\"}}", "x".repeat(65 * MIB))), "storage"),
        ("a kind of block of 4 MB", with(json!({"model_type": "x".repeat(4 * MIB - 3000)})), "unsupported-family"),
        (
            "400,000 kinds of blocks",
            with(json!({"model_type": "qwen3", "layer_types": vec!["x"; 400_000]})),
            "bad-config",
        ),
    ];
    for key in ["hidden_size", "intermediate_size", "vocab_size", "head_dim"] {
        folders.push((key, many(key, json!(1 << 30)), ""));
    }
    folders
}

fn of_tokenizers() -> Vec<Folder> {
    let with = |text: String| vec![plain(), llama(), file("tokenizer.json", text)];
    let model = |model: String| {
        format!(
            r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":null,"model":{model}}}"#
        )
    };
    let split = |pattern: &str| {
        TOKENIZER.replace(
            r#""use_regex": true"#,
            &format!(r#""use_regex": true, "type": "Split", "pattern": {{"Regex": "{pattern}"}}, "behavior": "Isolated", "invert": false, "x": 0"#),
        )
    };
    let zeros = |count: usize| format!("{{\"type\":\"BPE\",\"merges\":[],\"vocab\":[{}]}}", list("0", 2 * count));
    let long = format!("{{\"type\":\"WordLevel\",\"vocab\":{{\"{}\":7}},\"unk_token\":7}}", "x".repeat(60 * MIB));
    vec![
        ("a tokenizer nested 30 million deep", with(model("[".repeat(30 * MIB))), "bad-tokenizer"),
        ("a vocabulary of 2.9 million zeros", with(model(zeros(2_900_000))), "bad-tokenizer"),
        ("a vocabulary of 30 million zeros", with(model(zeros(30_000_000))), "bad-tokenizer"),
        ("a vocabulary of one name of 60 MB", with(model(long)), "bad-tokenizer"),
        (
            "a tokenizer of 300 MB",
            vec![plain(), llama(), sparse::sparse("tokenizer.json", b"{".to_vec(), 300_000_000)],
            "storage",
        ),
        ("a pattern of nested counts", with(split("((a{1,1000}){1,1000}){1,1000}")), "bad-tokenizer"),
    ]
}

fn of_files() -> Vec<Folder> {
    let name = |number: usize| format!("{}/{number}/config.json", number % 7);
    let many: Vec<Source> = (0..50_000).map(|number| file(&name(number), "{}")).collect();
    vec![("50,000 files", many, "missing-file")]
}

/// How long this thread has computed, whatever else the machine does; always 0 where the system
/// does not say.
fn processor_seconds() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).map_or(0.0, |time: f64| time / 1e9)
}

#[test]
fn every_folder_is_answered_in_little_time_and_memory() {
    let lab = block_on(Lab::create("cpu")).unwrap_or_else(|error| panic!("{error}"));
    let groups = [of_headers, of_indices, of_configurations, of_tokenizers, of_files];
    let mut faults = Vec::new();
    for (name, files, code) in groups.into_iter().flat_map(|group| group()) {
        let begun = processor_seconds();
        let (answer, bytes) =
            allocations::measured(usize::MAX, || block_on(lab.open(&files, &Task::silent())).map(drop));
        let seconds = processor_seconds() - begun;
        let error = match answer {
            Ok(()) => {
                faults.push(format!("{name}: it was opened"));
                continue;
            }
            Err(error) => error,
        };
        println!("| {name} | `{}` | {seconds:.2} | {} |", error.code(), bytes / 1_000_000);
        let most = if code == "bad-tokenizer" { TOKENIZER_MEMORY } else { MEMORY };
        if bytes > most || seconds > SECONDS {
            faults.push(format!("{name}: {bytes} bytes, {seconds:.1} s"));
        }
        if !code.is_empty() && error.code() != code {
            faults.push(format!("{name}: {} instead of {code}: {}", error.code(), error.message()));
        }
        if error.message().chars().count() > 2001 {
            faults.push(format!("{name}: the message is long"));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
