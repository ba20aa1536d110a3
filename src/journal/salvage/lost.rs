//! What is not kept of a stream, and whom and what that was about, as far as what is left tells.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Span};
use crate::journal::about::{About, Concerned};
use crate::journal::decode::Decoder;
use crate::journal::error::Broken;
use crate::journal::ledger::Ledger;
use crate::journal::stream::Joiner;
use crate::limits::JOURNAL_CHUNK_BYTES;

/// What is not kept of a stream: what lies behind its span.
#[derive(Clone, Debug, Default)]
pub struct Lost {
    /// Chunks that are there and are of no use.
    pub chunks: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Segment and byte of the first.
    pub place: Option<(u32, u64)>,
    /// Chunks that are not there, as far as others come behind them.
    pub missing: u64,
    /// Chunks that are there, and of which it is not known where a record begins: nobody is named in them.
    pub unread: u64,
    /// Something is said of sessions whose clients are named nowhere.
    pub has_nameless: bool,
    /// Clients of whose sessions it said something.
    pub clients: BTreeSet<String>,
    /// Topics of messages that it had.
    pub topics: BTreeSet<String>,
}

impl Lost {
    /// Whether nothing is lost.
    pub fn is_nothing(&self) -> bool {
        self.chunks == 0 && self.missing == 0
    }

    /// Whether clients and topics are all that there were.
    pub fn names_all(&self) -> bool {
        self.missing == 0 && self.unread == 0 && !self.has_nameless
    }
}

/// Reads names in what cannot be read in its order.
#[derive(Debug, Default)]
pub struct Glance {
    lost: Lost,
    /// From where a record is known to begin.
    reads: Option<(Joiner, Decoder)>,
    /// The number of the chunk that follows.
    next: Option<u64>,
    /// The last chunk ended with a record: it was not full.
    ends_record: bool,
    /// Clients of sessions that began in what is lost.
    opened: BTreeMap<u32, String>,
}

impl Glance {
    /// Sees the next chunk of the stream that is there. `ledger` is what its `span` comes to.
    pub fn see(&mut self, chunk: &Found<'_>, span: Option<Span>, ledger: Option<&Ledger>) {
        let gap = self
            .next
            .map_or(0, |next| chunk.sequence.saturating_sub(next));
        let follows = self.next == Some(chunk.sequence);
        if !follows {
            self.reads = None;
        }
        if span.is_none_or(|span| span.is_before(chunk.sequence)) {
            self.lost.missing += gap;
            if follows && self.ends_record && self.reads.is_none() {
                self.reads = Some(Default::default());
            }
            self.note(chunk);
            self.name(chunk.content, ledger);
        }
        self.next = Some(chunk.sequence.saturating_add(1));
        self.ends_record = chunk.content.len() < JOURNAL_CHUNK_BYTES;
    }

    /// What is lost of the stream.
    pub fn end(self) -> Lost {
        self.lost
    }

    fn note(&mut self, chunk: &Found<'_>) {
        let lost = &mut self.lost;
        lost.chunks += 1;
        lost.bytes += chunk.content.len() as u64;
        lost.place.get_or_insert(chunk.place);
    }

    fn name(&mut self, content: &[u8], ledger: Option<&Ledger>) {
        let Some((mut joiner, mut decoder)) = self.reads.take() else {
            self.lost.unread += 1;
            return;
        };
        let read = joiner.feed(content, |record| {
            if let Some(record) = decoder.decode(record)? {
                self.take(record.about(), ledger);
            }
            Ok::<(), Broken>(())
        });
        match read {
            Ok(_) => self.reads = Some((joiner, decoder)),
            Err(_) => self.lost.unread += 1,
        }
    }

    fn take(&mut self, about: About<'_>, ledger: Option<&Ledger>) {
        if let (Concerned::One(session), Some(client_id)) = (about.sessions, about.client_id) {
            self.opened.insert(session, client_id.into());
        }
        self.lost.topics.extend(about.topic.map(Into::into));
        match about.sessions {
            Concerned::Nobody => {}
            Concerned::One(session) => self.name_sessions(&[session], ledger),
            Concerned::All(sessions) => self.name_sessions(sessions, ledger),
            // What its number stood for may have changed in what is missing.
            Concerned::Known(_) => self.lost.has_nameless = true,
        }
    }

    fn name_sessions(&mut self, sessions: &[u32], ledger: Option<&Ledger>) {
        for &session in sessions {
            let before = || Some(ledger?.session(session)?.client_id.to_string());
            match self.opened.get(&session).cloned().or_else(before) {
                Some(client) => {
                    self.lost.clients.insert(client);
                }
                None => self.lost.has_nameless = true,
            }
        }
    }
}
