//! The syntax of one line: an option's name, blanks, its value.
//!
//! As in Mosquitto a value that is a word ends at the next blank and what follows is not looked at, while a text runs
//! to the end of the line; `#` starts a comment only where an option could start. Tabs are blanks here, which they are
//! not in Mosquitto.

use super::error::{Misdeed, ValueFault};

const BLANKS: [char; 2] = [' ', '\t'];

/// A line that holds an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The option's name, as written.
    pub name: &'a str,
    /// The rest, without the blanks around it.
    pub value: &'a str,
}

impl<'a> Line<'a> {
    /// `None` for an empty line and a comment.
    pub(super) fn parse(text: &'a str) -> Option<Line<'a>> {
        let text = text.trim_end_matches(['\r', '\n']).trim_matches(BLANKS);
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let (name, value) = text.split_once(BLANKS).unwrap_or((text, ""));
        Some(Line {
            name,
            value: value.trim_matches(BLANKS),
        })
    }

    /// The words of the value, up to a comment.
    pub(super) fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value
            .split(BLANKS)
            .filter(|word| !word.is_empty())
            .take_while(|word| !word.starts_with('#'))
    }

    /// The value that is one word.
    pub(super) fn word(&self, name: &'static str) -> Result<&'a str, Misdeed> {
        self.words().next().ok_or(Misdeed::Empty { name })
    }

    /// The value that is all of the rest.
    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, Misdeed> {
        if self.value.is_empty() {
            Err(Misdeed::Empty { name })
        } else {
            Ok(self.value)
        }
    }
}

/// The text of a line, and whether something was left out: a comment may have any encoding, behind a value too. `None`
/// where what is not UTF-8 is no comment.
pub(super) fn text(bytes: &[u8]) -> Option<(&str, bool)> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => return Some((text, false)),
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
    };
    if valid.trim_start_matches(BLANKS).starts_with('#') {
        return Some(("", false));
    }
    let comment = BLANKS
        .iter()
        .filter_map(|blank| valid.find(&format!("{blank}#")));
    comment.min().map(|start| (&valid[..start], true))
}

/// `true`, `false`, `1` or `0`, as Mosquitto takes them.
pub(super) fn boolean(name: &'static str, word: &str) -> Result<bool, Misdeed> {
    match word {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Misdeed::value(name, word, ValueFault::NotBoolean)),
    }
}

/// A whole number, decimal or with `0x`. A leading zero is refused: Mosquitto 2.0 reads such a number as decimal and
/// 2.1 as octal.
pub(super) fn number(name: &'static str, word: &str) -> Result<i64, Misdeed> {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    let parsed = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            i64::from_str_radix(hex, 16).ok()
        }
        None if digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0')) =>
        {
            digits.parse::<i64>().ok()
        }
        _ => None,
    };
    match parsed {
        Some(value) if word.starts_with('-') => Ok(-value),
        Some(value) => Ok(value),
        None => Err(Misdeed::value(name, word, ValueFault::NotNumber)),
    }
}

/// A span of time with its unit, in seconds: `s`, `h`, `d`, `w`, `m` (30 days) or `y` (365 days).
pub(super) fn seconds(word: &str) -> Option<u64> {
    let unit = match word.chars().next_back()? {
        's' => 1,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        'm' => 30 * 86_400,
        'y' => 365 * 86_400,
        _ => return None,
    };
    let count = &word[..word.len() - 1];
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    count
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
        .filter(|&seconds| seconds > 0)
}
