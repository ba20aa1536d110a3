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
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.misdeed),
            None => self.misdeed.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}

/// One variant per way to get a configuration wrong.
#[derive(Debug)]
pub enum Misdeed {
    /// A file or directory could not be read.
    Unreadable { path: PathBuf, error: io::Error },
    /// A line of a file that the option names is wrong.
    InFile { path: PathBuf, error: FileError },
    /// A certificate, key or list in a file cannot be used.
    InTlsFile { path: PathBuf, text: String },
    /// A line is not UTF-8.
    NotText,
    /// No option of this name exists, here or in Mosquitto.
    UnknownOption {
        name: String,
        meant: Option<&'static str>,
    },
    /// The option stands without a value.
    Empty { name: &'static str },
    /// The value is neither `true` nor `false`.
    NotBoolean { name: &'static str, value: String },
    /// The value is not a whole number.
    NotNumber { name: &'static str, value: String },
    /// The number is outside the option's range.
    OutOfRange {
        name: &'static str,
        value: String,
        min: i64,
        max: i64,
    },
    /// The value is none of those that the option knows.
    NotOneOf {
        name: &'static str,
        value: String,
        choices: String,
    },
    /// The value breaks a rule of its option.
    Invalid {
        name: &'static str,
        value: String,
        rule: &'static str,
    },
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

impl fmt::Display for Misdeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misdeed::Unreadable { path, error } => {
                write!(f, "cannot read {}: {error}", absolute(path).display())
            }
            Misdeed::InFile { path, error } => {
                let path = absolute(path);
                write!(f, "{}:{}: {}", path.display(), error.line, error.cause)
            }
            Misdeed::InTlsFile { path, text } => {
                write!(f, "{}: {text}", absolute(path).display())
            }
            Misdeed::NotText => write!(f, "the line is not UTF-8 text"),
            Misdeed::UnknownOption {
                name,
                meant: Some(meant),
            } => {
                write!(f, "unknown option `{name}`; did you mean `{meant}`?")
            }
            Misdeed::UnknownOption { name, meant: None } => write!(f, "unknown option `{name}`"),
            Misdeed::Empty { name } => write!(f, "{name}: the value is missing"),
            Misdeed::NotBoolean { name, value } => {
                write!(f, "{name}: `{value}` is neither true nor false")
            }
            Misdeed::NotNumber { name, value } => {
                write!(f, "{name}: `{value}` is not a whole number")
            }
            Misdeed::OutOfRange {
                name,
                value,
                min,
                max: i64::MAX,
            } => {
                write!(f, "{name}: {value} is out of range, the least is {min}")
            }
            Misdeed::OutOfRange {
                name,
                value,
                min,
                max,
            } => {
                write!(f, "{name}: {value} is out of range, {min} to {max}")
            }
            Misdeed::NotOneOf {
                name,
                value,
                choices,
            } => {
                write!(f, "{name}: `{value}` is none of {choices}")
            }
            Misdeed::Invalid { name, value, rule } => write!(f, "{name}: `{value}`: {rule}"),
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

impl Misdeed {
    /// A value that is none of the words that an option knows.
    pub(super) fn not_one_of(name: &'static str, value: &str, choices: &[&str]) -> Misdeed {
        Misdeed::NotOneOf {
            name,
            value: value.into(),
            choices: choices.join(", "),
        }
    }
}
