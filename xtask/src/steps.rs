//! What each step of the tests runs. Must not know the order of the steps, nor how a tool is
//! installed or the site built.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::checks::Run;
use crate::command::{self, cargo, command, npm, root, target_dir};
use crate::scope::Scope;
use crate::settings::Settings;
use crate::{dependencies, site, system, tools};

/// The test binary that runs in the browser too.
const BROWSER_TESTS: &str = "suite";
/// A hanging browser test is ended after so many seconds; nothing else looks at the clock.
const BROWSER_TEST_SECONDS: &str = "1200";
/// What the harness is told in the full run.
const ALL: [&str; 1] = ["--include-ignored"];
/// How much is drawn for each property in the full run, natively and for the page; else a few
/// hundred.
const DRAWS: &str = "20000";

pub fn tools(run: &mut Run<'_>) -> Result<()> {
    tools::for_lints()?;
    tools::for_build(run.settings)?;
    if run.scope > Scope::Quick {
        system::for_tests()?;
        tools::test_runner()?;
    }
    Ok(())
}

pub fn format(_: &mut Run<'_>) -> Result<()> {
    command::run(&mut cargo(["fmt", "--all", "--check"])?)
}

/// What is linted and documented. xtask is in the full run: the crates below it would be compiled
/// once more for that, on a fresh machine for a minute and a half. Its runner is left out: five
/// lines, and as many crates below them.
fn linted(scope: Scope) -> &'static [&'static str] {
    match scope {
        Scope::All => &["--package", "mka-lab", "--package", "xtask"],
        Scope::Gate | Scope::Quick => &["--package", "mka-lab"],
    }
}

pub fn clippy(run: &mut Run<'_>) -> Result<()> {
    command::run(cargo(["clippy", "--all-targets"])?.args(linted(run.scope)).args(["--", "-D", "warnings"]))
}

pub fn clippy_wasm(run: &mut Run<'_>) -> Result<()> {
    let mut clippy = cargo(["clippy", "--package", "mka-lab", "--lib", "--test", BROWSER_TESTS])?;
    command::run(clippy.args(["--target", &run.settings.build.target, "--", "-D", "warnings"]))
}

/// Links to private items are fine: whoever reads these pages has the source. The packages are
/// those of `clippy`, so that what it has checked serves here as well.
pub fn docs(run: &mut Run<'_>) -> Result<()> {
    command::run(
        cargo(["doc", "--no-deps"])?
            .args(linted(run.scope))
            .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"),
    )
}

/// xtask's own tests keep its profile, so that its dependencies are not compiled a second time.
pub fn house(run: &mut Run<'_>) -> Result<()> {
    harness(cargo(["test", "--profile", "xtask", "--package", "xtask"])?, "house", run, &[])
}

/// Examples are checked by `clippy` and not linked here: no test runs them.
pub fn native(run: &mut Run<'_>) -> Result<()> {
    let targets: &[&str] = if run.scope == Scope::Quick { &["--lib"] } else { &["--lib", "--tests"] };
    let mut test = cargo(["test", "--package", "mka-lab"])?;
    test.args(targets);
    if env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Mesa's drivers complain on every start without one, and then do without it.
        test.env("XDG_RUNTIME_DIR", env::temp_dir());
    }
    if run.scope == Scope::All {
        test.env("PROPTEST_CASES", DRAWS);
    }
    harness(test, "native", run, if run.scope == Scope::All { &ALL } else { &[] })?;
    if run.scope > Scope::Quick {
        command::run(&mut cargo(["test", "--package", "mka-lab", "--doc"])?)?;
    }
    Ok(())
}

