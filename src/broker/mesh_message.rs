//! What the brains of shards tell one another.

use std::sync::Arc;

use super::groups::message::SharedMessage;
use crate::budget::{Account, Cut, Holdings};
use crate::ids::ShardId;
use crate::mqtt::message::Message;
use crate::routing::Cursor;

/// What shards tell one another.
#[derive(Debug, PartialEq)]
pub enum MeshMessage {
    /// A message that the receiver has subscribers for. `retain_seq`: the number of the publisher shard's last
    /// store towards the owner of the topic, 0 if there was none (see `RetainQuery::seen`).
    Publish {
        message: Arc<Message>,
        retain_seq: u64,
    },
    /// The sender now has (or no longer has) local subscribers for this filter. `durable`: some of them are to outlive the process.
    Interest {
        filter: Box<str>,
        wanted: bool,
        durable: bool,
        ticket: u32,
    },
    /// The answer to an `Interest` with `wanted`: from here on matching messages are sent to you. `stored` has the
    /// sender's store numbers by owner, so that a retained query that follows misses none of them.
    InterestAck { ticket: u32, stored: Box<[u64]> },
    /// Store this as the retained message of its topic (an empty payload removes it); numbered per sender and owner.
    /// `promised`: bytes that the receiver has promised for it, 0 if it was not asked.
    RetainStore {
        message: Arc<Message>,
        seq: u64,
        promised: u32,
    },
    /// Pass this on, as the owner of its topic, and store it if it is a retained message.
    Ordered(Arc<Ordered>),
    /// The same from the owner: a message that the receiver had subscribers for.
    Relayed(Arc<Ordered>),
    /// So many `Ordered` of the receiver have been passed on; `sent`: the messages that the sender had sent to each
    /// shard then, of more than two.
    PassedOn { count: u64, sent: Box<[u64]> },
    /// What follows comes behind so many messages of another shard.
    After { shard: ShardId, count: u64 },
    /// Is there room for this retained message?
    RetainAsk(Box<RetainAsk>),
    /// The answer: bytes that are promised for it until it comes or they are released; 0 if there is no room.
    RetainAnswer { ticket: u32, promised: u32 },
    /// What was promised is not needed.
    RetainRelease { promised: u32 },
    /// Which retained messages match? To be answered when the stores that the asker knows of have arrived.
    RetainQuery(Box<RetainQuery>),
    /// The answer: a page of them.
    RetainReply(Box<RetainReply>),
    /// About a shared subscription.
    Shared(Box<SharedMessage>),
    /// About an account that is short.
    Shares(Box<ShareMessage>),
    /// Answer when everything has been handled that had come to you by now: a client may be back (`looks`).
    Look { ticket: u32 },
    /// It has been.
    Looked { ticket: u32 },
    /// The sender begins its checkpoint of this number: all that it had sent before does not lie behind that.
    CheckpointMarker { number: u64 },
    /// The broker ends, and the sender's wills are out; with `relayed` those of other shards too that it has passed on.
    Draining { relayed: bool },
}

impl MeshMessage {
    /// Bytes that it holds on its way; the same at both ends. What is small counts for nothing.
    #[inline]
    pub fn bytes(&self) -> usize {
        match self {
            MeshMessage::Publish { message, .. } | MeshMessage::RetainStore { message, .. } => {
                message.cost()
            }
            // The messages are retained ones, which count there.
            MeshMessage::RetainReply(reply) => size_of_val(&reply.messages[..]),
            MeshMessage::Shared(shared) => match &**shared {
                SharedMessage::Deliver { message, .. } | SharedMessage::Return { message, .. } => {
                    message.cost()
                }
                SharedMessage::Join { group, filter, .. }
                | SharedMessage::Leave { group, filter, .. }
                | SharedMessage::Online { group, filter, .. } => group.len() + filter.len(),
                SharedMessage::Offer(offer) => offer.bytes(),
                SharedMessage::Joined { .. } => 0,
            },
            MeshMessage::Shares(shares) => shares.memory(),
            MeshMessage::Interest { filter, .. } => filter.len(),
            MeshMessage::Ordered(ordered) | MeshMessage::Relayed(ordered) => {
                ordered.message.cost() + size_of_val(&ordered.after[..])
            }
            MeshMessage::RetainQuery(query) => query.filter.len(),
            MeshMessage::RetainAsk(ask) => ask.topic.len(),
            MeshMessage::InterestAck { .. }
            | MeshMessage::PassedOn { .. }
            | MeshMessage::After { .. }
            | MeshMessage::RetainAnswer { .. }
            | MeshMessage::RetainRelease { .. }
            | MeshMessage::Look { .. }
            | MeshMessage::Looked { .. }
            | MeshMessage::CheckpointMarker { .. }
            | MeshMessage::Draining { .. } => 0,
        }
    }
}

/// See [`MeshMessage::Ordered`].
#[derive(Debug, PartialEq)]
pub struct Ordered {
    pub message: Arc<Message>,
    /// Whose client published it.
    pub from: ShardId,
    /// The shards that had subscribers for it then, as bits.
    pub targets: u64,
    /// Those of them that may have something durable for it.
    pub durable: u64,
    /// The number of the store at the owner; 0 if it is not to be stored.
    pub seq: u64,
    /// Bytes that the owner has promised for it, 0 if it was not asked.
    pub promised: u32,
    /// By shard: the messages that its publisher's had sent there before; none where that cannot matter.
    pub after: Box<[u64]>,
}

/// See [`MeshMessage::RetainAsk`].
#[derive(Debug, PartialEq, Eq)]
pub struct RetainAsk {
    pub ticket: u32,
    pub topic: Box<str>,
    /// What the message takes, in bytes.
    pub cost: usize,
}

/// See [`MeshMessage::RetainQuery`].
#[derive(Debug, PartialEq, Eq)]
pub struct RetainQuery {
    pub ticket: u32,
    pub filter: Box<str>,
    /// By shard: the number of the last store of that shard towards this owner that the asker knows of.
    pub seen: Box<[u64]>,
    /// Where to go on. Without numbers of its own it leaves out what is later than `seen`.
    pub from: Cursor,
}

/// See [`MeshMessage::RetainReply`].
#[derive(Debug, PartialEq, Eq)]
pub struct RetainReply {
    pub ticket: u32,
    pub messages: Vec<Arc<Message>>,
    /// Where to go on; `None` if that was all.
    pub next: Option<Cursor>,
}

/// What shards tell one another of an account that is short.
#[derive(Clone, Debug, PartialEq)]
pub enum ShareMessage {
    /// What do you hold? The number is to be given back.
    Ask { account: Account, round: u32 },
    /// The answer.
    Holdings {
        account: Account,
        round: u32,
        holdings: Box<Holdings>,
    },
    /// These give way.
    Cut { account: Account, cut: Box<Cut> },
}

impl ShareMessage {
    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        match self {
            ShareMessage::Ask { .. } => 0,
            ShareMessage::Holdings { holdings, .. } => holdings.memory(),
            ShareMessage::Cut { cut, .. } => cut.memory(),
        }
    }
}
