//! Runs other programs: from the repository's root, with the project's own tools first on the PATH.
//! Must not know which programs there are.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The repository's root.
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target folder.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Where tools are kept that had to be installed, each in a folder that names its version: outside
/// of the target folder, so that they outlive it, and beside nothing of the user's own.
pub fn tools_dir() -> PathBuf {
    let named = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || env::home_dir().unwrap_or_else(env::temp_dir);
    named("MKA_TOOLS").unwrap_or_else(|| {
        let caches = match env::consts::OS {
            "windows" => named("LOCALAPPDATA").unwrap_or_else(home),
            "macos" => home().join("Library/Caches"),
            _ => named("XDG_CACHE_HOME").unwrap_or_else(|| home().join(".cache")),
        };
        caches.join("mka-lab/tools")
    })
}

/// The PATH of the caller after the folder of the workspace's own programs, of which `wasm-runner`
/// is one.
fn search_path() -> Result<OsString> {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(target_dir().join("xtask")).chain(env::split_paths(&inherited));
    env::join_paths(folders).context("the PATH cannot be extended")
}

/// A command that will run in the repository's root, without what `cargo run` says about xtask
/// itself: build scripts that look at those variables would run anew with every change of command.
pub fn command(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(program);
    command.current_dir(root()).env("PATH", search_path()?);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// `cargo` with these arguments: the one that runs xtask.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Result<Command> {
    let program = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = command(&program)?;
    command.args(arguments);
    Ok(command)
}

/// `npm` with these arguments, in www/.
pub fn npm<const N: usize>(arguments: [&str; N]) -> Result<Command> {
    let mut command = command(if cfg!(windows) { "npm.cmd" } else { "npm" })?;
    command.args(arguments).current_dir(root().join("www"));
    Ok(command)
}

/// Shows the command, runs it with the terminal as its output, and fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    println!("   $ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// As `run`, and hands each line of the standard output over when it has been shown.
pub fn run_reading(command: &mut Command, mut read: impl FnMut(&str)) -> Result<()> {
    let shown = show(command);
    println!("   $ {shown}");
    let start = || format!("cannot start `{shown}`");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(start)?;
    for line in BufReader::new(child.stdout.take().with_context(start)?).lines() {
        let line = line.with_context(|| format!("`{shown}` prints what is no text"))?;
        println!("{line}");
        read(&line);
    }
    let status = child.wait().with_context(start)?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// As `run`, but its standard output is the result.
pub fn run_output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    println!("   $ {shown}");
    let done = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !done.status.success() {
        bail!("`{shown}` failed ({})", done.status);
    }
    String::from_utf8(done.stdout).with_context(|| format!("`{shown}` prints what is no text"))
}

/// What the command prints on standard output; None when it cannot be started or fails.
pub fn output(command: &mut Command) -> Option<String> {
    let done = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// The first program of these names that is on the PATH.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = env::split_paths(&search_path().ok()?).collect();
    let suffix = env::consts::EXE_SUFFIX;
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(format!("{name}{suffix}"))))
        .find(|path| path.is_file())
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