/// Runs tests and takes their times. The harness tells them only where it takes itself for a
/// nightly one: a variable that is set for it and not for cargo, so that no build script compiles
/// anything else for it.
fn harness(mut test: Command, step: &str, run: &mut Run<'_>, options: &[&str]) -> Result<()> {
    if cfg!(unix) {
        test.args(["--config", r#"target."cfg(unix)".runner = ["env", "RUSTC_BOOTSTRAP=1"]"#]);
        test.args(["--", "-Zunstable-options", "--report-time"]);
    } else {
        test.arg("--");
    }
    command::run_reading(test.args(options), |line| run.times.harness_line(step, line))
}

/// In the profile that computes as fast as the page's and links in less time. Not in that itself:
/// there the crate is a library for the tests, whose module would take the place of the page's. The
/// browser's options are in webdriver.json.
pub fn wasm(run: &mut Run<'_>) -> Result<()> {
    let build = &run.settings.build;
    let mut test = cargo(["test", "--package", "mka-lab", "--test", BROWSER_TESTS])?;
    test.args(["--target", &build.target, "--profile", &build.local_profile]);
    if run.scope == Scope::All {
        test.arg("--").args(ALL);
    }
    command::run(system::with_browser(&mut test).env("WASM_BINDGEN_TEST_TIMEOUT", BROWSER_TEST_SECONDS))
}

pub fn site(run: &mut Run<'_>) -> Result<()> {
    if let Some(compiling) = run.compiling.take() {
        compiling.end();
    }
    site::build(run.settings, site::Kind::Hosted)
}

/// Into a folder of its own: what the page uses is made by another step.
pub fn wasm_pack(run: &mut Run<'_>) -> Result<()> {
    let program = tools::wasm_pack(run.settings)?;
    let out = target_dir().join("wasm-pack");
    let build = &run.settings.build;
    let mut pack = command(&program)?;
    pack.args(["build", "--target", build.bindings.word(), "--mode", "no-install", "--out-name", &build.out_name]);
    command::run(pack.arg("--out-dir").arg(&out))?;
    for name in [format!("{}.js", build.out_name), format!("{}_bg.wasm", build.out_name), "package.json".to_owned()] {
        if fs::metadata(out.join(&name)).map_or(0, |data| data.len()) == 0 {
            bail!("wasm-pack left no {name} in {}", out.display());
        }
    }
    Ok(())
}

pub fn dependencies(run: &mut Run<'_>) -> Result<()> {
    dependencies::check(run.settings)
}

pub fn pages(run: &mut Run<'_>) -> Result<()> {
    if !root().join(&run.settings.build.out_dir).is_dir() {
        bail!("the bindings of the page are missing: `cargo xtask build` makes them");
    }
    command::run(&mut npm(["run", "--silent", "check"])?)?;
    browser_files(run, "pages", "pure")
}

pub fn end_to_end(run: &mut Run<'_>) -> Result<()> {
    site::expect_hosted(run.settings)?;
    let files = if run.scope == Scope::All { "all" } else { "gate" };
    browser_files(run, "end-to-end", files)
}

/// Runs test files of tests/browser: run.mjs knows which, and what may run beside what.
fn browser_files(run: &mut Run<'_>, step: &str, which: &str) -> Result<()> {
    let times = target_dir().join("browser-times.jsonl");
    fs::write(&times, "").with_context(|| format!("cannot write {}", times.display()))?;
    let mut node = command("node")?;
    node.arg(root().join("tests/browser/run.mjs")).arg(which).env("MKA_TEST_TIMES", &times);
    if run.scope == Scope::All {
        node.env("MKA_DRAWS", DRAWS);
    }
    node.env("MKA_FIRST_LOAD_BUDGET", run.settings.budget.first_load_gzip_bytes.to_string());
    command::run(system::with_browser(&mut node))?;
    run.times.read_lines(step, &times)
}

/// `cargo xtask try`: folders in the page that is built, from where the command was called.
pub fn try_folders(settings: &Settings, arguments: &[OsString]) -> Result<()> {
    system::for_tests()?;
    if !site::folder().join("index.html").is_file() {
        site::build(settings, site::Kind::Hosted)?;
    }
    let mut node = command("node")?;
    node.arg(root().join("tests/browser/try.mjs")).args(arguments).current_dir(env::current_dir()?);
    command::run(system::with_browser(&mut node))
}

/// `cargo xtask bench`: native benches, then the same figures in Chromium.
pub fn bench(settings: &Settings) -> Result<()> {
    system::for_tests()?;
    site::build(settings, site::Kind::Hosted)?;
    command::run(&mut cargo(["bench", "--package", "mka-lab", "--benches"])?)?;
    for script in ["bench.mjs", "memory.mjs"] {
        let script: PathBuf = root().join("tests/browser").join(script);
        command::run(system::with_browser(command("node")?.arg(&script)))
            .context("the figures of the browser are missing")?;
    }
    Ok(())
}
