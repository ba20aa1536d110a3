//! Every bound of the program, in one place: its unit, why it has that value, and how it relates to the others.
//!
//! Bounds that an operator may set are in the configuration; what stands here are the defaults behind it and the
//! bounds that nobody should need to set. Relations that the code relies on are asserted at compile time. Those of the
//! load tester are in `limits/load.rs`, those of a shard's thread in `limits/thread.rs`, those of the budget in `limits/memory.rs`, those
//! of the disk in `limits/store.rs`, those of questions in `limits/queries.rs`, those of traces in `limits/trace.rs`.

mod busiest;
mod history;
mod http;
mod journal;
mod load;
mod memory;
mod persistence;
mod queries;
mod store;
mod thread;
mod trace;

pub use busiest::*;
pub use history::*;
pub use http::*;
pub use journal::*;
pub use load::*;
pub use memory::*;
pub use persistence::*;
pub use queries::*;
pub use store::*;
pub use thread::*;
pub use trace::*;

/// Shards in one process. A shard is named by one byte, and `routing::Entry` keeps room for 256 of them.
pub const SHARDS_MAX: usize = 64;

/// Bytes of the largest MQTT packet: the greatest Remaining Length (MQTT 5, 1.5.5) and its fixed header of 5 bytes.
pub const PACKET_BYTES_MAX: u32 = 268_435_455 + 5;

/// Bytes in one segment of a shard's outbound log. Large enough that rotation costs nothing per message, small
/// enough that a handful of them is no burden.
pub const SEGMENT_BYTES: usize = 1 << 20;

/// Segments that a shard's outbound log keeps before those who lag behind get private copies.
pub const SEGMENTS_WINDOW: usize = 16;

/// Free segments that a shard keeps for reuse; more are given back to the system.
pub const SEGMENTS_KEPT: usize = 2;

/// Ranges in one connection's queue before they are copied together.
pub const QUEUE_RANGES_MAX: usize = 256;

/// Bytes from which on a range is left alone by that, where few of the ranges are so large.
pub const QUEUE_RANGE_BYTES_SMALL: u32 = 32 * 1024;

/// Emptied range lists that are kept for reuse.
pub const SPARE_LISTS: usize = 1024;

/// Mean bytes of a queue's ranges up to which they are copied together before a send: copying 512 bytes costs about
/// as much as one more entry in a `sendmsg`.
pub const JOIN_BYTES_MEAN_MAX: usize = 512;

/// Bytes that are copied together at most.
pub const JOIN_BYTES_MAX: usize = SEGMENT_BYTES / 4;

/// Payloads of at least this many bytes are not copied into the log but referenced where they are.
pub const PAYLOAD_REFERENCE_BYTES_MIN: usize = 32 * 1024;

/// Bytes queued for one connection and not yet taken by its socket, before the slow-consumer policy acts.
/// A single message larger than this is still queued when nothing else is.
pub const OUTBOUND_BYTES_MAX: u32 = 4 << 20;

/// Milliseconds that a connection with queued output may go without taking a byte before it is closed.
pub const STALL_MS_MAX: u64 = 60_000;

/// Connections of a shard, at a time, that are let in only to be told in CONNACK that they come too fast from their address.
pub const TURNED_AWAY_MAX: usize = 100;

/// Milliseconds from accept to a complete CONNECT.
pub const CONNECT_MS_MAX: u64 = 30_000;

/// Milliseconds without a word from a client after which it is taken to be gone, for each second of its keep alive: one and a half
/// times as long (MQTT-3.1.2-22).
pub const SILENCE_MS_PER_KEEP_ALIVE_S: u64 = 1_500;

/// Milliseconds that a closing connection is given to take its last packets.
pub const LINGER_MS_MAX: u64 = 2_000;

/// Milliseconds that a drain of the whole broker may take before what is left is closed.
pub const DRAIN_MS_MAX: u64 = 5_000;

