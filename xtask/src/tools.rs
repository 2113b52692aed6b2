//! The tools of the build: looks for each and installs what is missing. What cargo has to install goes to
//! `target/tools`, so nothing of the user's own is replaced. Must not know the order of the steps.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, command, npm, output, root, run, tools_dir};
use crate::settings::{self, Settings};

const OLDEST_NODE: u32 = 20;
/// A download over a slow line times out now and then; the next try goes on.
const TRIES: usize = 3;

/// Everything that building the site needs.
pub fn for_build(settings: &Settings) -> Result<()> {
    node()?;
    wasm_target(&settings.build.target)?;
    wasm_bindgen()?;
    npm_packages()
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

/// wasm-bindgen's command and its test runner; both have to match the library's version exactly.
fn wasm_bindgen() -> Result<()> {
    let version = settings::locked_version("wasm-bindgen")?;
    if has_version("wasm-bindgen", &version)? && has_version("wasm-bindgen-test-runner", &version)? {
        return Ok(());
    }
    // Without --locked: the versions that its own lock file names do not build with every later compiler.
    install("wasm-bindgen-cli", &version, &[])
}

/// wasm-pack, which only a test needs, and which only calls others.
pub fn wasm_pack(settings: &Settings) -> Result<()> {
    let version = &settings.tools.wasm_pack;
    if has_version("wasm-pack", version)? {
        return Ok(());
    }
    install("wasm-pack", version, &["--locked", "--debug"])
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

/// Whether the program answers `--version` with this version as its second word.
fn has_version(program: &str, version: &str) -> Result<bool> {
    let answer = output(command(program)?.arg("--version")).unwrap_or_default();
    Ok(answer.split_whitespace().nth(1) == Some(version))
}

/// Compiles a program from crates.io. Little optimised: that halves the time it takes, and these programs have little to do.
fn install(package: &str, version: &str, options: &[&str]) -> Result<()> {
    println!("   {package} {version} is missing: compiling it into {}", tools_dir().display());
    retry(|| {
        let mut install = cargo(["install", package, "--version", version, "--force", "--root"])?;
        install.arg(tools_dir()).args(options).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        run(&mut install)
    })
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
