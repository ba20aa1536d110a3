//! Bounds of what is asked of shards beside the path of messages: who is connected, who gets what, what is retained. Part of `limits`,
//! like every bound.

use super::{HTTP_ANSWER_MS_MAX, HTTP_CONNECTIONS_MAX, REPLAY_PAGE_NODES, REPLAY_PAGE_SLOTS};

/// Places of sessions, members or filters that a shard looks at for one page of an answer: some cache misses each, some 0.2 ms.
pub const QUERY_LOOKS_MAX: usize = 1024;

/// What a look at how many messages wait in the output of a connection counts as, if there are any: the first packets of it are walked
/// along.
pub const QUERY_PACKETS_LOOKS: usize = 8;

/// Rows in one page of an answer: some 0.1 ms of copying names.
pub const QUERY_ROWS_MAX: usize = 256;

/// Bytes of names in one page of an answer, the last row apart, which may be as long as a packet allows.
pub const QUERY_BYTES_MAX: usize = 128 << 10;

/// Entries of filters that are looked through for one page: they lie one after the other, some 2 ns each. Beyond that it is asked of
/// each session whether it has an entry.
pub const QUERY_ENTRIES_MAX: usize = 1 << 14;

/// Nodes and places of retained messages that are looked at for one page, each: some 0.3 ms.
pub const QUERY_NODES_MAX: usize = 2048;
const _: () = assert!(QUERY_NODES_MAX <= REPLAY_PAGE_NODES && QUERY_NODES_MAX <= REPLAY_PAGE_SLOTS);

/// Milliseconds that a shard has to answer one page. Longer than a busy turn; nobody waits for it but who has asked. One that has not
/// answered is asked nothing more until it has, and is named in the answer.
pub const QUERY_MS_MAX: u64 = 500;

/// Microseconds between two looks whether shards have answered.
pub const QUERY_PAUSE_US: u64 = 250;

/// Microseconds from answers to the next questions, whoever asks: looking takes no more than a fifth of a shard's time, however much of it
/// there is.
pub const QUERY_REST_US: u64 = 1000;

/// Pages that are asked for one answer, in an order of each shard: with `QUERY_LOOKS_MAX` two million sessions. What is behind them is
/// in the next answer, or, in an order by figures, is left out and said.
pub const QUERY_PAGES_MAX: usize = 2048;

/// Rows in one answer over HTTP.
pub const ANSWER_ROWS_MAX: usize = 1000;
/// The same, unless somebody asks for more or less.
pub const ANSWER_ROWS: usize = 100;
const _: () = assert!(ANSWER_ROWS_MAX <= QUERY_LOOKS_MAX);

/// Bytes of names from which on an answer over HTTP is not made longer.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Who looks at figures live, at a time: as many as the connections of a listener but for a few, which others need.
pub const LIVE_VIEWERS_MAX: usize = 12;
const _: () = assert!(LIVE_VIEWERS_MAX + 4 <= HTTP_CONNECTIONS_MAX);
/// Milliseconds between two looks.
pub const LIVE_MS: u64 = 1000;
/// Looks until a viewer has to ask anew, as browsers do by themselves: its answer is out before its time is over.
pub const LIVE_LOOKS_MAX: u64 = 50;
const _: () = assert!((LIVE_LOOKS_MAX + 1) * LIVE_MS < HTTP_ANSWER_MS_MAX);

/// Milliseconds that the command line waits for a broker's answer over HTTP: for a connection, and for each part of it.
pub const ASK_MS_MAX: u64 = 10_000;
/// Bytes of the largest answer that it takes: one of names as long as they may be, each byte of which JSON may write as six.
pub const ASK_BYTES_MAX: usize = 16 << 20;
/// Bytes that it reads at a time.
pub const ASK_PIECE_BYTES: usize = 16 << 10;
const _: () = assert!(6 * (ANSWER_BYTES_MAX + QUERY_BYTES_MAX) < ASK_BYTES_MAX);

/// Clients that `firehose top` asks for, unless somebody wants more or fewer: more than any screen has lines.
pub const TOP_CLIENTS: usize = 200;
const _: () = assert!(TOP_CLIENTS <= ANSWER_ROWS_MAX);
/// Milliseconds without an event after which `firehose top` takes the broker to be away: five that were due.
pub const TOP_SILENCE_MS: u64 = 5 * LIVE_MS;
/// Milliseconds until it tries again.
pub const TOP_AGAIN_MS: u64 = LIVE_MS;
/// Milliseconds until it looks for keys and for a signal to end: so late it may be noticed.
pub const TOP_KEYS_MS: u64 = 100;
/// Milliseconds between two looks below which no rate is taken of them: where one answer ends and the next begins.
pub const TOP_RATE_MS_MIN: u64 = 250;
const _: () = assert!(TOP_RATE_MS_MIN < LIVE_MS);
/// Seconds of the keep alive of `firehose top` as a client of MQTT: half of them without a word are a reason to ask, all of them an end.
pub const TOP_KEEP_ALIVE_S: u16 = 30;
/// Milliseconds without a message after which a publication of `$SYS` has come whole: its batches are closer together.
pub const TOP_QUIET_MS: u64 = 300;
const _: () = assert!(TOP_QUIET_MS >= 10 * super::SYS_BATCH_PAUSE_MS);
/// Milliseconds in which retained messages of `$SYS` have to come, if there are any.
pub const TOP_FIRST_MS: u64 = 3000;
/// Bytes of the largest packet that is taken there: a topic and a client identifier as long as they may be.
pub const TOP_PACKET_BYTES_MAX: u32 = 256 << 10;
/// Topics of `$SYS` that are kept: those of 255 shards.
pub const TOP_TOPICS_MAX: usize = 64 << 10;
/// An order of clients is asked for in one of so many parts of the time, however many sessions there are to be looked at for it.
pub const TOP_CLIENTS_PART: u32 = 10;

/// Bytes of a payload that an answer over HTTP has: of a longer one it has the first.
pub const ANSWER_PAYLOAD_BYTES_MAX: usize = 1 << 20;
