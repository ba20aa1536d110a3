//! A message of the bus as it is handed over, and the place in it that the tester stamps.

use crate::load::stamp;

/// Where the stamp begins in every payload: behind `{"fh":"`.
pub const STAMP_OFFSET: usize = stamp::JSON_OFFSET;

/// Characters of the stamp; zeros until it is written.
pub const STAMP_CHARS: usize = 2 * stamp::STAMP_BYTES;

/// Which service an event comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Source {
    #[default]
    Gerrit,
    Launchpad,
    Ansible,
    Subunit,
    Logstash,
}

impl Source {
    /// What it is called in reports.
    pub fn name(self) -> &'static str {
        match self {
            Source::Gerrit => "gerrit",
            Source::Launchpad => "launchpad",
            Source::Ansible => "ansible",
            Source::Subunit => "subunit",
            Source::Logstash => "logstash",
        }
    }
}

/// A message of the bus; filled again by `Bus::next`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When it happens, from the start.
    pub at_ns: u64,
    pub source: Source,
    /// The client that publishes it, below the number of publishers.
    pub publisher: u32,
    pub topic: String,
    pub payload: Vec<u8>,
}
