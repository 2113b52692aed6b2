//! The tools of the build: looks for each and installs what is missing, where nothing of the user's
//! own is replaced. Must not know the order of the steps.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, command, npm, output, root, run, tools_dir};
use crate::settings::Settings;

const OLDEST_NODE: u32 = 20;
/// A download over a slow line times out now and then; the next try goes on.
const TRIES: usize = 3;

/// Everything that building the site needs.
pub fn for_build(settings: &Settings) -> Result<()> {
    node()?;
    wasm_target(&settings.build.target)?;
    npm_packages()
}

/// rustfmt and clippy, which the smallest profile of rustup leaves out.
pub fn for_lints() -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if output(&mut cargo([subcommand, "--version"])?).is_none() {
            retry(|| run(command("rustup")?.args(["component", "add", component])))
                .with_context(|| format!("{component} is missing and rustup could not add it"))?;
        }
    }
    Ok(())
}

/// The program that runs test files in Chromium, which cargo then finds on the PATH.
pub fn test_runner() -> Result<()> {
    run(&mut cargo(["build", "--profile", "xtask", "--package", "wasm-runner"])?)
}

/// Checks that Node is there and young enough.
fn node() -> Result<()> {
    let version = output(command("node")?.arg("--version"))
        .with_context(|| format!("Node.js is missing: install version {OLDEST_NODE} or later (https://nodejs.org)"))?;
    let major: u32 = version.trim_start_matches('v').split('.').next().unwrap_or_default().parse().unwrap_or_default();
    if major < OLDEST_NODE {
        bail!("Node.js {version} is too old: install version {OLDEST_NODE} or later (https://nodejs.org)");
    }
    Ok(())
}

/// The standard library for WebAssembly.
fn wasm_target(target: &str) -> Result<()> {
    let sysroot = output(command("rustc")?.args(["--print", "sysroot"])).context("rustc is missing")?;
    if Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    retry(|| run(command("rustup")?.args(["target", "add", target])))
        .with_context(|| format!("the Rust target {target} is missing and rustup could not add it"))
}

/// wasm-pack, which only a test needs, and which only calls others.
pub fn wasm_pack(settings: &Settings) -> Result<PathBuf> {
    test_runner()?; // it looks for wasm-bindgen on the PATH
    install("wasm-pack", &settings.tools.wasm_pack, &["--locked", "--debug"])
}

/// cargo-fuzz, which only calls cargo and what that has made.
pub fn cargo_fuzz(settings: &Settings) -> Result<PathBuf> {
    install("cargo-fuzz", &settings.tools.cargo_fuzz, &["--locked", "--debug"])
}

/// www/node_modules as www/package-lock.json wants it.
fn npm_packages() -> Result<()> {
    let lock = root().join("www/package-lock.json");
    let installed = root().join("www/node_modules/.installed-lock.json");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    if fs::read(&installed).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    retry(|| run(&mut npm(["ci", "--no-audit", "--no-fund"])?))?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write {}", installed.display()))
}

/// wasm-opt as npm has installed it: a script for Node.
pub fn wasm_opt() -> PathBuf {
    root().join("www/node_modules/binaryen/bin/wasm-opt")
}

/// A program from crates.io, compiled unless it is there in this version. Little optimised: that
/// halves the time it takes, and these programs have little to do.
fn install(package: &str, version: &str, options: &[&str]) -> Result<PathBuf> {
    let folder = tools_dir().join(format!("{package}-{version}"));
    let program = folder.join("bin").join(format!("{package}{}", std::env::consts::EXE_SUFFIX));
    if !program.is_file() {
        println!("   {package} {version} is missing: compiling it into {}", folder.display());
        retry(|| run(cargo(["install", package, "--version", version, "--root"])?.arg(&folder).args(options)))?;
    }
    Ok(program)
}

fn retry(mut action: impl FnMut() -> Result<()>) -> Result<()> {
    for left in (0..TRIES).rev() {
        match action() {
            Err(error) if left > 0 => eprintln!("   {error:#}; trying again"),
            result => return result,
        }
    }
    Ok(())
}
