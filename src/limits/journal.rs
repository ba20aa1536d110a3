//! Bounds of what a shard writes down. Part of `limits`, like every bound.

/// Bytes of a journal's chunk: with the header that the store puts in front, a multiple of the 4 KiB in which a disk writes, and as
/// many as one write of it takes without being split.
pub const JOURNAL_CHUNK_BYTES: usize = (64 << 10) - 64;

/// Chunks that were written and are kept for what comes, by shard.
pub const JOURNAL_CHUNKS_SPARE: usize = 4;

/// Sessions from which on a set of them is remembered: a smaller one takes hardly more than the number that would name it.
pub const JOURNAL_SET_MIN: usize = 8;

/// Sets that are remembered by shard, at some 40 bytes each; then all are forgotten, and written again when they are met.
pub const JOURNAL_SETS_MAX: usize = 4096;

/// Sessions that a set may have when it is read: more than a shard can have, and few enough not to take all memory for a number that is
/// wrong.
pub const JOURNAL_MEMBERS_MAX: u64 = 1 << 24;

/// Milliseconds that an acknowledgement of a client is kept back at most, so that many are written together: if the power fails
/// before, the message is sent again.
pub const JOURNAL_ACKS_MS: u64 = 100;

/// Acknowledgements that are kept back at most, by shard: 256 KiB.
pub const JOURNAL_ACKS_MAX: usize = 16 << 10;

/// Groups of sessions, by how a message goes to them, that are gathered at once: by QoS, RETAIN flag, version and subscription
/// identifier there are a few.
pub const JOURNAL_GROUPS_MAX: usize = 16;
