//! The text of an ACL file, as Mosquitto 2.0 reads it: `user NAME`, `topic [ACCESS] TOPIC`, `pattern [ACCESS] TOPIC`.
//!
//! As there, the first word is the access only where something follows it, a topic runs to the end of the line with
//! blanks inside, `#` starts a comment only where a line starts, and patterns are everybody's wherever they stand.
//! Beyond it, tabs are blanks and a comment may be indented.

use super::error::{Cause, FileError, Note};
use super::rules::{Acl, DENY, READ, WRITE};
use crate::mqtt::topic;

const BLANKS: [char; 2] = [' ', '\t'];

impl Acl {
    /// Reads an ACL file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &[u8]) -> Result<(Acl, Vec<Note>), FileError> {
        let mut reader = Reader::default();
        for (index, bytes) in lines(text).enumerate() {
            reader.line = index as u32 + 1;
            let taken = match std::str::from_utf8(bytes) {
                Ok(line) => reader.take(line),
                Err(_) if is_comment(bytes) => Ok(()),
                Err(_) => Err(Cause::NotText),
            };
            taken.map_err(|cause| FileError {
                line: reader.line,
                cause,
            })?;
        }
        Ok((reader.acl, reader.notes))
    }
}

#[derive(Default)]
struct Reader<'a> {
    acl: Acl,
    notes: Vec<Note>,
    user: Option<&'a str>,
    line: u32,
}

impl<'a> Reader<'a> {
    fn take(&mut self, line: &'a str) -> Result<(), Cause> {
        let line = line.trim_end().trim_start_matches(BLANKS);
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (word, rest) = split(line);
        match word {
            "user" if rest.is_empty() => Err(Cause::NoUser),
            "user" => {
                self.user = Some(rest);
                Ok(())
            }
            "topic" | "pattern" => self.rule(word == "pattern", rest),
            word => Err(Cause::UnknownWord(word.into())),
        }
    }

    fn rule(&mut self, is_pattern: bool, rest: &str) -> Result<(), Cause> {
        if rest.is_empty() {
            return Err(Cause::NoTopic);
        }
        let (bits, filter) = match split(rest) {
            (topic, "") => {
                if access(topic).is_some() {
                    self.note("taken as a topic of this name, as Mosquitto does; no topic follows");
                }
                (READ | WRITE, topic)
            }
            (word, topic) => match access(word) {
                Some(bits) => (bits, topic),
                None => return Err(Cause::UnknownAccess(word.into())),
            },
        };
        if !topic::topic_filter_valid(filter) || topic::too_deep(filter) {
            return Err(Cause::InvalidTopic(filter.into()));
        }
        if !is_pattern {
            self.acl.section(self.user).add(filter, false, bits);
            return Ok(());
        }
        if !filter.contains("%c") && !filter.contains("%u") {
            self.note("a pattern without %c and %u holds for everybody");
        }
        self.acl.patterns().add(filter, true, bits);
        Ok(())
    }

    fn note(&mut self, text: &'static str) {
        let line = self.line;
        let text = text.into();
        self.notes.push(Note { line, text });
    }
}

/// The lines of a file, without the byte order mark that some editors put in front.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    text.split(|&byte| byte == b'\n')
}

/// Whether a line is a comment, whatever encoding its text has.
fn is_comment(bytes: &[u8]) -> bool {
    let first = bytes.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    first == Some(&b'#')
}

/// The first word, and what follows it.
fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(BLANKS).unwrap_or((text, ""));
    (word, rest.trim_matches(BLANKS))
}

fn access(word: &str) -> Option<u8> {
    match word {
        "read" => Some(READ),
        "write" => Some(WRITE),
        "readwrite" => Some(READ | WRITE),
        "deny" => Some(DENY),
        _ => None,
    }
}
