//! What the owner of a shared subscription and the homes of its members tell one another.

use std::sync::Arc;

use crate::ids::{GroupId, SessionId, ShardId};
use crate::journal::Errand;
use crate::mqtt::message::Message;
use crate::routing::Member;

/// What the owner of a shared subscription and the homes of its members tell one another.
#[derive(Debug, PartialEq)]
pub enum SharedMessage {
    /// A member joins (or changes its options). `ticket` is answered by `Joined` when the barrier has passed.
    Join {
        group: Box<str>,
        filter: Box<str>,
        member: Member,
        ticket: u32,
    },
    /// The barrier of a `Join` has passed.
    Joined { ticket: u32 },
    /// A member leaves.
    Leave {
        group: Box<str>,
        filter: Box<str>,
        session: SessionId,
    },
    /// A member's client came or went.
    Online {
        group: Box<str>,
        filter: Box<str>,
        session: SessionId,
        online: bool,
    },
    /// This message is for this member. If it `insists`, nobody else has room for it.
    Deliver {
        group: GroupId,
        member: Member,
        message: Arc<Message>,
        insists: bool,
    },
    /// The member did not take it, or could not finish it: choose another, or ask the others.
    Return {
        group: GroupId,
        session: SessionId,
        message: Arc<Message>,
        why: Refusal,
    },
    /// Does a member on your shard take this message? Else it goes on to the next.
    Offer(SharedOffer),
}

impl SharedMessage {
    /// The message that it hands from one shard to another, and what is to become of that.
    pub(in crate::broker) fn handed(
        &self,
        from: ShardId,
        to: ShardId,
    ) -> Option<(Errand, Arc<Message>)> {
        let (owner, group, message) = match self {
            SharedMessage::Deliver { group, message, .. } => (from, *group, message),
            SharedMessage::Return { group, message, .. } => (to, *group, message),
            SharedMessage::Offer(offer) => return Some((offer.errand(), offer.message.clone())),
            SharedMessage::Join { .. }
            | SharedMessage::Joined { .. }
            | SharedMessage::Leave { .. }
            | SharedMessage::Online { .. } => return None,
        };
        let errand = Errand::Share {
            owner: owner.0,
            group: group.0,
        };
        Some((errand, message.clone()))
    }
}

/// Why a message comes back from a member of a shared subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The member is gone, or its client.
    Gone,
    /// It may not read the message.
    NoRight,
    /// It has no room for it.
    NoRoom,
}

/// See [`SharedMessage::Offer`].
#[derive(Debug, PartialEq)]
pub struct SharedOffer {
    /// Whose the shared subscription is, and its number there.
    pub owner: ShardId,
    pub group: GroupId,
    /// The share name.
    pub name: Box<str>,
    pub filter: Box<str>,
    pub message: Arc<Message>,
    /// Shards that have still to be asked, as bits; none when it comes back to the owner.
    pub left: u64,
    /// The best that was found of those who may read it, and have no room or are away.
    pub best: Option<(Standing, Member)>,
    /// Also those are asked that are barred: no other may read it.
    pub asks_barred: bool,
    /// How far it has come with those of the shard where it is.
    pub progress: OfferProgress,
}

impl SharedOffer {
    /// What is to become of its message.
    pub(in crate::broker) fn errand(&self) -> Errand {
        Errand::Share {
            owner: self.owner.0,
            group: self.group.0,
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.message.cost() + self.name.len() + self.filter.len()
    }
}

/// How far an offer has come with the members of a shard that are barred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfferProgress {
    /// So many of them have been asked.
    pub asked: usize,
    /// `Group::changes` at that time.
    pub changes: u32,
    /// How often it has begun.
    pub starts: u8,
    /// Members that were asked in the event at hand.
    pub at_once: usize,
}

/// How well a member of a shared subscription suits that may read a message; the greatest is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is away, and what waits for it is at a bound.
    AwayAndFull,
    /// What waits for it is at a bound.
    Full,
    /// It is away.
    Away,
    /// It takes the message.
    Ready,
}
