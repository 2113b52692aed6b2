//! Rules of the house, as tests that read the repository's files as text: which file may depend on
//! which, the words, the glossary, the sizes. `cargo test --package xtask` runs them with the
//! others, `cargo xtask house` alone; each failure lists every finding. Must not know what the code
//! computes.
//!
//! Compiled for tests only, so that no other command has to wait for a parser of Rust.

mod files;
mod glossary;
mod graph;
mod layers;
mod rust_imports;
mod rust_modules;
mod sizes;
mod typescript_imports;
mod words;

use files::{File, read};
use graph::Graph;
use layers::Layers;

/// Fails with all findings, one a line, if there are any.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn architecture() -> String {
    read(&["ARCHITECTURE.md"], &["md"]).into_iter().map(|file| file.text).collect()
}

fn rust_graph() -> Graph {
    let files = read(&["src"], &["rs"]);
    assert!(files.len() > 50, "the files of the crate are not where they are looked for");
    rust_imports::graph(&files, "src/").unwrap_or_else(|error| panic!("{error}"))
}

fn typescript_graph() -> Graph {
    let files = read(&["www/src"], &["ts"]);
    assert!(files.len() > 50, "the files of the page are not where they are looked for");
    let package = read(&["www/package.json"], &["json"]);
    let graph = typescript_imports::graph(&files, &package[0].text);
    graph.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn rust_files_do_not_depend_on_each_other() {
    none(&rust_graph().circles());
}

#[test]
fn rust_arrows_run_down_the_list_of_architecture_md() {
    let layers = Layers::parse(&architecture(), "layers-rust", "src/").unwrap_or_else(|error| panic!("{error}"));
    // lib.rs only declares.
    none(&layers.findings(&rust_graph(), &["src/lib.rs"]));
}

#[test]
fn typescript_files_do_not_depend_on_each_other() {
    none(&typescript_graph().circles());
}

#[test]
fn typescript_arrows_run_down_the_list_of_architecture_md() {
    let layers =
        Layers::parse(&architecture(), "layers-typescript", "www/src/").unwrap_or_else(|error| panic!("{error}"));
    none(&layers.findings(&typescript_graph(), &[]));
}

#[test]
fn order_is_before_and_after() {
    none(&words::words_of_place(&read(&["src", "www/src"], &["rs", "wgsl", "ts", "css", "html"])));
}

#[test]
fn comments_end_before_column_100() {
    none(&words::wide_comments(&read(&["src", "www/src", "xtask", "tests"], &["rs", "ts", "mjs", "wgsl"])));
}

#[test]
fn every_type_of_the_method_is_in_the_glossary() {
    let folders = ["src/merge", "src/regression", "src/calibration", "src/transformer"];
    let glossary = read(&["docs/glossary.md"], &["md"]).into_iter().map(|file| file.text).collect::<String>();
    let missing = glossary::missing(&read(&folders, &["rs"]), &glossary);
    none(&missing.unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn files_stay_small() {
    let files = [read(&["src"], &["rs"]), read(&["www/src"], &["ts"])].concat();
    none(&sizes::long_files(&files));
}

#[test]
fn the_session_holds_no_method() {
    let files: Vec<File> = read(&["src/session", "src/interface/session", "src/session.rs"], &["rs"]);
    assert!(!files.is_empty(), "the session is not where it is looked for");
    none(&sizes::session(&files));
}
