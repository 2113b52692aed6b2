//! Recipes that an earlier version recorded are replayed to the same bytes by this one.

use std::collections::BTreeSet;
use std::fs;

use mka_lab::merge::options::MergeOptions;
use mka_lab::task::Task;
use pollster::block_on;
use serde_json::Value;

use crate::support;
use crate::support::recorded::{Exported, files, folder, open, sha256};

/// The names of the recorded recipes.
fn names() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn recipe(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(name).join("recipe.json")).unwrap()).unwrap()
}

#[test]
fn a_recorded_recipe_replays_to_the_same_bytes() {
    let lab = support::native::lab();
    for name in names() {
        let recorded = fs::read(folder().join(&name).join("exported.json")).unwrap();
        let recorded: Exported = serde_json::from_slice(&recorded).unwrap();
        let model = open(&lab, &recorded.model).unwrap();
        let options = MergeOptions {
            recipe: Some(serde_json::from_value(recipe(&name)).unwrap()),
            repair_maps: fs::read(folder().join(&name).join("repair.safetensors")).ok(),
            ..MergeOptions::default()
        };
        let merged = block_on(model.merge(&options, None, &Task::silent()));
        let merged = merged.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(sha256(&files(&merged).unwrap()), recorded.sha256, "{name}");
    }
}

/// What is recorded is worth as much as it covers.
#[test]
fn recorded_recipes_have_every_word_of_the_format() {
    let recipes: Vec<Value> = names().iter().map(|name| recipe(name)).collect();
    let words = |key: &str| -> BTreeSet<String> {
        recipes.iter().filter_map(|recipe| recipe[key].as_str()).map(str::to_owned).collect()
    };
    for (key, expected) in [
        ("selection", &["block-influence", "loss", "manual", "similarity", "tail", "window"][..]),
        ("combination", &["average", "concatenate", "difference", "drop"]),
        ("alpha", &["equal", "fixed", "published", "search", "similarity"]),
        ("norms", &["fold", "keep"]),
        ("repair", &["linear", "none", "refit", "scale"]),
    ] {
        assert_eq!(words(key).iter().map(String::as_str).collect::<Vec<_>>(), expected, "{key}");
    }
    let steps: Vec<&Value> = recipes.iter().flat_map(|recipe| recipe["steps"].as_array().unwrap()).collect();
    for key in ["alpha", "kept", "score", "similarity", "ridge", "scale"] {
        assert!(steps.iter().any(|step| !step[key].is_null()), "{key}");
    }
}