/// Bytes of a receive buffer that the kernel fills bit by bit (Linux 6.15 and newer): small receives share one, large
/// ones have room.
pub const RECV_BUFFER_BYTES: usize = 32 * 1024;
/// How many of them a shard has (a power of two): 512 KiB, which bounds what one turn receives and stays in the cache.
pub const RECV_BUFFERS: u16 = 16;

/// Bytes of a receive buffer where each receive takes a whole one (older kernels).
pub const RECV_BUFFER_WHOLE_BYTES: usize = 4096;
/// How many of them a shard has (a power of two): one per receive, so there have to be many.
pub const RECV_BUFFERS_WHOLE: u16 = 1024;

/// Bytes of a CONNECT packet that are held for a client that has not yet been let in. The largest sensible
/// CONNECT has a client id, a will topic, a will payload, a user name and a password of 64 KiB each.
pub const CONNECT_BYTES_MAX: u32 = 5 * 65_536 + 1024;

/// QoS 2 messages above the announced receive maximum that a client may have open: libraries that do not count send what an
/// application publishes in one go. An open one costs two bytes.
pub const INBOUND_BORNE: usize = 256;

/// Levels in a topic name or filter: 200 slashes, as many as Mosquitto takes.
pub const TOPIC_LEVELS_MAX: usize = 201;

/// Messages in one mesh ring between two shards, one direction.
pub const MESH_SLOTS: usize = 1024;

/// Slots of all mesh rings together: some 25 MB. Each ordered pair of shards has a ring, so that many shards get
/// shorter ones.
pub const MESH_SLOTS_TOTAL: usize = 1 << 19;

/// Messages taken from one mesh ring in one turn, so that one busy shard cannot hold up the sockets of another.
pub const MESH_DRAIN_MAX: usize = 256;

/// Ranges (iovecs) in one send of a connection.
pub const SEND_RANGES_MAX: usize = 64;

/// Nodes of the tree of filters that one topic may lead to: some 4 ms of looking up. A subscription that would make it more is
/// refused; what people subscribe to leads to a few dozen (`routing/tree/reach.rs`).
pub const MATCH_NODES_MAX: u32 = 1 << 14;

/// Subscriptions up to which a session may go up to twice that, some 8 ms: who has many cannot use up what those need who have few.
pub const MATCH_RESERVE_SUBSCRIPTIONS: usize = 32;

/// Part of those nodes up to which nobody is looked at for what it has made them more by: branching filters of honest clients stay
/// far below.
pub const MATCH_SHARED_DIVISOR: u32 = 4;

/// Levels of a filter with one `+` that has room whatever others have subscribed to: all such filters together lead to some 600
/// nodes more.
pub const MATCH_PLAIN_LEVELS: usize = 32;

/// Milliseconds between two times that it is computed anew how many there are, where that might let a filter in.
pub const MATCH_TIGHTEN_MS: u64 = 10_000;

/// Nodes for each of those milliseconds, where that makes it longer: of 50 ns each they take a thousandth of the time.
pub const MATCH_TIGHTEN_NODES: u64 = 20;

/// Topic names whose match is remembered, per shard.
pub const MATCH_CACHE_TOPICS: usize = 16_384;

// --- uring, shard ---

/// Submissions that a shard's ring takes between two calls into the kernel: the sends of one turn, as a rule.
pub const RING_SUBMISSIONS: u32 = 4096;

/// Completions that a shard's ring has room for; more are set aside by the kernel, which is slow but loses none.
pub const RING_COMPLETIONS: u32 = 4 * RING_SUBMISSIONS;

/// Worker threads of the kernel per shard and kind. Only shutdowns go there.
pub const RING_WORKERS_MAX: u32 = 2;

/// Connections in one shard's file table, at most: what the kernel allows (IORING_MAX_FIXED_FILES).
pub const DIRECT_DESCRIPTORS_MAX: u32 = 1 << 20;

