//! Every noun that is ours has an entry in docs/glossary.md. Must not know what the entries say.

use syn::{Item, Visibility};

use super::files::File;
use super::rust_modules::{Parsed, attributes, for_tests, parse};
use super::words::words;

/// Types whose names need no entry, since their readers know them, each group with the reason.
const EXEMPT: [(&[&str], &str); 4] = [
    (&["Error", "Options"], "words of every programmer"),
    (&["Block", "Decoder", "Linear", "NormWeights", "Sampler", "Transformer"], "the words of transformers and torch"),
    (
        &["RecipeCalibration", "RecipeModel", "RecipeProtect", "RecipeRefit", "RecipeStep"],
        "parts of the file that the entry of Recipe explains",
    ),
    (&["PresetOptions"], "the options that a Preset sets"),
];

/// Public types of these files that the glossary does not have. An entry is a heading, a term in
/// bold or in code at the start of a line, of an item of a list or of a row of a table:
/// `FitTargets` is found as `FitTargets` and as "Fit targets".
///
/// # Errors
/// The file that is no Rust.
pub(super) fn missing(files: &[File], glossary: &str) -> Result<Vec<String>, String> {
    let entries = entries(glossary);
    let mut findings = Vec::new();
    for Parsed { path, items, .. } in parse(files, "src/")? {
        for name in public_types(&items) {
            let exempt = EXEMPT.iter().any(|(names, _)| names.contains(&name.as_str()));
            if !exempt && !entries.contains(&key(&name)) {
                findings.push(format!("{path}: {name} has no entry in docs/glossary.md"));
            }
        }
    }
    Ok(findings)
}

fn public_types(items: &[Item]) -> Vec<String> {
    let mut names = Vec::new();
    for item in items.iter().filter(|item| !for_tests(attributes(item))) {
        let (visibility, name) = match item {
            Item::Enum(item) => (&item.vis, &item.ident),
            Item::Struct(item) => (&item.vis, &item.ident),
            Item::Trait(item) => (&item.vis, &item.ident),
            Item::Type(item) => (&item.vis, &item.ident),
            _ => continue,
        };
        if matches!(visibility, Visibility::Public(_)) {
            names.push(name.to_string());
        }
    }
    names
}

/// The words of a name or a term, each without the s of a plural.
fn key(name: &str) -> String {
    let singular = |word: String| match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_owned(),
        _ => word,
    };
    words(name).into_iter().map(singular).collect::<Vec<_>>().join(" ")
}

/// The terms that the glossary explains.
fn entries(glossary: &str) -> Vec<String> {
    let mut entries = Vec::new();
    for line in glossary.lines() {
        entries.extend(between(line, "**").map(key));
        let head = line.trim_start_matches(['-', '*', '|', '#', ' ']);
        if line.starts_with('#') {
            entries.extend(head.split([',', '(', ')', '`']).map(key));
        }
        let head = head.split([':', '|', '\u{2014}']).next().unwrap_or(head);
        entries.extend(between(head, "`").map(key));
        if line.starts_with('|') {
            entries.extend(head.split(',').map(key));
        }
    }
    entries
}

/// What stands between every first and second `mark`.
fn between<'a>(line: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    line.split(mark).skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_however_they_are_set() {
        let text = "pub struct FitTargets; struct Own; pub(crate) enum Ours {} pub type Error = u8;";
        let file = File::new("src/merge/a.rs", text);
        for glossary in [
            "## Fit targets",
            "### `FitTargets`",
            "- **Fit target**: what",
            "- `FitTargets`: what",
            "**Other**, **fit targets** what",
            "| Fit targets | what |",
            "| `FitTargets`, fits | what |",
        ] {
            assert_eq!(missing(std::slice::from_ref(&file), glossary).unwrap(), [""; 0], "{glossary}");
        }
    }

    #[test]
    fn what_is_only_mentioned_is_missing() {
        let file = File::new("src/merge/a.rs", "pub struct FitTargets;\n#[cfg(test)] pub struct ForTests;");
        for glossary in ["", "Fit targets are", "- **Fit**: of `FitTargets`", "## Targets", "| Fit | targets |"] {
            let expected = ["src/merge/a.rs: FitTargets has no entry in docs/glossary.md"];
            assert_eq!(missing(std::slice::from_ref(&file), glossary).unwrap(), expected, "{glossary}");
        }
    }
}
