//! Text of strangers in lines that people and programs read: nothing that a client calls itself can reorder, hide, break
//! or forge a line of the log.
//!
//! A *name* (client id, user name, topic, filter) is cut, and beside what does not show or moves other characters, those
//! are escaped that give a line its form: brackets stand around the broker's own words only, so that a filter which looks for
//! `[ADDRESS:PORT]` finds the address that the broker has seen, whatever the name before it is.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::limits::LOG_NAME_BYTES_MAX;

/// A name as lines have it: escaped, and cut at `LOG_NAME_BYTES_MAX` with the number of bytes that are left out behind it in
/// brackets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a>(pub &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rest) = self
            .0
            .split_at(self.0.floor_char_boundary(LOG_NAME_BYTES_MAX));
        let gives_form = |letter: char| matches!(letter, '[' | ']' | '\'' | '\\');
        let mut plain = name;
        while let Some(at) = plain.find(|letter| gives_form(letter) || !shows(letter)) {
            let (before, after) = plain.split_at(at);
            f.write_str(before)?;
            let mut letters = after.chars();
            match letters.next() {
                Some('\\') => f.write_str("\\\\")?,
                Some(letter) => write!(f, "{}", escaped(letter))?,
                None => {}
            }
            plain = letters.as_str();
        }
        f.write_str(plain)?;
        match rest.len() {
            0 => Ok(()),
            more => write!(f, "[+{more} bytes]"),
        }
    }
}

/// A whole text on one line, with nothing in it that does not show or moves other characters.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let is_odd = |letter: char| letter != '\t' && !shows(letter);
    if !text.contains(is_odd) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match is_odd(letter) {
            true => line.extend(escaped(letter)),
            false => line.push(letter),
        }
    }
    line.into()
}

/// The same for a JSON text: what does not show is written as JSON's own escapes, so that whoever reads it gets what
/// was there.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    if text.chars().all(shows) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match shows(letter) {
            true => line.push(letter),
            false => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Nothing fails that is written to a string.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.into()
}

fn escaped(letter: char) -> Escaped {
    match letter {
        '\n' | '\r' | '\t' => Escaped::Short(letter.escape_default()),
        _ => Escaped::Long(letter.escape_unicode()),
    }
}

/// An escaped character.
enum Escaped {
    Short(std::char::EscapeDefault),
    Long(std::char::EscapeUnicode),
}

impl Iterator for Escaped {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Escaped::Short(letters) => letters.next(),
            Escaped::Long(letters) => letters.next(),
        }
    }
}

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Escaped::Short(letters) => letters.fmt(f),
            Escaped::Long(letters) => letters.fmt(f),
        }
    }
}

/// Whether a character takes its place in a line and leaves the others in theirs. Not controls, what Unicode calls format
/// characters (marks of direction, zero width), separators of lines and paragraphs, blanks other than the common one,
/// code points that have no character, and letters that show nothing.
pub(crate) fn shows(letter: char) -> bool {
    match letter {
        ' '..='~' => true,
        '\0'..='\u{9F}' => false,
        // Grapheme joiner, Hangul fillers, Khmer inherent vowels, selectors of variants, the Braille blank.
        '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' => {
            false
        }
        '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' => false,
        '\u{E0000}'..='\u{E0FFF}' => false,
        _ => is_printed(letter),
    }
}

/// What the standard library prints as it is, by its table of Unicode's categories; behind another character, so that accents
/// that are characters of their own stay.
fn is_printed(letter: char) -> bool {
    let mut bytes = [b'a'; 5];
    let len = 1 + letter.encode_utf8(&mut bytes[1..]).len();
    let text = std::str::from_utf8(&bytes[..len]).unwrap_or_default();
    text.escape_debug().nth(1) == Some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        Name(text).to_string()
    }

    #[test]
    fn names_that_people_have_stay_as_they_are() {
        for plain in [
            "sensor-7",
            "a b/c:d.e",
            "größe",
            "日本",
            "e\u{301}",
            "\u{5D0}\u{5D1}",
            "(x) {y} \"z\" 🙂",
        ] {
            assert_eq!(name(plain), plain);
            assert_eq!(one_line(plain), plain);
        }
    }

    #[test]
    fn what_gives_a_line_its_form_is_escaped_in_names_only() {
        let forged = "x [9.9.9.9:1] disconnected: not authorised.";
        let shown = name(forged);
        assert_eq!(
            shown,
            "x \\u{5b}9.9.9.9:1\\u{5d} disconnected: not authorised."
        );
        assert_eq!(one_line(forged), forged);
        assert_eq!(name("a', u'admin"), "a\\u{27}, u\\u{27}admin");
        assert_eq!(name("\\u{5b}"), "\\\\u{5b}", "an escape cannot be made up");
    }

    #[test]
    fn what_reorders_hides_or_breaks_a_line_is_escaped() {
        let marks = [
            '\n',
            '\r',
            '\0',
            '\u{7F}',
            '\u{1B}',
            '\u{85}',
            '\u{9B}',
            '\u{AD}',
            '\u{A0}',
            '\u{61C}',
            '\u{180E}',
            '\u{200B}',
            '\u{200D}',
            '\u{200E}',
            '\u{200F}',
            '\u{2003}',
            '\u{2028}',
            '\u{2029}',
            '\u{202A}',
            '\u{202B}',
            '\u{202C}',
            '\u{202D}',
            '\u{202E}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{206F}',
            '\u{3000}',
            '\u{3164}',
            '\u{FE0F}',
            '\u{FEFF}',
            '\u{FFF9}',
            '\u{FFFB}',
            '\u{110BD}',
            '\u{1D173}',
            '\u{E0001}',
            '\u{E0041}',
            '\u{E0100}',
            '\u{FDD0}',
            '\u{10FFFF}',
        ];
        for mark in marks {
            let text = format!("a{mark}b");
            for shown in [
                name(&text),
                one_line(&text).into_owned(),
                json(&text).into_owned(),
            ] {
                assert!(shown.is_ascii() && shown.contains('\\'), "{shown:?}");
                assert!(!shown.contains(char::is_control), "{shown:?}");
            }
        }
        assert_eq!(one_line("a\tb"), "a\tb");
        assert_eq!(one_line("a\n\u{202E}b"), "a\\n\\u{202e}b");
        let quoted = json("\"\u{E0041}\u{2028}\"").into_owned();
        assert_eq!(quoted, "\"\\udb40\\udc41\\u2028\"");
        assert_eq!(
            serde_json::from_str::<String>(&quoted).unwrap(),
            "\u{E0041}\u{2028}"
        );
    }

    #[test]
    fn names_are_cut_and_that_is_said() {
        let long = "n".repeat(65_535);
        let shown = name(&long);
        assert_eq!(shown.len(), LOG_NAME_BYTES_MAX + "[+65279 bytes]".len());
        assert!(shown.ends_with("n[+65279 bytes]"));
        // Between characters, not in one.
        let long = "ä".repeat(LOG_NAME_BYTES_MAX);
        assert!(name(&format!("a{long}")).ends_with("ä[+258 bytes]"));
        assert_eq!(
            name(&"n".repeat(LOG_NAME_BYTES_MAX)).len(),
            LOG_NAME_BYTES_MAX
        );
        // The worst that a name can become.
        let worst = "\u{AD}".repeat(40_000);
        assert!(name(&worst).len() < 4 * LOG_NAME_BYTES_MAX);
    }
}
