//! Bounds of traces: what clients and topics do, shown live. Part of `limits`, like every bound.

use super::{ASK_BYTES_MAX, HTTP_ANSWER_MS_MAX, LIVE_VIEWERS_MAX, TOP_SILENCE_MS};

/// Traces of a broker at a time. Each is looked after by one viewer, of whom there are `LIVE_VIEWERS_MAX`; some are left for figures.
pub const TRACES_MAX: usize = 4;
const _: () = assert!(TRACES_MAX < LIVE_VIEWERS_MAX);

/// Connections that a shard looks at for all traces: some may try to come in by the name of a client that is traced.
pub const TRACE_CONNECTIONS_MAX: usize = 64;

/// Milliseconds for which a shard keeps a trace that nobody asks for any more: some looks, and the way to the next answer.
pub const TRACE_LEASE_MS: u64 = 5000;

/// Milliseconds between two looks at what shards have seen. A person takes that for at once.
pub const TRACE_LOOK_MS: u64 = 200;
const _: () = assert!(10 * TRACE_LOOK_MS < TRACE_LEASE_MS);

/// Milliseconds without an event after which a viewer is told that there is none, which finds out whether he is still there.
pub const TRACE_SILENCE_MS: u64 = 1000;
const _: () = assert!(2 * TRACE_SILENCE_MS < TOP_SILENCE_MS);

/// Milliseconds until a viewer has to ask anew, and his rights are asked for again; the trace goes on meanwhile.
pub const TRACE_ANSWER_MS: u64 = 50_000;
const _: () = assert!(TRACE_ANSWER_MS + 2 * TRACE_LEASE_MS <= HTTP_ANSWER_MS_MAX);

/// Events a second that a trace shows of each shard, unless somebody wants more or fewer: more than anybody reads.
pub const TRACE_RATE: u32 = 100;
/// The most of that.
pub const TRACE_RATE_MAX: u32 = 1000;

/// Bytes that wait on a shard for the next look, in one trace: what does not fit is counted.
pub const TRACE_BYTES_MAX: usize = 256 << 10;

/// Bytes of a payload that are shown at most.
pub const TRACE_PAYLOAD_BYTES_MAX: usize = 4096;

/// Bytes of the properties of a packet that are shown.
pub const TRACE_PROPERTY_BYTES_MAX: usize = 4096;

/// Filters of a SUBSCRIBE or UNSUBSCRIBE, and reason codes of what answers it, that are shown; of filters no more than
/// `TRACE_PACKET_BYTES_MAX` bytes.
pub const TRACE_FILTERS_MAX: usize = 64;

/// Bytes of a packet that is sent in pieces which are put together again: a topic name, properties, and a payload as far as it is shown.
pub const TRACE_PACKET_BYTES_MAX: usize =
    (1 << 16) + TRACE_PROPERTY_BYTES_MAX + TRACE_PAYLOAD_BYTES_MAX;

// What one shard hands over in a look, as JSON, which may write a byte as six, is less than a viewer takes.
const _: () = assert!(8 * TRACE_BYTES_MAX < ASK_BYTES_MAX);
const _: () = assert!(3 * TRACE_PACKET_BYTES_MAX <= TRACE_BYTES_MAX);
const _: () = assert!(
    TRACES_MAX * TRACE_BYTES_MAX + TRACE_CONNECTIONS_MAX * TRACE_PACKET_BYTES_MAX <= 8 << 20
);
