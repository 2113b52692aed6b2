//! Records recipes of the present version, and the SHA-256 of every file that they export, as
//! fixtures that later versions must replay to the same bytes.
//!
//! `cargo run --example record_recipes -- OUT` writes a folder for each recipe. Those in
//! `tests/fixtures/recipes` were made by an earlier version and are not to be replaced: a recipe
//! that a user has kept is not replaced either. Add to them when the format grows.

use std::fs;
use std::path::Path;

use mka_lab::interface::{CalibrateOptions, Input, RowsOption};
use mka_lab::merge::options::MergeOptions;
use mka_lab::session::Lab;
use mka_lab::task::Task;
use pollster::block_on;
use recorded::{Done, Exported, files, open, sha256};
use serde_json::{Value, json};

#[path = "../tests/support/recorded.rs"]
mod recorded;

/// The name of a recipe, the folder of its model, and the options as JavaScript gives them.
fn cases() -> Vec<(&'static str, &'static str, Value)> {
    let any_end = json!({ "first": false, "last": false });
    vec![
        ("mka", "www/public/models/demo", json!({ "preset": "mka", "remove": 3 })),
        ("replaceme", "www/public/models/stories260k", json!({ "preset": "replaceme", "remove": 1, "holdout": 0 })),
        (
            "loss-guided",
            "tests/fixtures/llama",
            json!({ "preset": "loss-guided", "remove": 2, "measure": "cka", "candidates": 2, "holdout": 0, "protect": any_end }),
        ),
        ("prune-comp", "tests/fixtures/gpt2", json!({ "preset": "prune-comp", "remove": 1 })),
        ("laco", "tests/fixtures/qwen2-bf16", json!({ "preset": "laco", "remove": 2, "protect": any_end })),
        ("come", "tests/fixtures/phi", json!({ "preset": "come", "remove": 2, "protect": any_end })),
        (
            "published-code-written",
            "tests/fixtures/phi3",
            json!({ "preset": "published-code-written", "remove": 1, "measure": "npib-knn" }),
        ),
        (
            "search",
            "tests/fixtures/llama-sharded",
            json!({ "selection": "loss", "combination": "average", "alpha": "search", "measure": "cosine", "oneShot": true,
                "remove": 2, "repair": "linear", "holdout": 0, "candidates": 2, "protect": any_end }),
        ),
        (
            "diagonal",
            "tests/fixtures/gemma3_text",
            json!({ "selection": "manual", "pairs": [[1, 2], [1, 3]], "combination": "average", "alpha": 0.3,
                "repair": "linear", "holdout": 0 }),
        ),
        (
            "equal",
            "tests/fixtures/gpt_neo",
            json!({ "selection": "window", "combination": "average", "remove": 2, "protect": any_end }),
        ),
        (
            "refit",
            "tests/fixtures/gpt_neox-f16",
            json!({ "selection": "manual", "pairs": [[0, 1]], "combination": "drop", "repair": "refit", "holdout": 0 }),
        ),
    ]
}

fn main() -> Done<()> {
    let out = std::env::args().nth(1).ok_or("expected the folder to write to")?;
    let lab = block_on(Lab::create("cpu"))?;
    let task = Task::silent();
    for (name, folder, options) in cases() {
        let model = open(&lab, folder)?;
        let calibrate = CalibrateOptions {
            input: Input { ids: Some((0..1024).map(|i| (i * i * 7 + i * 13) % 500 + 3).collect()), ..Input::default() },
            sequences: Some(16),
            window: Some(64),
            rows: Some(RowsOption::Count(256)),
            ..CalibrateOptions::default()
        };
        let calibration = block_on(model.calibrate(&calibrate, &task))?;
        let options: MergeOptions = serde_json::from_value(options)?;
        let merged = block_on(model.merge(&options, Some(&calibration), &task))?;
        let exported = files(&merged)?;
        let out = Path::new(&out).join(name);
        fs::create_dir_all(&out)?;
        for file in ["recipe.json", "repair.safetensors"] {
            if let Some(bytes) = exported.get(file) {
                fs::write(out.join(file), bytes)?;
            }
        }
        let record = Exported { model: folder.to_owned(), sha256: sha256(&exported) };
        fs::write(out.join("exported.json"), serde_json::to_string_pretty(&record)? + "\n")?;
        println!("{name}: {}", serde_json::to_string(&merged.recipe())?);
    }
    Ok(())
}