/// Places in a shard's file table above the connections that the configuration allows: those that are being refused,
/// that close, or that move to another shard.
pub const DESCRIPTORS_SPARE: u32 = 4096;

/// Completions handled in one turn. The more there are, the more sends coalesce; at some 100 ns each, this many delay
/// the others by less than half a millisecond.
pub const COMPLETIONS_PER_TURN_MAX: usize = 4096;

/// Accepts in flight per listener and shard: connections that a turn can take in.
pub const ACCEPTS_PER_LISTENER: usize = 16;

/// Milliseconds that an accept rests when descriptors or memory are short, so that it does not spin.
pub const ACCEPT_PAUSE_MS: u64 = 50;

/// Places (iovecs) of the sends between two submissions: 128 KiB.
pub const SEND_ARENA_SLICES: usize = 8192;

/// Sends with more than one place between two submissions.
pub const SEND_ARENA_HEADERS: usize = 1024;

/// Bytes of MQTT in one send of a connection with TLS or WebSocket: what is copied for it, and what it may hold when its
/// socket takes nothing. Four TLS records of the greatest size.
pub const TRANSPORT_SEND_BYTES_MAX: usize = 64 << 10;

/// The same where each packet has a TLS record of its own, of which each adds some 30 bytes: packets of two bytes make 16
/// times as much of it.
pub const TRANSPORT_SEND_BYTES_SPLIT: usize = 16 << 10;

/// Bytes of answers of a transport (pongs, TLS alerts) that wait for a peer that does not take them, before it is closed.
pub const TRANSPORT_ANSWER_BYTES_MAX: usize = 256 << 10;

/// Handshakes that wait for a thread; where there are more, connections of the address that has most are closed. At a millisecond
/// each, the last waits for as long as a client has patience.
pub const HANDSHAKES_WAITING_MAX: usize = 1024;

/// How far behind the shards the threads that work on handshakes stand: a tenth of a CPU's share where shards are busy.
pub const HANDSHAKE_NICENESS: i32 = 10;

/// Threads that work on handshakes, at most; not more than there are shards.
pub const HANDSHAKE_THREADS_MAX: usize = 4;

/// Bytes that a TLS connection is counted with: some 5.2 KiB when it is idle, and records that are not whole now and then.
pub const TLS_CONNECTION_BYTES: u64 = 10 << 10;

/// Certificates of CAs between a peer's and one that is trusted, at most: as many as webpki follows.
pub const CERTIFICATE_PATH_MAX: usize = 6;

/// Extensions of a certificate; a dozen is much. They are compared with each other before anybody has vouched for it.
pub const CERTIFICATE_EXTENSIONS_MAX: usize = 64;

/// Certificates that a peer sends beside its own, of which more are not looked at.
pub const CERTIFICATES_SENT_MAX: usize = 16;

/// Signatures that are checked for one peer's certificate, at most: some 50 microseconds each.
pub const CERTIFICATE_SIGNATURES_MAX: u32 = 32;

/// Seconds before the end of a certificate from which on it is said: time to get another one.
pub const CERTIFICATE_WARNING_S: i64 = 14 * 24 * 3600;

/// Bytes of a PROXY header of version 2, which may carry what the proxy knows besides addresses.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;

/// Bytes of a PROXY header of version 1, a line, with its end (2.1 of the protocol).
pub const PROXY_LINE_BYTES_MAX: usize = 107;

/// Bytes of a WebSocket upgrade request, where websockets_headers_size does not say otherwise: what browsers send with
/// some cookies.
pub const WEBSOCKET_HEADERS_BYTES: usize = 4096;

/// Headers of a WebSocket upgrade request.
pub const WEBSOCKET_HEADERS_MAX: usize = 64;

/// Payload bytes that a WebSocket frame may announce. None of it is held, so that the bound is one of sense.
pub const WEBSOCKET_FRAME_BYTES_MAX: u64 = 1 << 40;

