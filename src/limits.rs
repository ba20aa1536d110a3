//! Every bound of the program, in one place: its unit, why it has that value, and how it relates to the others.
//!
//! Bounds that an operator may set are in the configuration; what stands here are the defaults behind it and the
//! bounds that nobody should need to set. Relations that the code relies on are asserted at compile time.

/// Shards in one process. A shard is named by one byte, and `routing::Entry` keeps room for 256 of them.
pub const SHARDS_MAX: usize = 64;

/// Bytes of the largest MQTT packet: the greatest Remaining Length (MQTT 5, 1.5.5) and its fixed header of 5 bytes.
pub const PACKET_BYTES_MAX: u32 = 268_435_455 + 5;

/// Bytes in one segment of a shard's outbound log. Large enough that rotation costs nothing per message, small
/// enough that a handful of them is no burden.
pub const SEGMENT_BYTES: usize = 1 << 20;

/// Segments that a shard's outbound log keeps before those who lag behind get private copies.
pub const SEGMENTS_WINDOW: usize = 16;

/// Payloads of at least this many bytes are not copied into the log but referenced where they are.
pub const PAYLOAD_REFERENCE_BYTES_MIN: usize = 32 * 1024;

/// Bytes queued for one connection and not yet taken by its socket, before the slow-consumer policy acts.
/// A single message larger than this is still queued when nothing else is.
pub const OUTBOUND_BYTES_MAX: u32 = 4 << 20;

/// Milliseconds that a connection with queued output may go without taking a byte before it is closed.
pub const STALL_MS_MAX: u64 = 60_000;

/// Milliseconds from accept to a complete CONNECT.
pub const CONNECT_MS_MAX: u64 = 30_000;

/// Milliseconds that a closing connection is given to take its last packets.
pub const LINGER_MS_MAX: u64 = 2_000;

/// Milliseconds that a drain of the whole broker may take before what is left is closed.
pub const DRAIN_MS_MAX: u64 = 5_000;

/// Bytes of the receive buffers in a shard's provided-buffer ring: each, and how many (a power of two).
pub const RECV_BUFFER_BYTES: usize = 16 * 1024;
/// Receive buffers per shard.
pub const RECV_BUFFERS: u16 = 256;

/// Bytes of a CONNECT packet that are held for a client that has not yet been let in. The largest sensible
/// CONNECT has a client id, a will topic, a will payload, a user name and a password of 64 KiB each.
pub const CONNECT_BYTES_MAX: u32 = 5 * 65_536 + 1024;

/// Levels in a topic name or filter.
pub const TOPIC_LEVELS_MAX: usize = 200;

/// Messages in one mesh ring between two shards, one direction.
pub const MESH_SLOTS: usize = 1024;

/// Messages taken from one mesh ring in one turn, so that one busy shard cannot hold up the sockets of another.
pub const MESH_DRAIN_MAX: usize = 256;

/// Ranges (iovecs) in one send of a connection.
pub const SEND_RANGES_MAX: usize = 64;

/// Topic names whose match is remembered, per shard.
pub const MATCH_CACHE_TOPICS: usize = 16_384;

const _: () = assert!(RECV_BUFFERS.is_power_of_two());
const _: () = assert!(PAYLOAD_REFERENCE_BYTES_MIN < SEGMENT_BYTES / 4);
const _: () = assert!(SHARDS_MAX <= 256);
const _: () = assert!(MESH_SLOTS.is_power_of_two() && MESH_DRAIN_MAX <= MESH_SLOTS);
