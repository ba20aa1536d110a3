//! Bounds of what a shard writes down. Part of `limits`, like every bound.

/// Bytes of content of a journal's chunk: with the header that the store puts in front it is the largest block.
pub const JOURNAL_CHUNK_BYTES: usize =
    super::STORE_BLOCK_BYTES_MAX - super::STORE_BLOCK_HEADER_BYTES;
const _: () = assert!(
    (JOURNAL_CHUNK_BYTES + super::STORE_BLOCK_HEADER_BYTES).is_multiple_of(super::STORE_PAGE_BYTES)
);

/// Chunks that were written and are kept for what comes, by shard.
pub const JOURNAL_CHUNKS_SPARE: usize = 4;

/// Sessions from which on a set of them is remembered: a smaller one takes hardly more than the number that would name it.
pub const JOURNAL_SET_MIN: usize = 8;

/// Sets that are remembered by shard, at some 40 bytes each; then all are forgotten, and written again when they are met.
pub const JOURNAL_SETS_MAX: usize = 4096;

/// Sessions that a set may have when it is read: more than a shard can have, and few enough not to take all memory for a number that is
/// wrong.
pub const JOURNAL_MEMBERS_MAX: u64 = 1 << 24;

/// Bytes that a reader of a stream keeps for the records of a turn from one turn to the next: a large message would else stay in memory
/// for each stream.
pub const JOURNAL_TURN_BYTES_SPARE: usize = 1 << 20;

/// Milliseconds that an acknowledgement of a client is kept back at most, so that many are written together: if the power fails
/// before, the message is sent again.
pub const JOURNAL_ACKS_MS: u64 = 100;

/// Acknowledgements that are kept back at most, by shard: 256 KiB.
pub const JOURNAL_ACKS_MAX: usize = 16 << 10;

/// Bytes of images that a checkpoint writes in a turn: a chunk.
pub const CHECKPOINT_SLICE_BYTES: u64 = JOURNAL_CHUNK_BYTES as u64;

/// Sessions, retained messages and groups that are looked at for that in a turn: of those that are not kept nothing is written.
pub const CHECKPOINT_LOOKS_MAX: usize = 4096;

/// Slices that are not durable, with which a checkpoint waits for the disk: half a megabyte, which is a commit of a good size. A turn's last
/// chunk is not full, so that they take up to twice of that.
pub const CHECKPOINT_SLICES_AHEAD: usize = 8;

/// Messages in flight of which a checkpoint remembers under which number they were written, so that they are once: 4 MiB of memory.
/// Others are written for each session to which they are in flight.
pub const CHECKPOINT_NUMBERS_MAX: usize = 16 << 10;

/// Frames that are acknowledged at about the same time, by shard: those that lie further apart are sorted.
pub const JOURNAL_ACKS_FRAMES: usize = 4096;

/// Bytes that the lists of acknowledgements keep from one time to the next, by shard.
pub const JOURNAL_ACKS_BYTES: usize = 512 << 10;

/// Groups of sessions, by how a message goes to them, that are gathered at once: by QoS, RETAIN flag, version and subscription
/// identifier there are a few.
pub const JOURNAL_GROUPS_MAX: usize = 16;

/// Bits in which the place of such a group is kept with each session.
pub const JOURNAL_GROUP_BITS: u32 = 4;

const _: () = assert!(JOURNAL_GROUPS_MAX <= 1 << JOURNAL_GROUP_BITS);
