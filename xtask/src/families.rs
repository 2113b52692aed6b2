//! `cargo xtask families`: every family against transformers, and the table of it in
//! docs/families.md. Must not know what is measured.

use std::env;
use std::fs;

use anyhow::{Context, Result};

use crate::command::{cargo, command, run, target_dir};

/// Measures and merges every miniature, has transformers load the results, and writes the table;
/// or, to `check`, compares it with the one there is.
pub fn families(check: bool) -> Result<()> {
    let out = target_dir().join("families");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    run(cargo(["run", "--example", "families", "--"])?.arg(&out))?;
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut table = command(&python)?;
    table.arg("tests/families/table.py").arg(&out).args(check.then_some("--check"));
    run(&mut table).context("this needs a Python that has torch and transformers; PYTHON names another than python3")
}
