//! Patterns as Oniguruma reads them, in the words of `fancy-regex`.
//!
//! The tokenizers of Python match with Oniguruma, the crate `tokenizers` in WebAssembly with
//! `fancy-regex`. The two read some signs differently: `{1,3}+` repeats the group there and is
//! possessive here, `$` ends a line there and the text here, `\w` and the classes of POSIX hold
//! other characters. This module must not know of tokenizers.

use std::iter::Peekable;
use std::str::Chars;

/// A pattern that matches here what `pattern` matches in Oniguruma. A pattern that this module does
/// not understand stays as it is.
pub fn translated(pattern: &str) -> String {
    let mut reader = Reader { rest: pattern.chars().peekable(), out: String::new(), atom: None, groups: Vec::new() };
    match reader.read() {
        Some(()) => reader.out,
        None => pattern.into(),
    }
}

struct Reader<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    /// Where the last atom begins in `out`, and whether it is repeated already.
    atom: Option<(usize, bool)>,
    /// Where the open groups begin in `out`.
    groups: Vec<usize>,
}

impl Reader<'_> {
    /// Reads all; none for what is not understood.
    fn read(&mut self) -> Option<()> {
        while let Some(sign) = self.rest.next() {
            let start = self.out.len();
            match sign {
                '\\' => {
                    let escape = self.rest.next()?;
                    let text = self.escape(escape, false)?;
                    self.out += &text;
                }
                '[' => {
                    let class = self.class()?;
                    self.out += &class;
                }
                '(' => {
                    self.open()?;
                    self.groups.push(start);
                    self.atom = None;
                    continue;
                }
                ')' => {
                    let start = self.groups.pop()?;
                    self.out.push(')');
                    self.atom = Some((start, false));
                    continue;
                }
                '|' => {
                    self.out.push('|');
                    self.atom = None;
                    continue;
                }
                '^' => self.out += "(?m:^)",
                '$' => self.out += "(?m:$)",
                '*' | '+' | '?' => {
                    self.repeat(&sign.to_string(), true)?;
                    continue;
                }
                '{' => {
                    if let Some((least, most)) = self.interval() {
                        let fixed = most == Some(least);
                        let text = match most {
                            Some(most) if fixed => format!("{{{most}}}"),
                            Some(most) => format!("{{{least},{most}}}"),
                            None => format!("{{{least},}}"),
                        };
                        self.repeat(&text, false)?;
                        // An interval is never possessive, and one of a fixed number never lazy:
                        // another sign repeats it.
                        if self.rest.peek() == Some(&'?') && !fixed {
                            self.rest.next();
                            self.out.push('?');
                        }
                        continue;
                    }
                    self.out += "\\{";
                }
                '}' => self.out += "\\}",
                ']' => self.out += "\\]",
                other => self.out.push(other),
            }
            self.atom = Some((start, false));
        }
        self.groups.is_empty().then_some(())
    }

    /// Repeats the last atom; `suffixes` says whether a sign of laziness or of possession may
    /// follow.
    fn repeat(&mut self, text: &str, suffixes: bool) -> Option<()> {
        let (start, repeated) = self.atom?;
        if repeated {
            self.out.insert_str(start, "(?:");
            self.out.push(')');
        }
        self.out += text;
        if suffixes && let Some(suffix) = self.rest.next_if(|sign| matches!(sign, '?' | '+')) {
            self.out.push(suffix);
        }
        self.atom = Some((start, true));
        Some(())
    }

    /// The numbers of an interval after its brace; none, and nothing read, where it is none.
    fn interval(&mut self) -> Option<(u32, Option<u32>)> {
        let mut ahead = self.rest.clone();
        let mut text = String::new();
        loop {
            match ahead.next()? {
                '}' => break,
                sign if sign.is_ascii_digit() || sign == ',' => text.push(sign),
                _ => return None,
            }
        }
        let found = match text.split_once(',') {
            None => text.parse().ok().map(|count| (count, Some(count))),
            Some(("", "")) => None,
            Some((least, "")) => least.parse().ok().map(|least| (least, None)),
            Some(("", most)) => most.parse().ok().map(|most| (0, Some(most))),
            Some((least, most)) => Some((least.parse().ok()?, Some(most.parse().ok()?))),
        };
        if found.is_some() {
            self.rest = ahead;
        }
        found
    }

    /// What opens a group, after its bracket.
    fn open(&mut self) -> Option<()> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Some(());
        }
        self.out.push('?');
        while let Some(sign) = self.rest.next_if(|sign| sign.is_ascii_lowercase() || *sign == '-') {
            match sign {
                // A dot that is a line break too.
                'm' => self.out.push('s'),
                'i' | '-' => self.out.push(sign),
                _ => return None,
            }
        }
        match *self.rest.peek()? {
            // Options for the rest of a group: no atom is in the bracket.
            ')' | ':' | '=' | '!' | '>' => {}
            '<' => {
                self.rest.next();
                self.out.push('<');
                while let Some(sign) = self.rest.next_if(|sign| sign.is_alphanumeric() || *sign == '_') {
                    self.out.push(sign);
                }
            }
            _ => return None,
        }
        match self.rest.peek()? {
            ')' => {}
            ':' | '=' | '!' | '>' => self.out.extend(self.rest.next()),
            _ => return None,
        }
        Some(())
    }

    /// What a sign after a backslash means, outside a class or inside one.
    fn escape(&mut self, sign: char, inside: bool) -> Option<String> {
        let bracketed = |set: &str| if inside { set.to_string() } else { format!("[{set}]") };
        Some(match sign {
            'w' => bracketed(WORD),
            'W' => format!("[^{WORD}]"),
            'h' => bracketed("0-9a-fA-F"),
            'H' => "[^0-9a-fA-F]".into(),
            'N' if !inside => "[^\\n]".into(),
            'O' if !inside => "(?s:.)".into(),
            'R' if !inside => "(?>\\r\\n|[\\n-\\r\\x{85}\\x{2028}\\x{2029}])".into(),
            'Z' if !inside => "(?=\\n?\\z)".into(),
            'p' | 'P' => {
                let name: String = match self.rest.next()? {
                    '{' => {
                        let mut name = String::new();
                        loop {
                            match self.rest.next()? {
                                '}' => break name,
                                sign => name.push(sign),
                            }
                        }
                    }
                    _ => return None,
                };
                let (turned, name) = name.strip_prefix('^').map_or((false, &name[..]), |name| (true, name));
                let negated = turned != (sign == 'P');
                match posix(name) {
                    Some(set) if negated => format!("[^{set}]"),
                    Some(set) => bracketed(set),
                    None => format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }),
                }
            }
            'x' | 'u' => {
                let digits = self.digits(if sign == 'u' { 4..=4 } else { 1..=2 })?;
                format!("\\x{{{digits}}}")
            }
            'e' => "\\x{1b}".into(),
            // Spaces, digits, anchors, breaks, references: the same in both.
            's' | 'S' | 'd' | 'D' | 'n' | 'r' | 't' | 'f' | 'v' | 'a' => format!("\\{sign}"),
            'b' | 'B' | 'A' | 'z' | 'G' | 'K' | '1'..='9' if !inside => format!("\\{sign}"),
            sign if sign.is_ascii_punctuation() || sign == ' ' => literal(sign),
            sign if !sign.is_ascii() => sign.to_string(),
            _ => return None,
        })
    }

    /// The digits of a number in hexadecimal: so many, or any number in braces.
    fn digits(&mut self, count: std::ops::RangeInclusive<usize>) -> Option<String> {
        let braced = self.rest.next_if_eq(&'{').is_some();
        let most = if braced { 8 } else { *count.end() };
        let mut digits = String::new();
        while digits.len() < most
            && let Some(digit) = self.rest.next_if(char::is_ascii_hexdigit)
        {
            digits.push(digit);
        }
        let closed = !braced || self.rest.next_if_eq(&'}').is_some();
        (closed && digits.len() >= *count.start().min(&most)).then_some(digits)
    }

    /// A class after its bracket.
    fn class(&mut self) -> Option<String> {
        let mut out = String::from("[");
        if self.rest.next_if_eq(&'^').is_some() {
            out.push('^');
        }
        let mut first = true;
        // Whether a range may begin at what was read last.
        let mut begins = false;
        loop {
            match self.rest.next()? {
                ']' if !first => break,
                '[' => {
                    let named = self.posix_class();
                    let nested = match named {
                        Some(class) => class,
                        None => self.class()?,
                    };
                    out += &nested;
                    begins = false;
                }
                '\\' => {
                    let sign = self.rest.next()?;
                    out += &self.escape(sign, true)?;
                    begins = !matches!(sign, 'w' | 'W' | 'h' | 'H' | 's' | 'S' | 'd' | 'D' | 'p' | 'P');
                }
                '&' if self.rest.next_if_eq(&'&').is_some() => {
                    out += "&&";
                    begins = false;
                }
                '-' => {
                    let range = begins && !matches!(self.rest.peek(), Some(']') | None);
                    out += if range { "-" } else { "\\-" };
                    begins = false;
                }
                sign => {
                    out += &literal(sign);
                    begins = !out.ends_with('-');
                }
            }
            first = false;
        }
        out.push(']');
        Some(out)
    }

    /// A class of POSIX after the bracket of `[:name:]`; none, and nothing read, where it is none.
    fn posix_class(&mut self) -> Option<String> {
        let mut ahead = self.rest.clone();
        ahead.next_if_eq(&':')?;
        let negated = ahead.next_if_eq(&'^').is_some();
        let mut name = String::new();
        while let Some(sign) = ahead.next_if(char::is_ascii_lowercase) {
            name.push(sign);
        }
        ahead.next_if_eq(&':')?;
        ahead.next_if_eq(&']')?;
        let set = match name.as_str() {
            "punct" => PUNCTUATION,
            "word" => POSIX_WORD,
            _ => posix(&name)?,
        };
        self.rest = ahead;
        Some(format!("[{}{set}]", if negated { "^" } else { "" }))
    }
}

