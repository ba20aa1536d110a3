//! One subscription as the lists hold it: eight bytes that say who wants the messages of a filter, and how.
//!
//! Invariants: the two upper bits of `target` are the kind, the lower thirty the index; the fourth kind is internal
//! to `routing` and never leaves it.

use super::grant::EntryOptions;
use crate::ids::{GroupId, SessionId, ShardId};
use crate::mqtt::QoS;

const KIND_SHIFT: u32 = 30;
const INDEX_MASK: u32 = (1 << KIND_SHIFT) - 1;
const SESSION: u32 = 0;
const SHARD: u32 = 1;
const GROUP: u32 = 2;
const INTERNAL: u32 = 3;

/// Who is to have the messages that match a filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// A session of this shard.
    Session(SessionId),
    /// Another shard that has subscribers of its own.
    Shard(ShardId),
    /// A shared subscription that this shard owns.
    Group(GroupId),
}

/// One subscription in the list of its filter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    target: u32,
    bits: u32,
}

impl Entry {
    /// A session of this shard wants the messages.
    #[inline]
    pub const fn session(session: SessionId, options: EntryOptions) -> Entry {
        Entry::tagged(SESSION, session.0, options.bits())
    }

    /// Another shard wants the messages.
    #[inline]
    pub const fn shard(shard: ShardId) -> Entry {
        Entry::tagged(SHARD, shard.0 as u32, 0)
    }

    /// The same, and some of its sessions are to outlive the process: what a crash must not lose.
    #[inline]
    pub const fn durable_shard(shard: ShardId) -> Entry {
        let options = EntryOptions::with_qos(QoS::AtLeastOnce);
        Entry::tagged(SHARD, shard.0 as u32, options.bits())
    }

    /// A shared subscription wants the messages.
    #[inline]
    pub const fn group(group: GroupId) -> Entry {
        Entry::tagged(GROUP, group.0, 0)
    }

    /// Who wants the messages.
    #[inline]
    pub const fn target(self) -> Target {
        let index = self.target & INDEX_MASK;
        match self.target >> KIND_SHIFT {
            SESSION => Target::Session(SessionId(index)),
            SHARD => Target::Shard(ShardId(index as u8)),
            _ => Target::Group(GroupId(index)),
        }
    }

    /// The session, if it is one: a shift and a compare.
    #[inline]
    pub const fn as_session(self) -> Option<SessionId> {
        if self.target >> KIND_SHIFT == SESSION {
            Some(SessionId(self.target))
        } else {
            None
        }
    }

    /// The options of the subscription; those of QoS 0 for groups, and for shards where nothing is to outlive the process.
    #[inline]
    pub const fn options(self) -> EntryOptions {
        EntryOptions::from_bits(self.bits)
    }

    /// Whether it is another shard, which has something durable for the messages. What a session here is does not stand in its entry.
    #[inline]
    pub const fn is_durable_elsewhere(self) -> bool {
        self.target >> KIND_SHIFT == SHARD && self.bits != 0
    }

    /// Whether it is a subscriber of this shard, not another shard's interest.
    #[inline]
    pub(super) const fn is_local(self) -> bool {
        self.target >> KIND_SHIFT != SHARD
    }

    /// The target in one word: equal if and only if the targets are.
    #[inline]
    pub(super) const fn key(self) -> u32 {
        self.target
    }

    const fn tagged(kind: u32, index: u32, bits: u32) -> Entry {
        debug_assert!(index <= INDEX_MASK);
        Entry {
            target: kind << KIND_SHIFT | index & INDEX_MASK,
            bits,
        }
    }
}

impl Target {
    /// See [`Entry::key`].
    #[inline]
    pub(super) const fn key(self) -> u32 {
        match self {
            Target::Session(session) => Entry::tagged(SESSION, session.0, 0).target,
            Target::Shard(shard) => Entry::tagged(SHARD, shard.0 as u32, 0).target,
            Target::Group(group) => Entry::tagged(GROUP, group.0, 0).target,
        }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("target", &self.target())
            .field("options", &self.options())
            .finish()
    }
}

/// What a node of the tree holds in the room of one entry: nothing, the only entry, or where the list is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder(Entry);

/// A `Holder`, taken apart.
pub(super) enum Held {
    Nothing,
    One(Entry),
    List(u32),
}

impl Holder {
    const NOTHING: Holder = Holder(Entry {
        target: INTERNAL << KIND_SHIFT,
        bits: u32::MAX,
    });

    #[inline]
    pub(super) const fn one(entry: Entry) -> Holder {
        Holder(entry)
    }

    #[inline]
    pub(super) const fn list(list: u32) -> Holder {
        debug_assert!(list != u32::MAX);
        Holder(Entry {
            target: INTERNAL << KIND_SHIFT,
            bits: list,
        })
    }

    #[inline]
    pub(super) const fn get(self) -> Held {
        if self.0.target >> KIND_SHIFT != INTERNAL {
            Held::One(self.0)
        } else if self.0.bits == u32::MAX {
            Held::Nothing
        } else {
            Held::List(self.0.bits)
        }
    }

    /// Whether there is no entry: lists are never empty.
    #[inline]
    pub(super) const fn is_nothing(self) -> bool {
        self.0.target >> KIND_SHIFT == INTERNAL && self.0.bits == u32::MAX
    }

    /// The only entry as a slice, when it is one.
    #[inline]
    pub(super) const fn as_slice(&self) -> &[Entry] {
        std::slice::from_ref(&self.0)
    }
}

impl Default for Holder {
    fn default() -> Holder {
        Holder::NOTHING
    }
}

const _: () = assert!(size_of::<Entry>() == 8 && size_of::<Holder>() == 8);
const _: () = assert!(crate::limits::SHARDS_MAX <= 256);
