//! The words of order, and the width of comments. Must not know any language but where comments
//! begin.

use super::files::{File, comment_columns};

/// Before and after are said of an order; these are said of a place.
const OF_PLACE: [&str; 2] = ["in front of", "behind"];
/// The widest line of a comment.
const WIDTH: usize = 100;

/// Every line that says a word of place, also across the end of a line and in names.
pub(super) fn words_of_place(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let lines: Vec<Vec<String>> = file.text.lines().map(words).collect();
        for (index, line) in lines.iter().enumerate() {
            let next = lines.get(index + 1).map_or(&[][..], Vec::as_slice);
            for phrase in OF_PLACE {
                let phrase: Vec<&str> = phrase.split(' ').collect();
                let words: Vec<&str> = line.iter().chain(next).map(String::as_str).collect();
                let starts = words.windows(phrase.len()).take(line.len());
                if starts.into_iter().any(|window| window == phrase) {
                    findings.push(format!("{}:{}: says \"{}\"", file.path, index + 1, phrase.join(" ")));
                }
            }
        }
    }
    findings
}

/// The words of a line in small letters; marks, figures and `_` part them, and a capital after a
/// small letter does.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for character in line.chars() {
        if !character.is_alphabetic() || (small && character.is_uppercase()) {
            words.push(String::new());
        }
        if character.is_alphabetic() {
            words.last_mut().into_iter().for_each(|word| word.extend(character.to_lowercase()));
        }
        small = character.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Every line whose comment goes beyond column 100.
pub(super) fn wide_comments(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        for (index, (line, column)) in file.text.lines().zip(comment_columns(file)).enumerate() {
            let width = line.chars().count();
            if column.is_some() && width > WIDTH {
                findings.push(format!("{}:{}: a comment to column {width}", file.path, index + 1));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_place_are_found_and_others_are_not() {
        let found = |text: &str| words_of_place(&[File::new("src/a.rs", text)]);
        for text in ["the block in front of it", "Behind.", "behind_heads()", "readBehind", "<p>behind</p>"] {
            assert_eq!(found(text).len(), 1, "{text}");
        }
        assert_eq!(found("a\n/// b in front\n/// of c"), ["src/a.rs:2: says \"in front of\""]);
        assert_eq!(found("in front\nof"), ["src/a.rs:1: says \"in front of\""]);
        for text in ["before and after", "the front block of it", "in front, off", "x\nbehindhand"] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn wide_comments_are_found_and_wide_code_is_not() {
        let wide = "x".repeat(99);
        let found = |text: &str| wide_comments(&[File::new("src/a.rs", text)]).len();
        for text in [format!("// {wide}"), format!("let a; /// {wide}"), format!("/*\n {wide}\n {wide}y */")] {
            assert!(found(&text) > 0, "{text}");
        }
        assert_eq!(found(&format!("// {}", "é".repeat(97))), 0);
        assert_eq!(found(&format!("let a = \"// {wide}\";\n{wide}{wide}\n // short")), 0);
    }
}
