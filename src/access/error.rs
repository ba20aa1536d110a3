//! What can be wrong with a file of rules, and where.

use std::borrow::Cow;
use std::fmt;

/// A line that the file is refused for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub cause: Cause,
}

/// A line that is taken, but that its author may have meant otherwise; or one that is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line, from 1.
    pub line: u32,
    /// What to know of it.
    pub text: Cow<'static, str>,
}

/// One variant per way to get a line wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is not UTF-8.
    NotText,
    /// It begins with none of the words that a line of an ACL file begins with.
    UnknownWord(String),
    /// `topic` or `pattern` without a topic.
    NoTopic,
    /// The word before the topic is no access.
    UnknownAccess(String),
    /// The topic could not be subscribed to.
    InvalidTopic(String),
    /// `user` without a name, or a line of a password file.
    NoUser,
    /// A line of a password file without a password.
    NoPassword,
    /// The password of this user is not as it should be.
    BadPassword { user: String, rule: &'static str },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.cause)
    }
}

impl std::error::Error for FileError {}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NotText => write!(f, "not UTF-8 text"),
            Cause::UnknownWord(word) => {
                write!(f, "`{word}` is none of user, topic, pattern")
            }
            Cause::NoTopic => write!(f, "the topic is missing"),
            Cause::UnknownAccess(word) => {
                write!(f, "`{word}` is none of read, write, readwrite, deny")
            }
            Cause::InvalidTopic(topic) => {
                write!(
                    f,
                    "`{topic}` is not a topic filter: + has to be a whole level, # the last one"
                )
            }
            Cause::NoPassword => write!(f, "the password is missing; a line is NAME:HASH"),
            Cause::BadPassword { user, rule } => write!(f, "user `{user}`: {rule}"),
            Cause::NoUser => write!(f, "the user name is missing"),
        }
    }
}
