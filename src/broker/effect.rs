//! What the brain of a shard asks of the world: the other half of its interface beside its `on_<event>` calls.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::access::Passwords;
use crate::budget::{Account, Cut, Holdings};
use crate::ids::{ConnId, GroupId, SessionId, ShardId};
use crate::mqtt::message::Message;
use crate::routing::{Cursor, EntryOptions, Member};

use super::settings::LogKind;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, for log lines and limits per address; unspecified for a client at a Unix domain socket.
    pub address: SocketAddr,
    /// The listener it came in by: an index into `Settings::listeners`.
    pub listener: u16,
}

/// A connection on its way to the shard where its session lives (docs/decisions/0102).
#[derive(Debug, PartialEq, Eq)]
pub struct Handover {
    /// Who it is.
    pub peer: Peer,
    /// What was received so far, from the first byte of CONNECT.
    pub received: Vec<u8>,
    /// The user name that its certificate gives it.
    pub identity: Option<Box<str>>,
}

/// Why a connection ended, as the shard saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The peer closed its side.
    Eof,
    /// The kernel reported an error, as an errno.
    Error(i32),
    /// The peer said goodbye in the terms of its transport, and is owed the same.
    Goodbye,
    /// The peer broke the rules of its transport (the shard has written why), and may be told so.
    Transport,
}

/// How the shard is to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseHow {
    /// Send what is queued, shut down the sending side, discard what still arrives until the peer closes its own
    /// (so that no reset overtakes the last packet); the brain bounds the wait and says `Now` when it is over.
    Flush,
    /// Give up what is queued: cancel what is in flight and close.
    Now,
}

/// One thing for the shard to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Close the connection; the shard answers with `on_closed` when nothing of it is in flight any more.
    Close { conn: ConnId, how: CloseHow },
    /// The send in flight holds memory that is wanted back: cancel it; the shard answers with `on_sent` as always,
    /// with what had been taken by the socket.
    CancelSend { conn: ConnId },
    /// Receive nothing from the connection until `Resume`. What is on its way may still come.
    Pause { conn: ConnId },
    /// Receive from the connection again.
    Resume { conn: ConnId },
    /// Move the connection's socket to another shard, with this in front; the shard answers with `on_closed`.
    Handover {
        conn: ConnId,
        to: ShardId,
        handover: Box<Handover>,
    },
    /// Send to another shard. Between two shards the order is kept and nothing is lost.
    Mesh { to: ShardId, message: MeshMessage },
    /// Find out whether a password is right, off the shard; the shard answers with `on_verified`.
    Verify(Box<Verify>),
    /// Write a log line (without time and newline).
    Log { kind: LogKind, text: String },
}

/// A password to be checked.
#[derive(PartialEq)]
pub struct Verify {
    /// Whose it is.
    pub conn: ConnId,
    /// To be given back with the answer: the connection's number may be another's by then.
    pub ticket: u32,
    /// Its address: no one address may fill the queue.
    pub address: IpAddr,
    /// What it is checked against.
    pub passwords: Arc<Passwords>,
    /// The user name.
    pub user: Box<str>,
    /// The password.
    pub password: Box<[u8]>,
}

impl Verify {
    /// Bytes of memory, with the two that count it: who asked, and the queue that it waits in.
    pub fn memory(&self) -> usize {
        let texts = self.user.len() + self.password.len();
        size_of::<Self>() + size_of::<(u32, usize)>() + texts
    }

    /// Checks it. Slow by design.
    pub fn check(&self) -> Verdict {
        match self.passwords.check(&self.user, &self.password) {
            true => Verdict::Right,
            false => Verdict::Wrong,
        }
    }
}

impl std::fmt::Debug for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verify({:?}, {:?})", self.conn, self.user)
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the user's password.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// Too many others wait.
    Busy,
}

/// What shards tell one another.
#[derive(Debug, PartialEq)]
pub enum MeshMessage {
    /// A message that the receiver has subscribers for. `retain_seq`: the number of the publisher shard's last
    /// store towards the owner of the topic, 0 if there was none (see `RetainQuery::seen`).
    Publish {
        message: Arc<Message>,
        retain_seq: u64,
    },
    /// The sender now has (or no longer has) local subscribers for this filter.
    Interest {
        filter: Box<str>,
        wanted: bool,
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

/// What the owner of a shared subscription and the homes of its members tell one another.
#[derive(Debug, PartialEq)]
pub enum SharedMessage {
    /// A member joins (or changes its options). `ticket` is answered by `Joined` when the barrier has passed.
    Join {
        group: Box<str>,
        filter: Box<str>,
        session: SessionId,
        serial: u64,
        options: EntryOptions,
        online: bool,
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
        session: SessionId,
        serial: u64,
        options: EntryOptions,
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
