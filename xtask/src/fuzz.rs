//! `cargo xtask fuzz`: the targets of fuzz/ one after the other, each for some seconds. Must not
//! know what a target does.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::checks::Run;
use crate::command::{command, root, run};
use crate::settings::Settings;
use crate::tools;

/// For how long each target runs.
pub const SECONDS: u64 = 60;
/// Of one input, in seconds and bytes.
const TIMEOUT: u64 = 25;
const LONGEST: u64 = 16 << 10;

/// A minute for each.
pub fn step(run: &mut Run<'_>) -> Result<()> {
    run_targets(run.settings, SECONDS, &[])
}

/// Runs some targets, or all, for so many seconds each. What is found lies in fuzz/artifacts.
///
/// The compiler need not be a nightly one: coverage is a pass of LLVM, and no sanitizer is used.
/// Rust's own checks and the allocator of fuzz/src/lib.rs find what they would.
pub fn run_targets(settings: &Settings, seconds: u64, chosen: &[String]) -> Result<()> {
    let program = tools::cargo_fuzz(settings)?;
    let all = targets()?;
    if let Some(unknown) = chosen.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    let fuzz = |subcommand: &str| -> Result<_> {
        let mut fuzz = command(&program)?;
        fuzz.args(["fuzz", subcommand, "--sanitizer", "none"]);
        Ok(fuzz)
    };
    run(&mut fuzz("build")?)?;
    for name in all.iter().filter(|name| chosen.is_empty() || chosen.contains(name)) {
        // What grows is kept apart from the seeds, and from one run to the next.
        let grown = root().join("fuzz/grown").join(name);
        fs::create_dir_all(&grown).with_context(|| format!("cannot make {}", grown.display()))?;
        let mut target = fuzz("run")?;
        target.arg(name).arg(&grown).arg(root().join("fuzz/seeds").join(name)).arg("--");
        target.args(["-print_final_stats=1", "-verbosity=1"]);
        target.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={TIMEOUT}"));
        target.arg(format!("-max_len={LONGEST}")).arg(format!("-dict={}", dictionary().display()));
        run(&mut target)?;
    }
    Ok(())
}

fn dictionary() -> PathBuf {
    root().join("fuzz/words.dict")
}

/// The names of all targets, in order.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let stem = |path: PathBuf| Path::new(path.file_stem()?).to_str().map(str::to_owned);
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    Ok(names)
}