/// Messages that wait for room in the mesh, over all targets, before a shard takes no more input.
pub const MESH_WAITING_MAX: usize = 16 * MESH_SLOTS;

/// Times that the kernel is asked, in a row, for what its flag says that it has put off, while no completion comes: each time it
/// works off 20 events or more, and an event without a completion is rare.
pub const RING_ASKS_MAX: u32 = 16;

/// Milliseconds between two looks of a draining shard at whether the others have finished.
pub const DRAIN_POLL_MS: u64 = 5;

/// Milliseconds between two publications of a busy shard's counters.
pub const BOARD_MS: u64 = 50;

/// Messages that a turn delivers before those who publish have to wait for the next one: at some 25 ns each, 25 ms, in which
/// the sends that follow are still few for what they carry.
pub const TURN_DELIVERIES_MAX: u64 = 1_000_000;
/// What it counts for to put a message into a session's queue: 20 to 25 ns where many wait for the same (`bench/broker.rs`), more
/// where each waits for its own or an older message makes room.
pub const TURN_QUEUED_DELIVERIES: u64 = 3;

/// Deliveries that a node counts as that is visited for a match, of a quarter of a microsecond.
pub const TURN_NODE_DELIVERIES: u64 = 10;

/// Nodes and entries of one match that do not count in a turn, since every message has some.
pub const TURN_MATCH_FREE: usize = 64;

/// Levels of filters that one turn takes in or out of the tree, some 5 ms, before SUBSCRIBE and UNSUBSCRIBE wait for the
/// next one.
pub const TURN_FILTER_LEVELS: u64 = 1 << 14;

/// Messages that what one receive brought is delivered as, from which on its connection is received from once a turn if it has
/// more: some 250 µs, which all receive buffers together would make 4 ms of.
pub const FLOOD_DELIVERIES: u64 = 10_000;

/// Nanoseconds that the histogram of turns can hold: 60 seconds.
pub const TURN_NS_MAX: u64 = 60_000_000_000;

/// Microseconds that the histogram of delivery times can hold: 134 seconds, the last bound of what is exported of it.
pub const DELIVERY_US_MAX: u64 = 134_217_728;

/// Commands of the control thread that wait for a shard.
pub const COMMANDS_MAX: usize = 4096;

const _: () = assert!(MESH_SLOTS.is_power_of_two() && MESH_DRAIN_MAX <= MESH_SLOTS);
const _: () = assert!(MESH_SLOTS_TOTAL / (SHARDS_MAX * SHARDS_MAX) >= 64);
const _: () = assert!(RING_SUBMISSIONS.is_power_of_two() && RING_COMPLETIONS.is_power_of_two());
const _: () = assert!(SEND_ARENA_SLICES >= SEND_RANGES_MAX);

const _: () = assert!(RECV_BUFFERS.is_power_of_two() && RECV_BUFFERS_WHOLE.is_power_of_two());
const _: () = assert!(LOAD_RECV_BUFFERS.is_power_of_two());
const _: () = assert!(PAYLOAD_REFERENCE_BYTES_MIN < SEGMENT_BYTES / 4);
const _: () = assert!(SHARDS_MAX <= 256);

/// Payload bytes queued for one session above those in flight, when the configuration sets no bound of its own.
pub const QUEUED_BYTES_MAX: u64 = 64 << 20;

/// Messages that wait in a chunk of a shard's list. One of which a quarter is left, or less, keeps those only.
pub const BACKLOG_CHUNK: u64 = 64;

/// Entries up to which an emptied queue keeps its memory.
pub const QUEUE_CAPACITY_KEPT: usize = 64;

/// Bytes of an incomplete packet up to which it has its place as long as its account has any, and from which on its
/// memory grows by a quarter at a time.
pub const PARTIAL_BYTES_LARGE: usize = 64 << 10;

