//! The identifiers that more than one layer speaks of, each a type of its own.

/// One shard: a pinned thread with its ring, its sessions and its part of the topics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u8);

impl ShardId {
    /// As an index into per-shard tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A network connection of one shard: an index into that shard's tables, reused after the connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u32);

impl ConnId {
    /// As an index into per-connection tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A session (MQTT 5, 4.1) of one shard: an index into that shard's tables, reused after the session has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u32);

impl SessionId {
    /// As an index into per-session tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A shared subscription (`$share/GROUP/FILTER`) of the shard that owns it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(pub u32);
