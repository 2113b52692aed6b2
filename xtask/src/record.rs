//! Measures the tests where nothing is built and where all is, and writes the table of
//! docs/development.md. Must not know the steps.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::command::{command, output, root, run, target_dir};
use crate::settings::Settings;
use crate::site;
use crate::times::{Timed, Times};

const BEGIN: &str = "<!-- durations: written by cargo xtask test --record -->";
const END: &str = "<!-- end of durations -->";
/// So many of the slowest tests are in the table.
const SLOWEST: usize = 20;

/// Runs the gate twice in a target folder of its own: with nothing there but downloaded sources,
/// and again after a change of the crate.
pub fn record(settings: &Settings) -> Result<()> {
    let target = target_dir().join("record");
    let built = [target.clone(), root().join("www/node_modules"), root().join(&settings.build.out_dir), site::folder()];
    for folder in built.iter().filter(|folder| folder.exists()) {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let cold = gate(&target)?;
    // Newer than what was made of it: cargo compiles the crate again, and all that is made of it.
    fs::File::options().append(true).open(root().join("src/lib.rs"))?.set_modified(SystemTime::now())?;
    let warm = gate(&target)?;
    write(&root().join("docs/development.md"), &table(&cold, &warm))
}

/// One run by this program itself, which takes its folders from the environment.
fn gate(target: &Path) -> Result<Times> {
    let program = env::current_exe()?;
    let mut gate = command(&program)?;
    run(gate.arg("test").env("CARGO_TARGET_DIR", target).env("MKA_TOOLS", target.join("tools")))?;
    Times::read(&target.join("durations-gate.json"))
}

/// Replaces what stands between the marks.
fn write(path: &PathBuf, table: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let replaced = replace(&text, table).with_context(|| format!("{} lacks the marks of the table", path.display()))?;
    fs::write(path, replaced).with_context(|| format!("cannot write {}", path.display()))
}

fn replace(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

/// Steps and slowest tests, both runs side by side.
fn table(cold: &Times, warm: &Times) -> String {
    let seconds = |times: &[Timed], name: &str| {
        let found = times.iter().find(|timed| timed.name == name);
        found.map_or_else(String::new, |timed| format!("{:.0}", timed.seconds))
    };
    let mut text = format!("{}.\n\n| step | cold, s | warm, s |\n|---|---|---|\n", machine());
    for Timed { name, .. } in &cold.steps {
        text += &format!("| {name} | {} | {} |\n", seconds(&cold.steps, name), seconds(&warm.steps, name));
    }
    text += &format!("| in all | {:.0} | {:.0} |\n", cold.sum(), warm.sum());
    text += "\n| slowest tests | cold, s | warm, s |\n|---|---|---|\n";
    for Timed { name, .. } in warm.slowest(SLOWEST) {
        let plain = name.replace('|', "\\|");
        text += &format!("| {plain} | {} | {} |\n", seconds(&cold.tests, name), seconds(&warm.tests, name));
    }
    text
}

/// The machine, and what was measured on it.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let processor = named.map_or(env::consts::ARCH, |(_, name)| name.trim());
    let says = |program: &str, arguments: &[&str]| {
        command(program).ok().and_then(|mut command| output(command.args(arguments))).unwrap_or_default()
    };
    let commit = says("git", &["log", "-1", "--format=commit %h of %cs"]);
    format!("{cores} cores of {processor}, {}, {commit}", says("rustc", &["--version"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced() {
        let mut times = Times::default();
        times.step("native", std::time::Duration::from_secs(61));
        times.test("native", "slow", 7.4);
        let table = table(&times, &Times::default());
        assert!(table.contains("| native | 61 |  |") && table.contains("| in all | 61 | 0 |"), "{table}");
        let page = format!("before {BEGIN}\nold\n{END} after");
        assert_eq!(replace(&page, &table), Some(format!("before {BEGIN}\n{table}{END} after")));
        assert_eq!(replace("no marks", &table), None);
    }
}
