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

/// Bytes of a block's header, in front of what a stream has to say.
pub const STORE_BLOCK_HEADER_BYTES: usize = 64;

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

/// Bytes of zeros written at a time into a new segment: commits go between two of them, and wait for one. A memory card that takes 1 MB a
/// second has written them in a quarter of a second.
pub const STORE_FILL_BYTES: u64 = 256 << 10;

/// Bytes handed over since a checkpoint began, from which on the next is due, however small that one was: what a start reads in a
/// moment, and enough for one that is small to be seldom.
pub const STORE_CHECKPOINT_BYTES_MIN: u64 = 64 << 20;
/// And how many times the bytes that it took itself: with 2, as much is written for checkpoints as for what comes.
pub const STORE_CHECKPOINT_FACTOR: u64 = 2;
/// The part of a run's segments, as numerator and denominator, with more than which a checkpoint is due: the last quarter is for it.
pub const STORE_CHECKPOINT_CROWDED: (usize, usize) = (3, 4);
/// But not before this part (as denominator) of what the last one took has come since it was complete: where what is live takes most
/// of the room a checkpoint frees nothing, and would be begun again at once.
pub const STORE_CHECKPOINT_GROWN: u64 = 4;

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

/// Milliseconds that a write or a sync may take before the log says that the disk is slow. Nobody is refused for it: who waits, waits.
pub const STORE_SLOW_MS: u64 = 1000;

/// Milliseconds that the end of a run waits for the disk. What is not on it by then was not told either.
pub const STORE_CLOSE_MS_MAX: u64 = 10_000;

/// How often a store is looked at that changes meanwhile, before that is given up. A checkpoint takes longer than a look, so that
/// two are mostly enough.
pub const STORE_LOOKS_MAX: usize = 20;

/// Milliseconds between two looks.
pub const STORE_LOOK_AGAIN_MS: u64 = 50;

/// Milliseconds between two looks of a shard whether the storage thread has taken what is handed to it, when the shard ends or begins
/// and has nothing else to do.
pub const STORE_HAND_OVER_LOOK_MS: u64 = 1;

/// Milliseconds that who fills a store sleeps at most before it looks again: the end of the storage thread wakes nobody.
pub const STORE_FILL_LOOK_MS: u64 = 20;

/// Milliseconds between two lines that say how far a start has read.
pub const STORE_PROGRESS_MS: u64 = 1000;

/// Milliseconds between two lines that say that a start waits for the disk.
pub const STORE_WAIT_TOLD_MS: u64 = 10_000;

/// Segments that are named as missing: as many as a person would look at, as numbers in a name may be far apart.
pub const STORE_MISSING_NAMED_MAX: usize = 100;

/// Names of clients, and of topics, that a repair says are lost of one stream: there may be a million.
pub const STORE_LOST_NAMED_MAX: usize = 20;

/// Chunks on their way from who reads the files to those who read what they say, of all streams together: 4 MiB, so that none of them
/// waits for the other's turn; twice that where there are 64 streams.
pub const READING_CHUNKS_AHEAD: usize = 64;
/// And of one stream at least.
pub const READING_CHUNKS_AHEAD_MIN: usize = 2;

/// Shelves on which messages lie while they are read: many more than there are streams, so that two seldom want the same one, and
/// each so small that it grows in a moment.
pub const READING_SHELVES: usize = 256;
const _: () = assert!(READING_SHELVES >= 4 * super::SHARDS_MAX);
