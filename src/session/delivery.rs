//! A message on its way to one client.

use std::sync::Arc;

use crate::ids::{GroupId, ShardId};
use crate::mqtt::message::Message;
use crate::routing::Grant;

/// Where a message came from: a shared subscription of this or another shard, or an ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(u32);

impl Origin {
    /// An ordinary subscription.
    pub const ORDINARY: Origin = Origin(u32::MAX);
    /// A retained message, sent because of a new subscription.
    pub const RETAINED: Origin = Origin(u32::MAX - 1);

    /// A shared subscription that this shard owns.
    pub fn shared(owner: ShardId, group: GroupId) -> Self {
        Origin(u32::from(owner.0) << 24 | group.0 & 0xff_ffff)
    }

    /// The owner and the group, if it was a shared subscription.
    pub fn group(self) -> Option<(ShardId, GroupId)> {
        let group = (ShardId((self.0 >> 24) as u8), GroupId(self.0 & 0xff_ffff));
        (self.0 < Self::RETAINED.0).then_some(group)
    }
}

/// How a message is delivered, and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// How it is delivered.
    pub grant: Grant,
    /// Where it came from.
    pub origin: Origin,
}

impl Way {
    /// As two words, for who writes it down: the grant's, and where the message came from.
    pub(crate) fn to_words(self) -> (u32, u32) {
        (self.grant.bits(), self.origin.0)
    }

    /// The inverse of `to_words`; `None` of words that no delivery has.
    pub(crate) fn from_words(grant: u32, origin: u32) -> Option<Way> {
        let grant = Grant::checked(grant)?;
        let origin = Origin(origin);
        Some(Way { grant, origin })
    }

    /// As bytes.
    pub(super) fn to_bytes(self) -> [u8; 8] {
        let word = u64::from(self.grant.bits()) << 32 | u64::from(self.origin.0);
        word.to_le_bytes()
    }

    /// The inverse of `to_bytes`.
    pub(super) fn from_bytes(bytes: [u8; 8]) -> Way {
        let word = u64::from_le_bytes(bytes);
        Way {
            grant: Grant::from_bits((word >> 32) as u32),
            origin: Origin(word as u32),
        }
    }
}

/// A message for one client: the message and how it is to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// How it is delivered.
    pub grant: Grant,
    /// Where it came from.
    pub origin: Origin,
    /// The number of the message on this shard.
    pub number: u64,
}

impl Delivery {
    /// How it is delivered, and where it came from.
    pub(crate) fn way(&self) -> Way {
        Way {
            grant: self.grant,
            origin: self.origin,
        }
    }

    pub(super) fn of(message: Arc<Message>, way: Way, number: u64) -> Delivery {
        let Way { grant, origin } = way;
        Delivery {
            message,
            grant,
            origin,
            number,
        }
    }
}
