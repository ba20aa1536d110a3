//! What can be wrong with what is read.

use std::fmt;

/// A misdeed of a journal that is read. The bytes came whole from the disk (their checksum is right), so it was written by another
/// version, or by a fault of ours: it is never skipped silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A record ends before it is complete.
    Short,
    /// There is more in a record than belongs to it.
    Long,
    /// A number is out of its range.
    Number,
    /// A text is not UTF-8, or not what it is to be (a topic name, a filter).
    Text,
    /// A record that this version does not know, and may not leave out.
    Kind(u8),
    /// Something is said of a session that there is not, or there is twice.
    Session(u32),
    /// A message is referred to that there is not.
    Message(u64),
    /// A list of sessions is referred to that there is not.
    List(u64),
    /// Something is said of a subscription, a will or an identifier that the session does not have.
    Unknown,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Short => f.write_str("a record ends too early"),
            Broken::Long => f.write_str("a record is longer than what it holds"),
            Broken::Number => f.write_str("a number is out of its range"),
            Broken::Text => f.write_str("a text is not valid"),
            Broken::Kind(kind) => write!(
                f,
                "a record of kind {kind}, which this version does not know"
            ),
            Broken::Session(number) => {
                write!(f, "something of session {number}, which does not fit")
            }
            Broken::Message(number) => write!(f, "message {number} is not there"),
            Broken::List(number) => write!(f, "list {number} is not there"),
            Broken::Unknown => f.write_str("something is taken back that was never said"),
        }
    }
}

impl std::error::Error for Broken {}
