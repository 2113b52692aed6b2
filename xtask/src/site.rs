//! Builds the static site: Rust -> wasm -> bindings -> optimised wasm -> page -> documentation, in `www/dist`. Must not know tests or servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::command::{cargo, command, npm, root, run, target_dir};
use crate::settings::Settings;
use crate::{bindings, book, tools};

/// The folder that gets hosted.
pub fn folder() -> PathBuf {
    root().join("www/dist")
}

/// Builds everything. The service worker comes last: it holds the hashes of all other files.
pub fn build(settings: &Settings) -> Result<()> {
    tools::for_build(settings)?;
    wasm(settings)?;
    run(&mut npm(["run", "--silent", "check"])?)?;
    run(&mut npm(["run", "--silent", "build"])?)?;
    book::build(&folder())?;
    run(&mut npm(["run", "--silent", "offline"])?)?;
    println!("   the site is in {}", folder().display());
    Ok(())
}

/// The wasm file and its bindings; nothing to do while the compiler's output is older than they are.
fn wasm(settings: &Settings) -> Result<()> {
    let build = &settings.build;
    let mut compile = cargo(["build", "--package", "mka-lab", "--lib", "--target", &build.target])?;
    run(compile.args(["--profile", &build.profile]))?;

    let compiled_folder = if build.profile == "dev" { "debug" } else { &build.profile };
    let compiled = target_dir().join(&build.target).join(compiled_folder).join("mka_lab.wasm");
    let out_dir = root().join(&build.out_dir);
    let name = format!("{}_bg.wasm", build.out_name);
    let finished = out_dir.join(&name);
    if let Some(time) = modified(&finished)
        && [&compiled, &root().join("wasm-pack.toml")].iter().all(|source| modified(source) < Some(time))
    {
        return Ok(());
    }

    // wasm-opt runs between the two folders, so that a build that failed half-way is never taken for a finished one.
    let bound = target_dir().join("bindings");
    remove(&bound)?;
    bindings::make(build, &compiled, &bound)?;
    remove(&out_dir)?;
    copy(&bound, &out_dir, &name)?;
    let mut optimise = command("node")?;
    run(optimise.arg(tools::wasm_opt()).args(&settings.wasm_opt.flags).arg(bound.join(&name)).arg("-o").arg(&finished))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    Ok(())
}

/// Copies a folder, but for the files of one name.
fn copy(from: &Path, to: &Path, except: &str) -> Result<()> {
    let context = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to).with_context(context)?;
    for entry in fs::read_dir(from).with_context(context)? {
        let entry = entry.with_context(context)?;
        let target = to.join(entry.file_name());
        if entry.file_type().with_context(context)?.is_dir() {
            copy(&entry.path(), &target, except)?;
        } else if entry.file_name() != except {
            fs::copy(entry.path(), target).with_context(context)?;
        }
    }
    Ok(())
}
