//! A source file as the rules look at it: its text, and its code without comments and the insides of strings.

use std::fs;
use std::path::Path;

pub struct Source {
    /// Relative to `src`.
    pub path: String,
    pub text: String,
    /// The text with comments and what strings hold replaced by blanks: same lines, same columns.
    pub code: String,
    /// For each line, whether it belongs to a module or item of tests.
    tests: Vec<bool>,
}

impl Source {
    pub fn read(folder: &Path, path: &Path) -> Source {
        let relative = path
            .strip_prefix(folder)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Source::new(&relative, &text)
    }

    pub fn new(path: &str, text: &str) -> Source {
        let code = blank(text);
        let tests = test_lines(&code);
        Source {
            path: path.into(),
            text: text.into(),
            code,
            tests,
        }
    }

    pub fn lines(&self) -> Vec<&str> {
        self.text.lines().collect()
    }

    /// The folder or file of `src` that it belongs to.
    pub fn layer(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether it is the module `a/b`: the file a/b.rs, or one in the folder a/b.
    pub fn is_in(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix(module);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    pub fn is_test_line(&self, line: usize) -> bool {
        self.tests.get(line).copied().unwrap_or(false)
    }

    /// The code with the lines of tests left empty.
    pub fn code_without_tests(&self) -> String {
        let lines = self.code.lines().enumerate();
        lines
            .map(|(number, line)| if self.is_test_line(number) { "" } else { line })
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// Whether a line, or one of the `distance` lines above it, says one of `words`.
    pub fn says_above(&self, line: usize, distance: usize, words: &[&str]) -> bool {
        let lines = self.lines();
        let from = line.saturating_sub(distance);
        lines[from..=line]
            .iter()
            .any(|line| words.iter().any(|word| line.contains(word)))
    }

    /// The modules of the crate that code outside tests names, each with its line.
    pub fn uses(&self) -> Vec<(usize, String)> {
        self.names_after("crate::")
    }

    /// The names that code outside tests takes from `std::collections`, each with its line.
    pub fn std_collections(&self) -> Vec<(usize, String)> {
        self.names_after("std::collections::")
    }

    /// The first names behind a path: one, or each of a group in braces.
    fn names_after(&self, path: &str) -> Vec<(usize, String)> {
        let mut names = Vec::new();
        for (at, _) in self.code.match_indices(path) {
            let line = self.code[..at].matches('\n').count();
            if self.is_test_line(line) {
                continue;
            }
            let rest = &self.code[at + path.len()..];
            let found = match rest.strip_prefix('{') {
                Some(group) => group_names(group),
                None => vec![identifier(rest)],
            };
            names.extend(found.into_iter().map(|name| (line, name)));
        }
        names
    }
}

/// The modules that exist for tests alone, as paths without `.rs`: those declared under `#[cfg(test)]`.
pub fn test_modules(sources: &[Source]) -> Vec<String> {
    let mut modules = Vec::new();
    for source in sources {
        let module = source.path.strip_suffix(".rs").unwrap_or(&source.path);
        let folder = match module {
            "lib" | "main" => "",
            _ => module.strip_suffix("/mod").unwrap_or(module),
        };
        for (number, line) in source.code.lines().enumerate() {
            let declared = line
                .trim()
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            let declared = declared
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(';'));
            if let Some(name) = declared.filter(|_| source.is_test_line(number)) {
                modules.push(
                    format!("{folder}/{name}")
                        .trim_start_matches('/')
                        .to_string(),
                );
            }
        }
    }
    modules
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first name of each member of `a::B, c::{D, e}, f}`.
fn group_names(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut expected) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && (c.is_alphabetic() || c == '_') => {
                names.push(identifier(&group[at..]));
                expected = false;
            }
            _ => {}
        }
    }
    names
}

/// The lines from a `#[cfg(test)]` (or one with more conditions) to the end of the item behind it.
fn test_lines(code: &str) -> Vec<bool> {
    let lines: Vec<&str> = code.lines().collect();
    let mut tests = vec![false; lines.len()];
    let mut line = 0;
    while line < lines.len() {
        let head = lines[line].trim();
        let conditional = head.starts_with("#[cfg(test)]") || head.starts_with("#[cfg(all(test");
        if !conditional {
            line += 1;
            continue;
        }
        let mut depth = 0;
        let mut opened = false;
        while line < lines.len() {
            tests[line] = true;
            let item = lines[line].trim();
            for c in item.chars().filter(|c| "{}".contains(*c)) {
                depth += if c == '{' { 1 } else { -1 };
                opened = true;
            }
            line += 1;
            let ended = if opened {
                depth == 0
            } else {
                item.ends_with(';') || item.ends_with(',')
            };
            if ended {
                break;
            }
        }
    }
    tests
}

/// What the lexer is in the middle of.
enum State {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    /// A raw string that ends with a quote and so many `#`.
    RawText(usize),
}

/// Replaces comments and the insides of strings and characters by blanks.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let mut length = 1;
        let mut kept = false;
        match state {
            State::Code => match rest {
                ['/', '/', ..] => state = State::LineComment,
                ['/', '*', ..] => (state, length) = (State::BlockComment(1), 2),
                ['"', ..] => (state, kept) = (State::Text, true),
                ['r', ..] if raw_hashes(&chars, at).is_some() => {
                    let hashes = raw_hashes(&chars, at).unwrap_or(0);
                    (state, length) = (State::RawText(hashes), hashes + 2);
                }
                ['\'', ..] => (length, kept) = (character(rest), character(rest) == 1),
                _ => kept = true,
            },
            State::LineComment if rest[0] == '\n' => state = State::Code,
            State::BlockComment(depth) => match rest {
                ['/', '*', ..] => (state, length) = (State::BlockComment(depth + 1), 2),
                ['*', '/', ..] if depth > 1 => {
                    (state, length) = (State::BlockComment(depth - 1), 2)
                }
                ['*', '/', ..] => (state, length) = (State::Code, 2),
                _ => {}
            },
            State::Text => match rest {
                ['\\', _, ..] => length = 2,
                ['"', ..] => (state, kept) = (State::Code, true),
                _ => {}
            },
            State::RawText(hashes) => {
                let end =
                    rest[0] == '"' && rest[1..].iter().take_while(|c| **c == '#').count() >= hashes;
                if end {
                    (state, length) = (State::Code, hashes + 1);
                }
            }
            State::LineComment => {}
        }
        for c in &rest[..length.min(rest.len())] {
            out.push(if kept || *c == '\n' { *c } else { ' ' });
        }
        at += length;
    }
    out
}

/// The `#` of a raw string that starts here, if one does.
fn raw_hashes(chars: &[char], at: usize) -> Option<usize> {
    let word =
        at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b';
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (!word && chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// The length of a character literal that starts here; 1 for the quote of a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => 3 + rest[3..].iter().take_while(|c| **c != '\'').count() + 1,
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}
