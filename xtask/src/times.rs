//! How long steps and tests took: gathered while they run, shown, and kept as JSON. Must not know
//! which steps there are.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// So many of the slowest tests are shown.
const SHOWN: usize = 12;

/// What one run took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// In the order in which they were run.
    pub steps: Vec<Timed>,
    /// Single tests, each with the name of its step before its own.
    pub tests: Vec<Timed>,
}

/// A name, and the seconds of the wall clock that it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    pub name: String,
    pub seconds: f64,
}

impl Times {
    pub fn step(&mut self, name: &str, time: Duration) {
        self.steps.push(Timed { name: name.to_owned(), seconds: time.as_secs_f64() });
    }

    pub fn test(&mut self, step: &str, name: &str, seconds: f64) {
        self.tests.push(Timed { name: format!("{step}: {name}"), seconds });
    }

    /// Takes the time of a test from a line of the test harness: `test name ... ok <1.234s>`.
    pub fn harness_line(&mut self, step: &str, line: &str) {
        let parsed = line.strip_prefix("test ").and_then(|rest| {
            let (name, end) = rest.split_once(" ... ")?;
            let (_, time) = end.split_once('<')?;
            Some((name, time.trim_end().strip_suffix("s>")?.parse().ok()?))
        });
        if let Some((name, seconds)) = parsed {
            self.test(step, name, seconds);
        }
    }

    /// Takes what tests/browser/times.mjs has written: a JSON object `{ name, seconds }` on each
    /// line.
    pub fn read_lines(&mut self, step: &str, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        for line in text.lines() {
            let Timed { name, seconds } =
                serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))?;
            self.test(step, &name, seconds);
        }
        Ok(())
    }

    /// The slowest tests, the slowest first.
    pub fn slowest(&self, count: usize) -> Vec<&Timed> {
        let mut tests: Vec<&Timed> = self.tests.iter().collect();
        tests.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        tests.truncate(count);
        tests
    }

    pub fn sum(&self) -> f64 {
        self.steps.iter().fold(0.0, |sum, step| sum + step.seconds)
    }

    /// For whoever looks at the terminal.
    pub fn print(&self) {
        println!("\n== durations");
        for Timed { name, seconds } in &self.steps {
            println!("   {name:<16} {seconds:>7.1} s");
        }
        println!("   {:<16} {:>7.1} s", "in all", self.sum());
        if !self.tests.is_empty() {
            println!("   the slowest tests:");
        }
        for Timed { name, seconds } in self.slowest(SHOWN) {
            println!("   {seconds:>7.1} s  {name}");
        }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} has no durations", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_harness() {
        let mut times = Times::default();
        for line in ["test a::b ... ok <1.250s>", "test c ... FAILED <0.5s>", "test d ... ok", "running 3 tests"] {
            times.harness_line("native", line);
        }
        let names: Vec<&str> = times.slowest(9).iter().map(|timed| timed.name.as_str()).collect();
        assert_eq!(names, ["native: a::b", "native: c"]);
        assert!((times.tests[0].seconds - 1.25).abs() < 1e-9);
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let path = std::env::temp_dir().join(format!("mka-lab-times-{}.json", std::process::id()));
        let mut times = Times::default();
        times.step("format", Duration::from_millis(1500));
        times.test("native", "one", 0.25);
        times.write(&path)?;
        assert_eq!(Times::read(&path)?, times);
        fs::write(&path, "{\"name\":\"two\",\"seconds\":3}\n")?;
        times.read_lines("end-to-end", &path)?;
        assert_eq!(times.slowest(1)[0].name, "end-to-end: two");
        fs::remove_file(&path)?;
        Ok(())
    }
}