/// Milliseconds that a packet may take to come, and the bytes a second that it has to bring when they are over.
pub const PACKET_MS_MAX: u64 = 60_000;
/// Bytes a second, on average since then.
pub const PACKET_BYTES_PER_S_MIN: u64 = 1024;

/// Bytes pending for a connection that its own requests have caused (answers cannot be dropped) before it is closed.
pub const CONTROL_BYTES_MAX: u32 = 2 * OUTBOUND_BYTES_MAX;

/// Bytes pending for a connection up to which messages that wait in its session's queue follow: enough to keep a
/// fast client busy, little enough that the rest stays one reference each.
pub const PUMP_BYTES_MAX: u32 = 256 * 1024;

/// Bytes in one send: a fair share of a turn, and the most that a cancelled send can hold.
pub const SEND_BYTES_MAX: usize = 1 << 20;

/// Subscribers of one message in a shard from which on they share a packet identifier, so that all get the same bytes;
/// fewer get identifiers of their own, counted from 1.
pub const SHARED_IDS_MIN: usize = 8;

/// Deadlines that are handled in one turn.
pub const TIMERS_PER_TURN: usize = 4096;

/// Milliseconds between two looks for connections that take nothing.
pub const STALL_SWEEP_MS: u64 = 5_000;

/// Milliseconds between two looks for retained messages that have expired, and how many are looked at each time.
pub const RETAINED_SWEEP_MS: u64 = 1_000;
/// Retained messages looked at each time.
pub const RETAINED_SWEEP_COUNT: usize = 10_000;

/// Bytes of the longest topic name whose match is remembered: with the two bounds beside it, some 10 MB per shard at
/// the very most, and about 2 MB with topics as people write them.
pub const MATCH_CACHE_TOPIC_BYTES_MAX: usize = 256;

/// Filters in the largest match that is remembered. Where more match, their entries are the cost, not the match.
pub const MATCH_CACHE_FILTERS_MAX: usize = 64;

/// Buckets of topic prefixes in which a change of filters makes remembered matches invalid: 8 KiB of counters that
/// stay in the first-level cache, and enough of them that a change rarely hits a topic it has nothing to do with.
pub const MATCH_CACHE_SCOPES: usize = 1024;

/// Entries of one filter that are searched one after the other; beyond, an index is kept. A scan of as many takes
/// about as long as one look-up, and short lists are where the memory counts.
pub const LIST_ENTRIES_SCANNED_MAX: usize = 32;

/// Connections that the kernel queues for a listener until they are accepted; it caps this at net.core.somaxconn.
pub const LISTEN_BACKLOG: i32 = 4096;

/// Milliseconds between two attempts to give a shard a command of a reload, and attempts: what is waited for its answer.
pub const RELOAD_PAUSE_MS: u64 = 10;
/// After them the shard hangs.
pub const RELOAD_ATTEMPTS: usize = 1000;

/// Log lines that wait for the log writer; more are dropped and counted.
pub const LOG_LINES: usize = 16_384;

/// Bytes of a client id, user name, topic or filter that a log line shows: enough for every name that people give, while
/// MQTT allows 65,535.
pub const LOG_NAME_BYTES_MAX: usize = 256;

/// Milliseconds in which lines about refused connections are counted by address, on each shard.
pub const REFUSALS_MS: u64 = 10_000;
/// Lines about one address in that while: more than any program needs to ban it.
pub const REFUSAL_LINES_MAX: u32 = 20;
/// Lines a second about connections of one address that nobody has vouched for, on each shard: about those that come, about
/// what they send, and about those that go; before they are let in, and when they were let in without a name.
pub const STRANGER_LINES_MAX: u32 = 20;
/// Milliseconds in which they are counted.
pub const STRANGERS_MS: u64 = 1000;
/// Addresses that are told apart in either while: some 60 KB.
pub const REFUSAL_SOURCES_MAX: usize = 1024;

/// Bytes of the longest log line; what is behind them is cut. Three names with every character escaped fit.
pub const LOG_LINE_BYTES_MAX: usize = 8 << 10;

