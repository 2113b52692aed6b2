//! Files are short, and the session holds no method. Must not know what a file is about.

use super::files::{File, code};

/// The most lines of a file.
const FILE_LINES: usize = 420;
/// The most lines of all of the session, with its tests.
const SESSION_LINES: usize = 1200;
/// What the session asks for and does not compute.
const METHOD: [&str; 3] = ["ridge", "saliency", "cholesky"];

/// Files that are too long.
pub(super) fn long_files(files: &[File]) -> Vec<String> {
    let lines = |file: &File| file.text.lines().count();
    let long = files.iter().filter(|file| lines(file) >= FILE_LINES);
    long.map(|file| format!("{}: {} lines, {FILE_LINES} are too many", file.path, lines(file))).collect()
}

/// The session's length, and the lines of its code that name a part of the method.
pub(super) fn session(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let lines: usize = files.iter().map(|file| file.text.lines().count()).sum();
    if lines >= SESSION_LINES {
        findings.push(format!("the session has {lines} lines, {SESSION_LINES} are too many"));
    }
    for file in files {
        for (index, line) in code(file).to_lowercase().lines().enumerate() {
            let named = METHOD.iter().filter(|word| line.contains(**word));
            findings.extend(named.map(|word| format!("{}:{}: names {word}", file.path, index + 1)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        let file = |lines: usize| File::new("src/a.rs", &"x\n".repeat(lines));
        assert_eq!(long_files(&[file(419)]), [""; 0]);
        assert_eq!(long_files(&[file(420)]), ["src/a.rs: 420 lines, 420 are too many"]);
    }

    #[test]
    fn a_long_session_and_a_method_in_it_are_found() {
        let file = |text: &str| File::new("src/session/a.rs", text);
        assert_eq!(session(&[file("let a = b; // the ridge\n")]), [""; 0]);
        for text in ["let ridge = 1;", "fn by_saliency() {}", "use crate::Cholesky;", "f(\"ridge\")"] {
            assert_eq!(session(&[file(text)]).len(), 1, "{text}");
        }
        let half = file(&"x\n".repeat(600));
        assert_eq!(session(&[half.clone(), half]), ["the session has 1200 lines, 1200 are too many"]);
    }
}
