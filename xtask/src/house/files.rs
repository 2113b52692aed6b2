//! The repository's files as text. Must not know the rules.

use std::fs;
use std::path::Path;

use crate::command::root;

/// A file of the repository.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    /// From the repository's root, with slashes.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    /// An invented file.
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The part of the name after the last point.
    pub(super) fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// All files with one of the `extensions` at or below `places`, in order. What does not exist, and
/// what is built or installed, is left out.
pub(super) fn read(places: &[&str], extensions: &[&str]) -> Vec<File> {
    let mut files = Vec::new();
    places.iter().for_each(|place| collect(&root().join(place), extensions, &mut files));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(place: &Path, extensions: &[&str], files: &mut Vec<File>) {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    // The last one is what wasm-bindgen writes.
    if ["node_modules", "target", "dist", "wasm"].contains(&&*name) {
        return;
    }
    if let Ok(entries) = fs::read_dir(place) {
        entries.flatten().for_each(|entry| collect(&entry.path(), extensions, files));
    } else if extensions.iter().any(|extension| place.extension().is_some_and(|found| found == *extension))
        && let Ok(text) = fs::read_to_string(place)
    {
        let path = place.strip_prefix(root()).unwrap_or(place).to_string_lossy().replace('\\', "/");
        files.push(File { path, text });
    }
}

/// The column, from 0, at which the comment of each line begins; none where there is none. For
/// Rust, and for languages whose strings end with their line, but those in backquotes. A regular
/// expression with a single quotation mark hides the comment of its line.
pub(super) fn comment_columns(file: &File) -> Vec<Option<usize>> {
    let rust = file.extension() == "rs";
    let mut state = State::Code;
    let mut columns = Vec::new();
    for line in file.text.lines() {
        let line: Vec<char> = line.chars().collect();
        columns.push(comment_column(&line, rust, &mut state));
        if !rust && matches!(state, State::Text(quote) if quote != '`') {
            state = State::Code;
        }
    }
    columns
}

/// Where a line begins or goes on.
enum State {
    Code,
    Comment,
    /// In a string that ends at this mark.
    Text(char),
    /// In a raw string of Rust, with so many `#`.
    Raw(usize),
}

fn comment_column(line: &[char], rust: bool, state: &mut State) -> Option<usize> {
    let mut found = matches!(state, State::Comment).then_some(0);
    let get = |at: usize| line.get(at).copied().unwrap_or(' ');
    let hashes = |at: usize| line[at.min(line.len())..].iter().take_while(|character| **character == '#').count();
    let mut at = 0;
    while at < line.len() {
        let mut next = at + 1;
        match (&*state, get(at), get(at + 1)) {
            (State::Comment, '*', '/') => (*state, next) = (State::Code, at + 2),
            (State::Text(_), '\\', _) => next = at + 2,
            (State::Text(end), character, _) if *end == character => *state = State::Code,
            (State::Raw(count), '"', _) if hashes(at + 1) >= *count => *state = State::Code,
            (State::Code, '/', '/') => return found.or(Some(at)),
            (State::Code, '/', '*') => {
                found = found.or(Some(at));
                (*state, next) = (State::Comment, at + 2);
            }
            (State::Code, 'r', '"' | '#') if rust && get(at + 1 + hashes(at + 1)) == '"' => {
                (*state, next) = (State::Raw(hashes(at + 1)), at + 2 + hashes(at + 1));
            }
            (State::Code, '\'', after) if rust => {
                // A character; else a lifetime, which has no second mark.
                let length = if after == '\\' { 3 } else { 2 };
                let end = line.iter().skip(at + length).position(|character| *character == '\'');
                let short = end.filter(|end| after == '\\' || *end == 0);
                next = short.map_or(at + 1, |end| at + length + end + 1);
            }
            (State::Code, mark @ '"', _) => *state = State::Text(mark),
            (State::Code, mark @ ('`' | '\''), _) if !rust => *state = State::Text(mark),
            _ => {}
        }
        at = next;
    }
    found
}

/// The text with its comments taken out, line by line.
pub(super) fn code(file: &File) -> String {
    let line = |(line, column): (&str, Option<usize>)| match column {
        Some(column) => line.chars().take(column).collect(),
        None => line.to_owned(),
    };
    file.text.lines().zip(comment_columns(file)).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(name: &str, text: &str) -> Vec<Option<usize>> {
        comment_columns(&File::new(name, text))
    }

    #[test]
    fn comments_of_rust_are_told_from_strings() {
        let text = "let a = \"http://b\"; // c\n/* d\ne */ f\nlet g = '\"'; // h\nlet i: &'a str = j('k'); // l\nm";
        assert_eq!(columns("a.rs", text), [Some(20), Some(0), Some(0), Some(13), Some(25), None]);
        assert_eq!(columns("a.rs", "let a = \"b\n  // c\"; // d"), [None, Some(9)]);
        assert_eq!(columns("a.rs", "r#\"a\" // \"# // b\nr\"\\\" // c\n'\\'' // d"), [Some(12), Some(5), Some(5)]);
        assert_eq!(code(&File::new("a.rs", "a // b\nc\n")), "a \nc");
    }

    #[test]
    fn comments_of_typescript_are_told_from_strings() {
        let text = "let a = '//'; // b\nlet c = `//\n// d`; // e\nlet f = /\"/;\n// g\n/** h";
        assert_eq!(columns("a.ts", text), [Some(14), None, Some(7), None, Some(0), Some(0)]);
    }

    #[test]
    fn the_repository_is_found() {
        let found = read(&["xtask/src/house"], &["rs"]);
        assert!(found.iter().any(|file| file.path == "xtask/src/house/files.rs" && file.extension() == "rs"));
        assert_eq!(read(&["there is no such folder"], &["rs"]), []);
        assert_eq!(read(&["xtask/Cargo.toml"], &["toml"]).len(), 1);
    }
}