/// Bytes of lines that wait for the log writer, in the account of buffers; lines that find no room are lost, and counted.
/// As many as there may be of those lines, at 256 bytes each.
pub const LOG_WAITING_BYTES_MAX: u64 = 4 << 20;

/// Bytes of registered memory of the control thread's executor, which needs next to none (the limit on locked memory
/// is 8 MiB on many machines), and entries of its ring.
pub const CONTROL_IO_BYTES: usize = 64 << 10;
/// Entries of the control thread's ring.
pub const CONTROL_RING_DEPTH: usize = 32;

/// Milliseconds that the log writer rests after it has written what was there: a burst of lines wakes it once.
pub const LOG_PAUSE_MS: u64 = 20;

/// Milliseconds that a datagram may wait for a syslog daemon or the journal before its line is given up.
pub const LOG_SOCKET_MS: u64 = 200;

/// Seconds between two words on the same destination of the log that takes no lines: one that takes some of them, as a disk
/// that is nearly full does, is not told of with each.
pub const LOG_REFUSAL_WORD_S: u64 = 10;

/// Kinds of log line.
pub const LOG_KINDS: usize = 9;

/// Lines of one kind that are written in a second unless `log_lines_per_second` says otherwise: some 100 kB/s.
pub const LOG_LINES_PER_SECOND: u32 = 1000;

/// Milliseconds for which a log line that was published is kept for clients that are away: as in Mosquitto.
pub const LOG_TOPIC_EXPIRY_MS: u64 = 20_000;

/// Messages of `$SYS` that a shard is given at a time, and milliseconds between: they hold up nobody's messages.
pub const SYS_BATCH: usize = 64;
/// Milliseconds between two such batches.
pub const SYS_BATCH_PAUSE_MS: u64 = 2;

/// Milliseconds from the first figures in `$SYS` to the second, which know of the first. The times from one to the next
/// double, until they are the interval that is configured.
pub const SYS_FIRST_MS: u64 = 250;

/// Milliseconds between two looks at how many clients are connected, for the maximum in `$SYS`.
pub const SYS_SAMPLE_MS: u64 = 1000;

/// Milliseconds that shards have to answer with their reports before `$SYS` is published with older ones.
pub const REPORT_MS: u64 = 50;

/// Attempts to get a port that is taken, and milliseconds between them: time for the kernel to let go of the socket of
/// a broker that was killed, which on a busy machine takes a good part of a second.
pub const LISTEN_ATTEMPTS: usize = 40;
/// Milliseconds between two of them.
pub const LISTEN_PAUSE_MS: u64 = 25;

/// Subscriptions of a session that are searched in the time that a level of a filter takes.
pub const FILTERS_SEARCHED_PER_LEVEL: usize = 1000;

/// Filters in one SUBSCRIBE or UNSUBSCRIBE: what is handled at once, so that it must not take long.
pub const FILTERS_PER_PACKET_MAX: usize = 8192;

/// Levels of all filters in one SUBSCRIBE or UNSUBSCRIBE, as long as some 0.3 µs each: eight levels for each of the filters.
pub const LEVELS_PER_PACKET_MAX: usize = 8 * FILTERS_PER_PACKET_MAX;

/// Subscriptions of one session, shared ones apart. Taking one back searches through them, and the end of the session
/// takes all of them back at once.
pub const SUBSCRIPTIONS_MAX: usize = 1 << 16;

/// Shared subscriptions of one session: their names are compared one after the other.
pub const SHARED_SUBSCRIPTIONS_MAX: usize = 1024;

/// Retained messages that are fetched at once for a subscription, over all shards: a page. They wait for the client as
/// references of 16 bytes; the next page is fetched when less than half of one waits.
pub const REPLAY_PAGE_MESSAGES: usize = 1024;

