//! What can be wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::paths::absolute;
use crate::access::FileError;

/// A line of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, as it was named.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Something that the broker goes on without, but that its operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The line it is about.
    pub at: Location,
    /// The option it is about, as written.
    pub option: String,
    /// What is the matter, and what happens instead.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.option, self.text)
    }
}

/// A configuration that the broker does not start with.
#[derive(Debug)]
pub struct ConfigError {
    /// The line; `None` when a whole file could not be read and no line asked for it.
    pub at: Option<Location>,
    /// What is wrong.
    pub misdeed: Misdeed,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        self.misdeed.fmt(f)?;
        match self.misdeed.is_forbidden() {
            true => write!(
                f,
                "; let the user that the broker runs as read it (chown, or chgrp and chmod g+r), and enter the folders above it"
            ),
            false => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// One variant per way to get a configuration wrong.
#[derive(Debug)]
pub enum Misdeed {
    /// A file or directory that is read, or that an option names, cannot be used.
    File {
        /// As it was named.
        path: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
    },
    /// The value of an option cannot be used.
    Value {
        /// The option.
        name: &'static str,
        /// The value, as written.
        value: String,
        /// What is wrong with it.
        fault: ValueFault,
    },
    /// A line is not UTF-8.
    NotText,
    /// No option of this name exists, here or in Mosquitto.
    UnknownOption {
        name: String,
        meant: Option<&'static str>,
    },
    /// The option stands without a value.
    Empty { name: &'static str },
    /// The option may be given once.
    Duplicate { name: &'static str },
    /// The option may be given once for each value.
    Twice { name: &'static str, value: String },
    /// The accounts that have a size are larger together than the limit on memory.
    AccountsAboveLimit { sum: String, limit: String },
    /// The option has to stand elsewhere.
    Misplaced {
        name: &'static str,
        rule: &'static str,
    },
    /// Mosquitto has it, this broker does not yet, and there is no going on without.
    NotYet { what: String },
    /// Mosquitto has it, this broker does not yet, and going on without would let in whom it keeps out.
    WouldOpen { name: &'static str },
}

/// What can be wrong with a file.
#[derive(Debug)]
pub enum FileFault {
    /// It could not be read.
    Unreadable(io::Error),
    /// Nothing stands in it, and something did.
    Emptied,
    /// A line of it is wrong.
    Line(FileError),
    /// A certificate, key or list in it cannot be used.
    Tls(String),
}

/// What can be wrong with a value.
#[derive(Debug)]
pub enum ValueFault {
    /// It is neither `true` nor `false`.
    NotBoolean,
    /// It is not a whole number.
    NotNumber,
    /// The number is outside the option's range; `i64::MAX` is no bound.
    OutOfRange { min: i64, max: i64 },
    /// It is none of those that the option knows.
    NotOneOf { choices: String },
    /// It breaks a rule of its option.
    Invalid { rule: &'static str },
}

impl fmt::Display for Misdeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misdeed::File { path, fault } => fault.fmt(&absolute(path), f),
            Misdeed::Value { name, value, fault } => {
                write!(f, "{name}: ")?;
                fault.fmt(value, f)
            }
            Misdeed::NotText => write!(f, "the line is not UTF-8 text"),
            Misdeed::UnknownOption { name, meant } => {
                write!(f, "unknown option `{name}`")?;
                match meant {
                    Some(meant) => write!(f, "; did you mean `{meant}`?"),
                    None => Ok(()),
                }
            }
            Misdeed::Empty { name } => write!(f, "{name}: the value is missing"),
            Misdeed::Duplicate { name } => write!(f, "{name}: given twice"),
            Misdeed::Twice { name, value } => write!(f, "{name}: {value} is given twice"),
            Misdeed::AccountsAboveLimit { sum, limit } => write!(
                f,
                "memory_account: the accounts come to {sum}, more than memory_limit has ({limit}); \
                 raise the limit or make accounts smaller"
            ),
            Misdeed::Misplaced { name, rule } => write!(f, "{name}: {rule}"),
            Misdeed::NotYet { what } => write!(f, "{what}: not supported yet"),
            Misdeed::WouldOpen { name } => write!(
                f,
                "{name}: not supported yet, and ignoring it would open the broker to those it keeps out; \
                 remove the line to accept that"
            ),
        }
    }
}

impl FileFault {
    fn fmt(&self, path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = path.display();
        match self {
            FileFault::Unreadable(error) => write!(f, "cannot read {path}: {error}"),
            FileFault::Emptied => write!(
                f,
                "{path} is empty, as while it is being written; put a comment into it if nothing is to stand there"
            ),
            FileFault::Line(error) => write!(f, "{path}:{}: {}", error.line, error.cause),
            FileFault::Tls(text) => write!(f, "{path}: {text}"),
        }
    }
}

impl ValueFault {
    fn fmt(&self, value: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueFault::NotBoolean => write!(f, "`{value}` is neither true nor false"),
            ValueFault::NotNumber => write!(f, "`{value}` is not a whole number"),
            ValueFault::OutOfRange { min, max: i64::MAX } => {
                write!(f, "{value} is out of range, the least is {min}")
            }
            ValueFault::OutOfRange { min, max } => {
                write!(f, "{value} is out of range, {min} to {max}")
            }
            ValueFault::NotOneOf { choices } => write!(f, "`{value}` is none of {choices}"),
            ValueFault::Invalid { rule } => write!(f, "`{value}`: {rule}"),
        }
    }
}

impl Misdeed {
    /// A file that cannot be used.
    pub(super) fn file(path: &Path, fault: FileFault) -> Misdeed {
        let path = path.to_path_buf();
        Misdeed::File { path, fault }
    }

    /// A file or directory that cannot be read.
    pub(super) fn unreadable(path: &Path, error: io::Error) -> Misdeed {
        Misdeed::file(path, FileFault::Unreadable(error))
    }

    /// A value that cannot be used.
    pub(super) fn value(name: &'static str, value: &str, fault: ValueFault) -> Misdeed {
        let value = value.into();
        Misdeed::Value { name, value, fault }
    }

    /// A value that is none of the words that an option knows.
    pub(super) fn not_one_of(name: &'static str, value: &str, choices: &[&str]) -> Misdeed {
        let choices = choices.join(", ");
        Misdeed::value(name, value, ValueFault::NotOneOf { choices })
    }

    /// Whether a file may not be read for want of permission.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Misdeed::File { fault: FileFault::Unreadable(error), .. }
                if error.kind() == io::ErrorKind::PermissionDenied
        )
    }
}
