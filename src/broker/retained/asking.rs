//! A message that is to be retained on another shard, while there is little room for such messages: its publisher is told
//! that there is none (0x97), or that the message is kept, so the owner of the topic is asked first.
//!
//! The PUBLISH is not handled until the answer is there: its connection waits (`waits`), and what came of it is kept.
//! Then it is decoded again, finds the verdict and goes on. While there is room nobody asks.
//!
//! Invariants: a connection asks for one message at a time, the first of what is kept of it. After every grant exactly
//! one store with `promised`, or one release, goes to the owner: so what it has promised is what is under way.

use crate::broker::continuation::{Continuation, Late};
use crate::ids::ShardId;
use crate::mqtt::{Publish, Version};

/// An owner was asked for room.
pub(crate) struct RoomAsked {
    /// Tells the message that it is about.
    pub topic: u64,
    pub owner: ShardId,
    /// The verdict: bytes that were promised, 0 for none.
    pub promised: Option<u32>,
}

impl Continuation for RoomAsked {
    /// As if there were none.
    fn be_late(&mut self) -> Late {
        self.promised = Some(0);
        Late::GoesOn
    }
}

/// Room that was promised.
#[derive(Default)]
pub(crate) struct Promises {
    /// Bytes that were promised for the message that is being handled; 0 if nobody was asked about it.
    granted: u32,
    /// Bytes that this shard has promised as an owner.
    promised: u64,
}

impl Promises {
    /// So many bytes were promised for the message that is being handled.
    pub(crate) fn grant(&mut self, promised: u32) {
        self.granted = promised;
    }

    /// Bytes that were promised for the message that is being handled, once.
    pub(crate) fn take_granted(&mut self) -> u32 {
        std::mem::take(&mut self.granted)
    }

    /// Another shard is promised so many bytes.
    pub(crate) fn promise(&mut self, promised: u32) {
        self.promised += u64::from(promised);
    }

    /// Bytes that others have been promised here.
    pub(crate) fn promised(&self) -> u64 {
        self.promised
    }

    /// A promise is kept, or not needed any more.
    pub(crate) fn settle(&mut self, promised: u32) {
        self.promised = self.promised.saturating_sub(promised.into());
    }
}

/// Whether a publisher can be told that its message is not retained, so that it is refused instead of passed on.
pub(crate) fn can_be_told(version: Version, publish: &Publish<'_>) -> bool {
    publish.packet_id.is_some() && !publish.payload.is_empty() && version == Version::V5
}