/// Nodes of the tree that are visited for a page, before the whole store is looked through instead: about 1 ms.
pub const REPLAY_PAGE_NODES: usize = 1 << 13;

/// Places of the store that are looked through for a page: about as long.
pub const REPLAY_PAGE_SLOTS: usize = 1 << 13;

/// Subscriptions of one client whose retained messages are asked for at the same time: a page each. Those of one that
/// has more than a page follow one page after the other.
pub const REPLAY_QUESTIONS_MAX: u8 = 8;

/// Subscriptions of one client whose retained messages are still to be fetched, before it is closed.
pub const REPLAYS_WAITING_MAX: usize = 2 * SUBSCRIPTIONS_MAX;

/// Nodes and places of retained messages that a shard looks at in a millisecond for subscriptions with wildcards, on
/// average: a third of its time at most. Who subscribes waits; who publishes does not.
pub const LOOKUP_NODES_PER_MS: usize = 10_000;

/// Nodes that may be visited at once: the last page may go beyond.
pub const LOOKUP_NODES_BURST: usize = 1 << 15;
const _: () = assert!(REPLAY_PAGE_NODES + REPLAY_PAGE_SLOTS <= LOOKUP_NODES_BURST);

/// Stale deadlines that a shard keeps beside as many as it has connections and sessions, before it looks for them.
pub const TIMERS_STALE_MIN: usize = 4096;

/// Topics of retained messages that are noted while questions about retained messages are open, before those are
/// looked for that no open question is about.
pub const LIVE_TOPICS_KEPT: usize = 4096;

/// Numbers of shared subscriptions that have ended and are not given to others yet: a message may still come back by one.
pub const GROUP_IDS_RESTING: usize = 256;

/// Messages of a shared subscription after which one of the members that had no room for one has its turn again: an attempt
/// in vain costs up to two ways between shards.
pub const GROUP_REST_CHOICES: u32 = 64;

/// The same for those that had no right to one: rights are rights to topics, and another message may be theirs.
pub const GROUP_BARRED_CHOICES: u32 = 1024;

/// Members of a shared subscription on one shard that are asked at once whether they take a message, some 25 µs; if there are
/// more, the message goes on in the next turn.
pub const GROUP_ASKS_MAX: usize = 1024;

/// Messages that wait for that on a shard, and their bytes; with more, those that come go on at once, which the turn counts.
pub const GROUP_OFFERS_MAX: usize = 1024;
/// Bytes of them.
pub const GROUP_OFFERS_BYTES_MAX: usize = 1 << 20;

/// Times that a message begins anew with the members of a shard because others are barred now, before it goes through them at
/// once.
pub const GROUP_OFFER_STARTS_MAX: u8 = 4;

/// Members of a shared subscription on one shard that may read a message and are asked whether they have room for it, before
/// it goes to the next shard: where all are full, each message costs so many looks.
pub const GROUP_ROOM_LOOKS: usize = 16;
const _: () = assert!(GROUP_ROOM_LOOKS < GROUP_ASKS_MAX);

/// Decisions about topics that are remembered per shard where there is an ACL file: as many as matches.
pub const ACCESS_CACHE_DECISIONS: usize = MATCH_CACHE_TOPICS;

/// Bytes of the longest topic name about which a decision is remembered: with the bound above, some 5 MB per shard.
pub const ACCESS_CACHE_TOPIC_BYTES_MAX: usize = MATCH_CACHE_TOPIC_BYTES_MAX;

/// Bytes of an ACL file: a million rules, which take some 300 MB.
pub const ACCESS_FILE_BYTES_MAX: u64 = 32 << 20;

/// Iterations of a hash in a password file: some ten seconds.
pub const PASSWORD_ITERATIONS_MAX: u32 = 10_000_000;

/// KiB of memory that an argon2id hash in a password file may ask for, in each of the threads that check passwords.
pub const ARGON2_KIB_MAX: u32 = 256 << 10;

/// Passes over this memory.
pub const ARGON2_PASSES_MAX: u32 = 100;

