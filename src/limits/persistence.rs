//! Bounds of what is kept on the disk: files, blocks, commits, and what waits for them. Part of `limits`, like every bound.

/// Bytes of which positions, lengths and memory of what is written are multiples: the sector of most disks, and what O_DIRECT
/// wants of any.
pub const STORE_PAGE_BYTES: usize = 4096;

/// Bytes of one file of the store. Large enough that a new one is seldom needed, small enough that two more than are used, one
/// ahead and one in reserve, are no burden.
pub const STORE_SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes that a file has at least, by its header: that, and the largest block.
pub const STORE_SEGMENT_BYTES_MIN: u64 = (STORE_PAGE_BYTES + STORE_BLOCK_BYTES_MAX) as u64;
/// Bytes that a file has at most, by its header: positions in it are told in 32 bits.
pub const STORE_SEGMENT_BYTES_MAX: u64 = 1 << 30;
const _: () = assert!(STORE_SEGMENT_BYTES.is_multiple_of(STORE_PAGE_BYTES as u64));
const _: () = assert!(STORE_SEGMENT_BYTES >= STORE_SEGMENT_BYTES_MIN);
const _: () = assert!(STORE_SEGMENT_BYTES <= STORE_SEGMENT_BYTES_MAX);

/// Bytes of the largest block, header and padding included: what a shard hands over at once.
pub const STORE_BLOCK_BYTES_MAX: usize = 64 << 10;
const _: () = assert!(STORE_BLOCK_BYTES_MAX.is_multiple_of(STORE_PAGE_BYTES));

/// Bytes of one commit. A disk that writes 100 MB in a second is done with it in 40 ms, in which the next gathers.
pub const STORE_COMMIT_BYTES_MAX: u64 = 4 << 20;
/// Blocks of one commit: what one vectored write takes (UIO_MAXIOV) with room to spare.
pub const STORE_COMMIT_BLOCKS_MAX: usize = 512;
const _: () = assert!(STORE_COMMIT_BYTES_MAX >= STORE_BLOCK_BYTES_MAX as u64);

/// Bytes that may be written and not synced where an acknowledgement does not wait for that: they are kept in memory, since a
/// sync that fails may have lost them.
pub const STORE_UNSYNCED_BYTES_MAX: u64 = 8 << 20;

/// Bytes that wait to be written, from which on nothing more is taken from the shards: two commits beside the one under way.
pub const STORE_QUEUE_BYTES_MAX: u64 = 2 * STORE_COMMIT_BYTES_MAX;

/// Segments that are ready before they are needed: one for the next commit, one in reserve for what frees room when no more
/// can be had.
pub const STORE_SEGMENTS_READY: usize = 2;
/// Segments without use that are kept, so that the next needs no new room and no zeros: what goes by between two checkpoints of a
/// store that is not large.
pub const STORE_SEGMENTS_SPARE: usize = 4;
/// Segments of one run at least, whatever the bound on the size: the one in use, those that are ready, and one that is still
/// needed until a checkpoint is complete.
pub const STORE_SEGMENTS_MIN: usize = STORE_SEGMENTS_READY + 2;

/// Bytes of zeros written at a time into a new segment: commits go between two of them.
pub const STORE_FILL_BYTES: u64 = 1 << 20;

/// Milliseconds without anything to write after which an empty block says that all before it was on the disk. Short, so that
/// rot in what came last is told from a torn write; longer than most pauses under load, so that it is seldom.
pub const STORE_IDLE_MS: u64 = 100;

/// Milliseconds after which what failed (no room, an error of the disk) is tried again.
pub const STORE_RETRY_MS: u64 = 1000;

/// Bytes that are asked for at once when a store is read.
pub const STORE_READ_BYTES: usize = 1 << 20;
const _: () = assert!(STORE_READ_BYTES >= 2 * STORE_BLOCK_BYTES_MAX);

/// Bytes of a `STORE` that are read: more than any has, so that a foreign file is told from one that is cut.
pub const STORE_BYTES_READ_MAX: usize = 64 << 10;

/// Messages between a stream and the storage thread in one direction (a power of two): more chunks than fit into the two commits
/// that wait.
pub const STORE_LINE_SLOTS: usize = 256;
const _: () = assert!((STORE_LINE_SLOTS * STORE_BLOCK_BYTES_MAX) as u64 >= STORE_QUEUE_BYTES_MAX);

/// Submissions of the storage thread between two calls into the kernel: a wake-up for each stream, and what it does itself.
pub const STORE_RING_SUBMISSIONS: u32 = 128;
const _: () = assert!(STORE_RING_SUBMISSIONS as usize >= super::SHARDS_MAX + 8);

/// Milliseconds that the end of a run waits for the disk. What is not on it by then was not told either.
pub const STORE_CLOSE_MS_MAX: u64 = 10_000;