/// What `\w` holds: a few numbers of Latin-1 too, and not the joiners of zero width that are in
/// that of `fancy-regex`.
const WORD: &str = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";
/// What `[:word:]` holds.
const POSIX_WORD: &str = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
/// What `[:punct:]` holds, where `\p{Punct}` has no symbols.
const PUNCTUATION: &str = "\\p{P}\\p{S}";

/// The members of a class that Oniguruma names as POSIX does; names are compared without case.
fn posix(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "alnum" => "\\p{Alphabetic}\\p{Nd}",
        "alpha" => "\\p{Alphabetic}",
        "ascii" => "\\x{0}-\\x{7f}",
        "blank" => "\\p{Zs}\\t",
        "cntrl" => "\\p{Cc}",
        "digit" => "\\p{Nd}",
        "graph" => "[^\\p{White_Space}\\p{Cc}\\p{Cn}]",
        "lower" => "\\p{Lowercase}",
        "print" => "[[^\\p{White_Space}\\p{Cc}\\p{Cn}]\\p{Zs}]",
        "punct" => "\\p{P}",
        "space" => "\\p{White_Space}",
        "upper" => "\\p{Uppercase}",
        "xdigit" => "0-9a-fA-F",
        "word" => WORD,
        _ => return None,
    })
}

/// A sign that means itself, in a class or out of one.
fn literal(sign: char) -> String {
    let special = "\\.+*?()|[]{}^$#&-~".contains(sign);
    if special { format!("\\{sign}") } else { sign.into() }
}