/// Threads that check passwords. They run when nobody else wants the CPU, so more would mean more memory only.
pub const PASSWORD_THREADS: usize = 2;

/// Passwords that wait to be checked; further clients are refused. With mosquitto_passwd's hashes, of 0.1 ms each, the
/// last of them waits for 50 ms, and all answers have room among a shard's commands.
pub const PASSWORDS_WAITING_MAX: usize = 1024;

/// Milliseconds between two attempts to give a shard an answer (a password, a handshake), and attempts.
pub const ANSWER_PAUSE_MS: u64 = 5;
/// After them the client's time to be let in is over, and the answer is laid beside the commands.
pub const ANSWER_ATTEMPTS: usize = 2000;

const _: () = assert!(PASSWORDS_WAITING_MAX + 2 * HANDSHAKES_WAITING_MAX < COMMANDS_MAX);

/// Passwords of one source address that wait to be checked: an eighth of the queue, so that the others get through.
pub const PASSWORDS_WAITING_PER_ADDRESS: usize = PASSWORDS_WAITING_MAX / 8;
/// Bytes of names and passwords that wait to be checked, of all together; no more than those that are not let in yet have
/// (`PACKETS_BEGINNERS_DIVISOR`).
pub const PASSWORDS_WAITING_BYTES_MAX: u64 = 8 << 20;
/// One address has this part of them, and not less than one CONNECT can have.
pub const PASSWORDS_WAITING_DIVISOR: u64 = 8;
/// Who has no more than this waiting is let in although others hold all of it: names and passwords are rarely larger.
pub const PASSWORDS_WAITING_BYTES_ALWAYS: u64 = 8 << 10;

/// Connections of one source address, where the configuration says nothing: more than stand behind one address in
/// most networks, and too few to take all memory.
pub const SOURCE_CONNECTIONS: u32 = 10_000;

/// New connections a second of one source address, where the configuration says nothing: its TLS handshakes take less
/// than one core.
pub const SOURCE_RATE: u32 = 1000;

/// The greatest rate that can be configured, for connections of an address and for messages of a client: one each
/// microsecond, the unit in which they are counted.
pub const RATE_MAX: u32 = 1_000_000;

/// Seconds of its rate that an address may use at once: those who come back after a restart are many.
pub const SOURCE_BURST_S: u64 = 10;

/// Source addresses without a connection that are remembered for their rate: some 3 MB.
pub const SOURCES_IDLE_MAX: usize = 1 << 16;

/// Milliseconds that the goodbye of a client, or the end of what it sends, waits until its SUBSCRIBEs are answered: other
/// shards answer within some turns, and one that does not for so long never will.
pub const ANSWERS_MS_MAX: u64 = 10_000;

/// Answers that a shard keeps until what they promise is durable, some 3 MB; while there are so many publishers are not read from.
pub const HELD_ANSWERS_MAX: usize = 1 << 16;

/// Answers of one connection that are kept: what is read of it goes on beside PUBLISH, and who asks and asks is closed, as one that takes
/// no answers is. No client that waits for what it was promised has so many beside its PUBLISHes.
pub const HELD_ANSWERS_OF_ONE: u32 = 2 * HELD_ANSWERS_MAX as u32;

/// Milliseconds that a client which publishes too fast and has gone is caught up with: what is left then is dropped,
/// so that nobody occupies a connection for longer than it was worth the trouble.
pub const HELD_AFTER_END_MS: u64 = 10_000;

/// Log lines a second about what is refused to clients: of all shards together about connections, of each about the
/// rest. What is not said is counted.
pub const REFUSAL_LINES_PER_S: u32 = 20;

/// Milliseconds in which lines about what is refused to clients, and about sessions that lose messages, are counted.
pub const LINES_MS: u64 = 1000;

/// Characters of a topic filter in such a line.
pub const LOGGED_FILTER_CHARS: usize = 100;
