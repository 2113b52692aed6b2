//! `cargo xtask test`: the steps, in order, cheap failures first. Must not know how a tool is installed or the site built.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, command, npm, root, run, target_dir};
use crate::settings::Settings;
use crate::{site, system, tools};

/// The test binary that runs in the browser too.
const BROWSER_TESTS: &str = "suite";
/// A hanging browser test is ended after so many seconds; nothing else looks at the clock.
const BROWSER_TEST_SECONDS: &str = "1200";

/// One thing that can fail on its own.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Settings) -> Result<()>,
}

const STEPS: [Step; 10] = [
    Step { name: "format", about: "cargo fmt changes nothing", run: format },
    Step { name: "tools", about: "what is missing is installed", run: install },
    Step { name: "clippy", about: "no warning, native code", run: clippy },
    Step { name: "clippy-wasm", about: "no warning, code for the browser", run: clippy_wasm },
    Step { name: "docs", about: "no warning in the documentation", run: docs },
    Step { name: "native", about: "native tests, on a Vulkan driver too", run: native },
    Step { name: "wasm", about: "wasm-bindgen tests in headless Chromium", run: wasm },
    Step { name: "site", about: "the build: page, element, documentation", run: built_site },
    Step { name: "wasm-pack", about: "wasm-pack builds the crate as well", run: wasm_pack },
    Step { name: "end-to-end", about: "what was built, in Chromium; what it weighs", run: end_to_end },
];

/// The steps' names and what they show, for the help text.
pub fn steps() -> String {
    STEPS.iter().map(|step| format!("    {:<12} {}\n", step.name, step.about)).collect()
}

/// Runs all steps, or one, and stops at the first failure.
pub fn test(settings: &Settings, only: Option<&str>) -> Result<()> {
    let chosen: Vec<&Step> = STEPS.iter().filter(|step| only.is_none_or(|name| name == step.name)).collect();
    if chosen.is_empty() {
        bail!("there is no step of that name; the steps are:\n{}", steps());
    }
    let mut done: Vec<(&str, Duration)> = Vec::new();
    for (index, step) in chosen.iter().enumerate() {
        println!("\n== {}/{} {}: {}", index + 1, chosen.len(), step.name, step.about);
        let start = Instant::now();
        let result = (step.run)(settings);
        done.push((step.name, start.elapsed()));
        if let Err(error) = result {
            summary(&done);
            return Err(
                error.context(format!("step `{0}` failed; `cargo xtask test --only {0}` repeats it", step.name))
            );
        }
    }
    summary(&done);
    println!("   all passed");
    Ok(())
}

fn summary(done: &[(&str, Duration)]) {
    println!("\n== durations");
    for (name, time) in done {
        println!("   {name:<12} {:>7.1} s", time.as_secs_f64());
    }
    let sum: Duration = done.iter().map(|(_, time)| *time).sum();
    println!("   {:<12} {:>7.1} s", "in all", sum.as_secs_f64());
}

fn format(_: &Settings) -> Result<()> {
    run(&mut cargo(["fmt", "--all", "--check"])?)
}

fn install(settings: &Settings) -> Result<()> {
    system::for_tests()?;
    tools::for_build(settings)
}

fn clippy(_: &Settings) -> Result<()> {
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?)
}

fn clippy_wasm(settings: &Settings) -> Result<()> {
    let mut clippy = cargo([
        "clippy",
        "--package",
        "mka-lab",
        "--lib",
        "--test",
        BROWSER_TESTS,
        "--target",
        &settings.build.target,
    ])?;
    run(clippy.args(["--", "-D", "warnings"]))
}

/// Links to private items are fine: whoever reads these pages has the source.
fn docs(_: &Settings) -> Result<()> {
    run(cargo(["doc", "--workspace", "--no-deps"])?
        .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
}

/// xtask's own tests keep its profile, so that its dependencies are not compiled a second time.
fn native(_: &Settings) -> Result<()> {
    run(&mut cargo(["test", "--profile", "xtask", "--package", "xtask"])?)?;
    let mut test = cargo(["test", "--package", "mka-lab"])?;
    if env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Mesa's drivers complain on every start without one, and then do without it.
        test.env("XDG_RUNTIME_DIR", env::temp_dir());
    }
    run(&mut test)
}

/// Runs in the development profile: link-time optimisation of every test file would take longer than the tests.
/// The browser's options are in webdriver.json.
fn wasm(settings: &Settings) -> Result<()> {
    let mut test =
        cargo(["test", "--package", "mka-lab", "--target", &settings.build.target, "--test", BROWSER_TESTS])?;
    run(system::with_browser(&mut test).env("WASM_BINDGEN_TEST_TIMEOUT", BROWSER_TEST_SECONDS))
}

fn built_site(settings: &Settings) -> Result<()> {
    site::build(settings)
}

/// Into a folder of its own: what the page uses is made by the step before.
fn wasm_pack(settings: &Settings) -> Result<()> {
    tools::wasm_pack(settings)?;
    let out = target_dir().join("wasm-pack");
    let build = &settings.build;
    let mut pack = command("wasm-pack")?;
    pack.args([
        "build",
        "--target",
        &build.bindings,
        "--mode",
        "no-install",
        "--out-name",
        &build.out_name,
        "--out-dir",
    ]);
    run(pack.arg(&out))?;
    for name in [format!("{}.js", build.out_name), format!("{}_bg.wasm", build.out_name), "package.json".to_owned()] {
        if fs::metadata(out.join(&name)).map_or(0, |data| data.len()) == 0 {
            bail!("wasm-pack left no {name} in {}", out.display());
        }
    }
    Ok(())
}

fn end_to_end(settings: &Settings) -> Result<()> {
    if !site::folder().join("index.html").is_file() {
        bail!("www/dist is missing: `cargo xtask build` makes it");
    }
    let budget = settings.budget.first_load_gzip_bytes.to_string();
    run(system::with_browser(&mut npm(["run", "--silent", "test"])?).env("MKA_FIRST_LOAD_BUDGET", budget))
}

/// `cargo xtask bench`: native benches, then the same figures in Chromium.
pub fn bench(settings: &Settings) -> Result<()> {
    system::for_tests()?;
    site::build(settings)?;
    run(&mut cargo(["bench", "--package", "mka-lab", "--benches"])?)?;
    for script in ["bench.mjs", "memory.mjs"] {
        let script: PathBuf = root().join("tests/browser").join(script);
        run(system::with_browser(command("node")?.arg(&script))).context("the figures of the browser are missing")?;
    }
    Ok(())
}
