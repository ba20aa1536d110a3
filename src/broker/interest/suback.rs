//! A SUBSCRIBE that has not been answered yet.

use smallvec::SmallVec;

use crate::broker::continuation::Continuation;
use crate::ids::ConnId;
use crate::mqtt::{PacketId, ReasonCode};
use crate::routing::EntryOptions;

/// What SUBACK will say and to whom, and what follows it.
pub(crate) struct Suback {
    pub conn: ConnId,
    /// The line by which the connection is owed it (`waits`); 0 while its SUBSCRIBE is being handled.
    pub line: u32,
    pub packet_id: PacketId,
    pub reasons: SmallVec<[ReasonCode; 4]>,
    /// Filters whose retained messages are wanted.
    pub replays: SmallVec<[(Box<str>, EntryOptions); 1]>,
}

impl Suback {
    /// Of a SUBSCRIBE of which no filter has been looked at.
    pub(crate) fn new(conn: ConnId, packet_id: PacketId) -> Suback {
        Suback {
            conn,
            line: 0,
            packet_id,
            reasons: SmallVec::new(),
            replays: SmallVec::new(),
        }
    }
}

impl Continuation for Suback {
    fn memory(&self) -> usize {
        let reasons = match self.reasons.spilled() {
            true => self.reasons.capacity(),
            false => 0,
        };
        let replays = match self.replays.spilled() {
            true => self.replays.capacity() * size_of::<(Box<str>, EntryOptions)>(),
            false => 0,
        };
        let filters: usize = self.replays.iter().map(|(filter, _)| filter.len()).sum();
        reasons + replays + filters
    }
}
