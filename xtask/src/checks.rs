//! `cargo xtask test`: which steps belong to which run, in order, cheap failures first. Must not
//! know what a step does.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::command::target_dir;
use crate::fuzz;
use crate::scope::Scope;
use crate::settings::Settings;
use crate::site::Compiling;
use crate::steps;
use crate::times::Times;

/// One thing that can fail on its own.
struct Step {
    name: &'static str,
    about: &'static str,
    /// The smallest run that it belongs to.
    from: Scope,
    run: fn(&mut Run<'_>) -> Result<()>,
}

const fn step(name: &'static str, from: Scope, about: &'static str, run: fn(&mut Run<'_>) -> Result<()>) -> Step {
    Step { name, about, from, run }
}

const STEPS: [Step; 14] = [
    step("tools", Scope::Quick, "what is missing is installed", steps::tools),
    step("format", Scope::Quick, "cargo fmt changes nothing", steps::format),
    step("clippy", Scope::Quick, "no warning, native code", steps::clippy),
    step("clippy-wasm", Scope::All, "no warning, code for the browser", steps::clippy_wasm),
    step("docs", Scope::Gate, "no warning in the documentation of the code", steps::docs),
    step("house", Scope::Quick, "tests of xtask: its own, and the rules of the source", steps::house),
    step("native", Scope::Quick, "native tests, on a Vulkan driver too", steps::native),
    step("wasm", Scope::Gate, "wasm-bindgen tests in headless Chromium", steps::wasm),
    step("site", Scope::Gate, "the build: page, element, documentation", steps::site),
    step("pages", Scope::Quick, "the types of the page, and what needs no browser", steps::pages),
    step("end-to-end", Scope::Gate, "what was built, in Chromium; what it weighs", steps::end_to_end),
    step("wasm-pack", Scope::All, "wasm-pack builds the crate as well", steps::wasm_pack),
    step("fuzz", Scope::All, "libFuzzer on what comes from outside, a minute for each kind", fuzz::step),
    step("dependencies", Scope::All, "none unused, none twice in the page", steps::dependencies),
];

/// What the steps of one run share.
pub struct Run<'a> {
    pub settings: &'a Settings,
    pub scope: Scope,
    pub times: Times,
    /// The crate is being compiled for the page while other steps run.
    pub compiling: Option<Compiling>,
}

/// The steps' names, what they show and the smallest run that has them, for the help text.
pub fn steps() -> String {
    STEPS.iter().map(|step| format!("    {:<14} {:<6} {}\n", step.name, step.from.word(), step.about)).collect()
}

/// Runs the steps of the scope, or one, and stops at the first failure. What it took is left in the
/// target folder.
pub fn test(settings: &Settings, scope: Scope, only: Option<&str>) -> Result<()> {
    let chosen: Vec<&Step> =
        STEPS.iter().filter(|step| only.map_or(step.from <= scope, |name| name == step.name)).collect();
    if chosen.is_empty() {
        bail!("there is no step of that name; the steps are:\n{}", steps());
    }
    let mut run = Run { settings, scope, times: Times::default(), compiling: None };
    let has = |name| chosen.iter().any(|step| step.name == name);
    for (index, step) in chosen.iter().enumerate() {
        // What is compiled for the page ends in minutes on one core, and tests in a browser take
        // one: they go beside each other.
        if step.name == "native" && has("wasm") && has("site") {
            run.compiling = Some(Compiling::begin(settings)?);
        }
        println!("\n== {}/{} {}: {}", index + 1, chosen.len(), step.name, step.about);
        let start = Instant::now();
        let result = (step.run)(&mut run);
        run.times.step(step.name, start.elapsed());
        if let Err(error) = result {
            run.times.print();
            let again = format!("step `{0}` failed; `cargo xtask test --only {0}` repeats it", step.name);
            return Err(error.context(again));
        }
    }
    run.times.print();
    if only.is_none() {
        run.times.write(&target_dir().join(format!("durations-{}.json", scope.word())))?;
    }
    println!("   all passed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_a_name_of_its_own_and_each_scope_more_steps() {
        let count = |scope| STEPS.iter().filter(|step| step.from <= scope).count();
        assert!(count(Scope::Quick) < count(Scope::Gate) && count(Scope::Gate) < count(Scope::All));
        assert_eq!(count(Scope::All), STEPS.len());
        for (at, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..at].iter().all(|other| other.name != step.name), "{}", step.name);
        }
    }
}
