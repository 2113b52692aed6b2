//! Dependencies that nothing uses, and crates that the page has in two versions. Must not know what
//! a crate is for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command::{cargo, root, run_output};
use crate::settings::Settings;

/// Named by no line of code, and needed all the same.
const NOT_NAMED: [(&str, &str); 2] = [
    ("getrandom", "its feature wasm_js lets tokenizers draw random numbers in a browser"),
    ("wasm-bindgen-test", "its macros are named by the files that run in a browser only"),
];

/// In the page twice, because others ask for two versions. What is not on the list fails: that is
/// how a duplicate is noticed.
const TWICE: [(&str, &str); 6] = [
    ("equator", "faer and nano-gemm, compile-time assertions only"),
    ("getrandom", "tokenizers draws by rand 0.9, we by rand 0.10"),
    ("hashbrown", "safetensors by 0.16, indexmap by 0.17"),
    ("rand", "tokenizers draws by rand 0.9, we by rand 0.10"),
    ("rand_chacha", "with rand 0.9"),
    ("rand_core", "with rand 0.9"),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
}

/// Fails on what nothing names, on what is there twice, and on exceptions that are none any more.
pub fn check(settings: &Settings) -> Result<()> {
    let metadata = run_output(&mut cargo(["metadata", "--no-deps", "--format-version", "1"])?)?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("cargo metadata is not as xtask expects it")?;
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let folder = Path::new(&package.manifest_path).parent().context("a manifest without a folder")?;
        let code = code_of(folder)?;
        for name in unused(package, &code) {
            faults.push(format!("{} is used by nothing in {}", name, package.name));
        }
    }

    let mut tree = cargo(["tree", "--package", "mka-lab", "--target", &settings.build.target])?;
    tree.args(["--edges", "normal,no-proc-macro", "--duplicates", "--depth", "0", "--prefix", "none"]);
    let found = run_output(&mut tree)?;
    let found: BTreeSet<&str> = found.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let known: BTreeSet<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    faults.extend(found.difference(&known).map(|name| format!("the page has two versions of {name}")));
    faults.extend(known.difference(&found).map(|name| format!("{name} is there once: take it off the list in xtask")));
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.join("\n   "))
}

/// The dependencies of a package that its code does not name.
fn unused<'a>(package: &'a Package, code: &str) -> BTreeSet<&'a str> {
    let named = |name: &str| {
        let name = name.replace('-', "_");
        code.match_indices(&name).any(|(at, _)| {
            let part = |character: char| character.is_alphanumeric() || character == '_';
            !code[..at].ends_with(part) && !code[at + name.len()..].starts_with(part)
        })
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| NOT_NAMED.iter().all(|(name, _)| *name != dependency.name))
        .filter(|dependency| !named(dependency.rename.as_ref().unwrap_or(&dependency.name)))
        .map(|dependency| dependency.name.as_str())
        .collect()
}

/// All Rust code of a package without its comments. The packages inside of it have code of their
/// own.
fn code_of(package: &Path) -> Result<String> {
    let mut code = String::new();
    let mut folders: Vec<_> = ["src", "tests", "benches", "examples"].map(|name| package.join(name)).to_vec();
    let mut files = vec![package.join("build.rs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    for file in files.iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        for line in text.lines() {
            code.push_str(line.split("//").next().unwrap_or_default());
            code.push('\n');
        }
    }
    if code.trim().is_empty() {
        bail!("{} has no code", package.strip_prefix(root()).unwrap_or(package).display());
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_code_names_is_found() {
        let dependency =
            |name: &str, rename: Option<&str>| Dependency { name: name.to_owned(), rename: rename.map(str::to_owned) };
        let package = Package {
            name: "p".to_owned(),
            manifest_path: String::new(),
            dependencies: vec![
                dependency("web-time", None),
                dependency("futures-lite", None),
                dependency("getrandom", None),
                dependency("half", Some("bits")),
                dependency("csv", None),
            ],
        };
        let code = "use web_time::Instant;\nlet x = bits::f16::ONE;\nlet csvs = my_csv;";
        assert_eq!(unused(&package, code).into_iter().collect::<Vec<_>>(), ["csv", "futures-lite"]);
    }

    #[test]
    fn comments_are_no_code() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("mka-lab-code-{}", std::process::id()));
        fs::create_dir_all(folder.join("src/inner"))?;
        fs::write(folder.join("src/inner/a.rs"), "use half::f16; // and faer\n")?;
        let code = code_of(&folder)?;
        fs::remove_dir_all(&folder)?;
        assert!(code.contains("half") && !code.contains("faer"));
        Ok(())
    }
}
