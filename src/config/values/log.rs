//! Options of the log with a form of their own.

use crate::broker::{LogKind, LogMask};
use crate::config::draft::{Globals, Note};
use crate::config::error::Misdeed;
use crate::config::line::Line;
use crate::config::model::LogDestination;

/// `none` takes back the destinations above it; each of the others adds one.
pub(crate) fn log_dest(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let word = line.word(name)?;
    let destinations = globals.log_destinations.get_or_insert_default();
    let destination = match word {
        "none" => {
            destinations.clear();
            return Ok(None);
        }
        "stdout" => LogDestination::Stdout,
        "stderr" => LogDestination::Stderr,
        "file" => {
            if destinations
                .iter()
                .any(|other| matches!(other, LogDestination::File(_)))
            {
                return Err(Misdeed::Duplicate {
                    name: "log_dest file",
                });
            }
            let path = line.value[word.len()..].trim();
            if path.is_empty() {
                return Err(Misdeed::Empty {
                    name: "log_dest file",
                });
            }
            LogDestination::File(path.into())
        }
        "syslog" => LogDestination::Syslog,
        "journald" => LogDestination::Journald,
        "topic" => LogDestination::Topic,
        "dlt" => {
            if destinations.is_empty() {
                globals.log_destinations = None;
            }
            return Ok(Some(format!(
                "the destination {word} is not supported yet and gets no lines"
            )));
        }
        other => {
            let choices = [
                "none", "stdout", "stderr", "file", "syslog", "journald", "topic", "dlt",
            ];
            return Err(Misdeed::not_one_of(name, other, &choices));
        }
    };
    if !destinations.contains(&destination) {
        destinations.push(destination);
    }
    Ok(None)
}

pub(crate) fn log_format(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    globals.config.log.json = match line.word(name)? {
        "text" => false,
        "json" => true,
        other => return Err(Misdeed::not_one_of(name, other, &["text", "json"])),
    };
    Ok(None)
}

/// The words of `log_type`; `none` takes back the kinds above it, `all` stands for each of them.
#[rustfmt::skip]
const LOG_TYPES: [(&str, LogMask); 11] = [
    ("none", LogMask::NONE),
    ("error", LogMask(LogKind::Error as u16)),
    ("warning", LogMask(LogKind::Warning as u16)),
    ("notice", LogMask(LogKind::Notice as u16)),
    ("information", LogMask(LogKind::Information as u16)),
    ("subscribe", LogMask(LogKind::Subscribe as u16)),
    ("unsubscribe", LogMask(LogKind::Unsubscribe as u16)),
    ("debug", LogMask(LogKind::Debug as u16)),
    ("websockets", LogMask(LogKind::Websockets as u16)),
    ("internal", LogMask(LogKind::Internal as u16)),
    ("all", LogMask::ALL),
];

pub(crate) fn log_type(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let word = line.word(name)?;
    let Some((_, mask)) = LOG_TYPES.iter().find(|(choice, _)| *choice == word) else {
        return Err(Misdeed::not_one_of(
            name,
            word,
            &LOG_TYPES.map(|(choice, _)| choice),
        ));
    };
    let before = globals.log_types.unwrap_or(LogMask::NONE);
    let nothing = *mask == LogMask::NONE;
    globals.log_types = Some(if nothing {
        LogMask::NONE
    } else {
        LogMask(before.0 | mask.0)
    });
    Ok(None)
}
