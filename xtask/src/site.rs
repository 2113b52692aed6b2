//! Builds the static site: Rust -> wasm -> bindings -> optimised wasm -> page -> documentation, in
//! `www/dist`. Must not know tests or servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, command, npm, root, run, target_dir};
use crate::settings::{Build, Settings};
use crate::{bindings, book, tools};

/// The folder that gets hosted.
pub fn folder() -> PathBuf {
    root().join("www/dist")
}

/// Who the site is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What gets hosted: optimised as a whole, as small as it gets.
    Hosted,
    /// Whoever looks at it on this machine, and waits for it to be built.
    Local,
}

impl Kind {
    fn profile(self, build: &Build) -> &str {
        match self {
            Self::Hosted => &build.profile,
            Self::Local => &build.local_profile,
        }
    }
}

/// Builds everything. The service worker comes last: it holds the hashes of all other files.
pub fn build(settings: &Settings, kind: Kind) -> Result<()> {
    tools::for_build(settings)?;
    wasm(settings, kind)?;
    run(&mut npm(["run", "--silent", "check"])?)?;
    run(&mut npm(["run", "--silent", "build"])?)?;
    book::build(&folder())?;
    run(&mut npm(["run", "--silent", "offline"])?)?;
    println!("   the site is in {}", folder().display());
    Ok(())
}

/// Fails unless the site is there, and is the one that gets hosted.
pub fn expect_hosted(settings: &Settings) -> Result<()> {
    if !folder().join("index.html").is_file() {
        bail!("www/dist is missing: `cargo xtask build` makes it");
    }
    if made_from(settings).is_some_and(|from| from != compiled(&settings.build, Kind::Hosted)) {
        bail!("www/dist is what `cargo xtask start` has built: `cargo xtask build` makes what gets hosted");
    }
    Ok(())
}

/// Beside the bindings: the path of what they were made from.
const MADE_FROM: &str = "made-from.txt";

fn made_from(settings: &Settings) -> Option<PathBuf> {
    fs::read_to_string(root().join(&settings.build.out_dir).join(MADE_FROM)).ok().map(PathBuf::from)
}

/// The compiler's output.
fn compiled(build: &Build, kind: Kind) -> PathBuf {
    target_dir().join(&build.target).join(kind.profile(build)).join("mka_lab.wasm")
}

/// Compiles the crate for a site, as what a page loads alone: beside a library for Rust, it would
/// not be optimised as a whole, and 5 % larger.
fn compile(settings: &Settings, kind: Kind) -> Result<Command> {
    let build = &settings.build;
    let mut compile = cargo(["rustc", "--package", "mka-lab", "--lib", "--crate-type", "cdylib"])?;
    compile.args(["--target", &build.target]);
    compile.args(["--profile", kind.profile(build)]);
    Ok(compile)
}

/// The longest part of the build, in the background; the build itself then finds it done. Ended
/// where it is dropped.
pub struct Compiling(Child);

impl Compiling {
    pub fn begin(settings: &Settings) -> Result<Self> {
        println!("   in the background: the crate is compiled for the page");
        let mut compile = compile(settings, Kind::Hosted)?;
        let child = compile.arg("--quiet").stderr(Stdio::null()).spawn();
        Ok(Self(child.context("cargo cannot be started")?))
    }

    /// Waits for it.
    pub fn end(mut self) {
        // How it went is seen by the build, which compiles what is not compiled yet.
        let _ = self.0.wait();
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        // It has ended already, or nobody waits for it any more.
        let _ = self.0.kill();
    }
}

/// The wasm file and its bindings; nothing to do while the compiler's output is older than they
/// are.
fn wasm(settings: &Settings, kind: Kind) -> Result<()> {
    let build = &settings.build;
    run(&mut compile(settings, kind)?)?;
    let compiled = compiled(build, kind);
    let out_dir = root().join(&build.out_dir);
    let name = format!("{}_bg.wasm", build.out_name);
    let finished = out_dir.join(&name);
    if let Some(time) = modified(&finished)
        && made_from(settings).as_ref() == Some(&compiled)
        && [&compiled, &root().join("wasm-pack.toml")].iter().all(|source| modified(source) < Some(time))
    {
        return Ok(());
    }

    // The .wasm file comes last, so that a build that failed half-way is never taken for a finished
    // one.
    let bound = target_dir().join("bindings");
    remove(&bound)?;
    bindings::make(build, &compiled, &bound)?;
    remove(&out_dir)?;
    copy(&bound, &out_dir, &name)?;
    fs::write(out_dir.join(MADE_FROM), compiled.to_string_lossy().as_bytes())?;
    match kind {
        Kind::Hosted => {
            let mut optimise = command("node")?;
            optimise.arg(tools::wasm_opt()).args(&settings.wasm_opt.flags);
            run(optimise.arg(bound.join(&name)).arg("-o").arg(&finished))
        }
        Kind::Local => {
            fs::copy(bound.join(&name), &finished).context("the bindings are incomplete")?;
            Ok(())
        }
    }
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
