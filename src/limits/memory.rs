//! Bounds of the memory budget: how it is split, when which measure is taken, and what is looked at. Part of `limits`, like every
//! bound.

/// Bytes of the program itself: code, stacks, log, and what does not grow with clients. Some 12 MB are resident at the
/// start with two shards.
pub const PROGRAM_BYTES: u64 = 24 << 20;

/// Bytes that the program is charged with at least: it grows to that in its first minutes.
pub const PROGRAM_BYTES_MIN: u64 = 12 << 20;

/// Bytes that are left to others where memory_limit is not set: the kernel's own tables, whoever looks after the host.
pub const MEMORY_RESERVE_BYTES: u64 = 64 << 20;
/// The same as a part of what there is, and the greater of both counts.
pub const MEMORY_RESERVE_DIVISOR: u64 = 16;
/// But not more than this part, so that a small host can have a broker at all.
pub const MEMORY_RESERVE_DIVISOR_MAX: u64 = 4;

/// Bytes that every account has at least: below, a broker is not worth starting.
pub const BUDGET_ACCOUNT_BYTES_MIN: u64 = 2 << 20;

/// Thousandths of what is left above these for the kernel's memory of sockets: 5 KB each and what waits in them.
pub const BUDGET_SHARE_SOCKETS: u64 = 260;
/// For connections and sessions: half a kilobyte each.
pub const BUDGET_SHARE_CONNECTIONS: u64 = 90;
/// For TLS and WebSocket.
pub const BUDGET_SHARE_TRANSPORTS: u64 = 110;
/// For packets that are not whole.
pub const BUDGET_SHARE_PACKETS: u64 = 80;
/// For the outbound log and private copies.
pub const BUDGET_SHARE_OUTBOUND: u64 = 160;
/// For messages that wait for sessions.
pub const BUDGET_SHARE_BACKLOG: u64 = 120;
/// For subscriptions.
pub const BUDGET_SHARE_SUBSCRIPTIONS: u64 = 70;
/// For retained messages.
pub const BUDGET_SHARE_RETAINED: u64 = 110;
/// For what is on its way to the disk, where something is kept there: it leaves as fast as the disk takes it, and a disk that stands
/// still for a second or two holds up nobody.
pub const BUDGET_SHARE_JOURNAL: u64 = 20;

/// For what is held for those who ask over HTTP, where anybody can.
pub const BUDGET_SHARE_HTTP: u64 = 10;

/// Bytes of the account of the journal, at least: what the storage thread has waiting before it takes no more from the shards.
pub const JOURNAL_ACCOUNT_BYTES_MIN: u64 = super::STORE_QUEUE_BYTES_MAX;
/// The same for each shard: its chunks while a commit is under way, and what it remembers so that it need not write it twice.
pub const JOURNAL_ACCOUNT_SHARD_BYTES_MIN: u64 = 4 << 20;
const _: () = assert!(
    JOURNAL_ACCOUNT_SHARD_BYTES_MIN >= 16 * super::STORE_BLOCK_BYTES_MAX as u64,
    "a shard has some chunks at once"
);

/// Bytes that a shard leases of an account at once: few enough that many shards do not lock up much, enough that it is
/// seldom.
pub const LEASE_BYTES_MAX: u64 = 256 << 10;
/// Bytes that it leases at least.
pub const LEASE_BYTES_MIN: u64 = 4 << 10;

/// Milliseconds between two looks at what is short, while something is; until the next one the bounds stay as they are.
pub const PRESSURE_LOOK_MS: u64 = 100;

/// Bytes pending for a connection above which only the newest message of each topic waits for it, where its policy is
/// `latest`.
pub const LATEST_BYTES_MAX: u32 = 64 << 10;

/// Clients that lag most which are shown.
pub const SLOWEST_SHOWN: usize = 10;
/// Seconds without progress from which on a client counts as lagging.
pub const LAG_SECONDS_MIN: u32 = 1;
/// Bytes waiting from which on it does although it makes progress.
pub const LAG_BYTES_MIN: u64 = 256 << 10;
/// Seconds for which the oldest message in flight has not been acknowledged from which on a client counts as lagging
/// although it takes everything.
pub const STUCK_SECONDS_MIN: u32 = 60;
/// Messages in flight, of each kind of identifier, that are put aside because all identifiers behind them have been used: a
/// client that leaves more unacknowledged has to wait.
pub const WINDOW_ASIDE_MAX: usize = 64;
/// Messages with QoS 1 that were dropped for a session and are known when their publishers send them again: as many as a few
/// publishers have in flight.
pub const DROPPED_KNOWN: usize = 128;
/// Bytes of their payloads that tell them from others of the same topic and identifier.
pub const DROPPED_BYTES_SEEN: usize = 64;
/// Packets that are looked at for how many wait.
pub const LAG_PACKETS_SEEN: u64 = 256;

/// Milliseconds that a publisher is not read from at a time when memory is short.
pub const SLOW_MS: u64 = 100;

/// Bytes pending for a connection when memory is short.
pub const OUTBOUND_BYTES_SHRUNK: u32 = 1 << 20;
/// Bytes pending for a connection when memory is very short, and however little there is: what a healthy client takes in
/// a few turns.
pub const OUTBOUND_BYTES_MIN: u32 = 64 << 10;
/// Bounds that connections with the same backlog have, a 256th of the whole apart: so many of them are shortened one after
/// the other.
pub const OUTBOUND_BOUNDS: u32 = 64;
/// By what part of its bound a queue is shortened that has reached it.
pub const OUTBOUND_SHORTENED_DIVISOR: u32 = 8;

/// Bytes that may wait for a session however little memory there is, as long as the account has any.
pub const BACKLOG_BYTES_MIN: u64 = 4 << 10;
/// Bytes that one more message that waits is taken to need beside itself: what refers to it grows now and then.
pub const BACKLOG_ENTRY_BYTES: u64 = 64;
/// Bytes below which nobody is closed for what it holds.
pub const SHED_BYTES_MIN: u64 = 16 << 10;
/// Where those are sessions that are away, this part of what all sessions hold goes at a time.
pub const SHED_BACKLOG_DIVISOR: u64 = 16;
/// Bytes that a connection and a session need, beside names and a will.
pub const CONNECTION_BYTES: u64 = 512;
/// Bytes that a subscription needs, beside its filter: nodes of the tree, an entry.
pub const SUBSCRIPTION_BYTES: u64 = 512;
/// While less than this part of the account for retained messages is free, shards that own topics are asked before a message
/// is taken: what is under way to them may fill it.
pub const RETAIN_ASK_DIVISOR: u64 = 8;
/// Milliseconds after which a message that nobody has answered for is refused.
pub const RETAIN_ASK_MS: u64 = 1000;
/// Bytes that a retained message needs beside itself: nodes of the tree, its place in the table.
pub const RETAINED_BYTES: u64 = 256;

/// Milliseconds between two times that free memory is given back after a peak; it costs a millisecond or so.
pub const TRIM_MS: u64 = 10_000;
/// Places in the tables of connections and sessions that have to be free more before they are looked through.
pub const TRIM_PLACES_MIN: usize = 2048;
/// The same while memory is short.
pub const TRIM_SHORT_MS: u64 = 1000;

/// One holder may have what is free of an account divided by this: one alone comes to a third of the account, four to
/// two thirds together.
pub const THRESHOLD_DIVISOR: u64 = 2;

/// The largest packet that clients may send is the account of packets divided by this: with the quarter by which its memory
/// grows ahead it stays below what one holder may have of an account that is free.
pub const PACKET_DIVISOR: u64 = 4;
const _: () = assert!(5 * (THRESHOLD_DIVISOR + 1) <= 4 * PACKET_DIVISOR);

/// Thousandths of the limit on memory from which on caches are emptied.
pub const RUNG_TRIM: u64 = 700;
/// From which on queues are made shorter.
pub const RUNG_SHRINK: u64 = 780;
/// From which on what is new is refused.
pub const RUNG_REFUSE: u64 = 840;
/// From which on publishers wait.
pub const RUNG_SLOW: u64 = 890;
/// From which on QoS 0 messages are dropped for the heaviest.
pub const RUNG_DROP: u64 = 930;
/// From which on the heaviest are closed: some 100 MB below 2 GB.
pub const RUNG_SHED: u64 = 950;
/// Thousandths below its threshold at which a step is left.
pub const RUNG_HYSTERESIS: u64 = 40;
/// Milliseconds that the level has to be that low before.
pub const RUNG_DOWN_MS: u64 = 1000;

/// Bytes of messages that wait in front of the mesh's rings, or lie in them, per shard, before the shard takes no more
/// input.
pub const MESH_WAITING_BYTES_MAX: u64 = 8 << 20;
/// The same where memory is little; between the two it is what the account has for each shard.
pub const MESH_WAITING_BYTES_MIN: u64 = 1 << 20;

/// What is taken for the limit where nothing tells how much memory there is.
pub const MEMORY_UNKNOWN_BYTES: u64 = 1 << 30;

/// The mesh has this part at most of what is left when all accounts have their least.
pub const MESH_SHARE_DIVISOR: u64 = 16;

/// Milliseconds between two looks at how much memory is used. At 1 GB a second that comes in and stays, 100 MB, which is
/// what is left above the last step of the ladder with a limit of 2 GB.
pub const MEMORY_LOOK_MS: u64 = 100;

/// What the process holds has fallen when it is less than at its peak by this part of it, and by so many bytes.
pub const FALL_DIVISOR: u64 = 8;
/// See `FALL_DIVISOR`.
pub const FALL_BYTES_MIN: u64 = 1 << 20;
/// How often all threads give free memory back after a fall: once more for what was still under way between them.
pub const GIVE_BACK_TIMES: u32 = 2;
/// More is resident than is held by what comes and goes with leases when it is more than it was at the least by this part of what
/// is held, and by so many bytes.
pub const BEYOND_DIVISOR: u64 = 16;
/// See `BEYOND_DIVISOR`.
pub const BEYOND_BYTES_MIN: u64 = 2 << 20;
/// Milliseconds between two times that what stays resident is asked for, at most: it may be where it cannot go back.
pub const GIVE_BACK_MS_MAX: u64 = 320_000;
/// Milliseconds from a fall to the first time.
pub const GIVE_BACK_SOON_MS: u64 = 2000;
/// Milliseconds between two times.
pub const GIVE_BACK_MS: u64 = 10_000;
/// Bytes of a free block from which on its memory goes back although its neighbours are in use: the first 4 KiB stay.
pub const GIVE_BACK_BLOCK_BYTES_MIN: usize = 8 << 10;
/// Such blocks at a time, for a thread: a few milliseconds, and one for each 32 MB of them.
pub const GIVE_BACK_BLOCKS_MAX: usize = 4096;

/// Looks from one reading of the files that take long (what can be reclaimed, limits, what the machine has) to the next
/// while less than `MEMORY_CLOSE` is used: one a second.
pub const MEMORY_LOOKS_PER_READING: u32 = 10;

/// Thousandths of a limit from which on each look reads all files.
pub const MEMORY_CLOSE: u64 = 600;

/// Thousandths of a control group's limit from which on its events count: below, the page cache alone makes them.
pub const MEMORY_EVENTS_FROM: u64 = 600;

/// Milliseconds for which an event of a control group (`high`, `max`, or `failcnt`) asks for the measures of Shrink.
pub const MEMORY_EVENTS_MS: u64 = 5000;

/// Hundredths of the time in which some task stood still for want of memory, over ten seconds (PSI), from which on
/// caches are emptied, and from which on queues are made shorter.
pub const MEMORY_STALL_TRIM: u64 = 10;
/// See above.
pub const MEMORY_STALL_SHRINK: u64 = 30;

/// Bytes of the longest file that is read for that: memory.stat, or /proc/meminfo.
pub const MEMORY_TEXT_BYTES_MAX: usize = 16 << 10;

/// Control groups that are looked at: the process's own and those above it that have a limit, innermost first.
pub const MEMORY_GROUPS_MAX: usize = 3;

/// Log lines a minute about steps of the ladder: going up and down once is twelve.
pub const RUNG_LINES_PER_MINUTE: u32 = 30;

/// Parties that a shard names of each kind when it tells what it holds of an account that is short: those who hold most.
pub const SHARES_PARTIES_MAX: usize = 128;
/// The account of subscriptions divided by this is left to plain filters of clients with few, and as much again to users who have
/// proved their name.
pub const SUBSCRIPTIONS_PART_DIVISOR: u64 = 8;
/// An account is short when less than this part of it is free: what is left is for those who hold less than their share,
/// until the others have given way.
pub const SHARES_RESERVE_DIVISOR: u64 = 8;
/// Who holds less than its share overdraws an account by this part of it at most, until the others have given way.
pub const SHARES_BEYOND_DIVISOR: u64 = 2;
const _: () = assert!(SHARES_BEYOND_DIVISOR < SHARES_RESERVE_DIVISOR);
/// However much is wanted, this part of an account stays with those who hold something, by their shares.
pub const SHARES_LEFT_DIVISOR: u64 = 4;
/// Those who hold most give way until this part more is free than that, so that it is not done for each message anew.
pub const SHARES_MARGIN_DIVISOR: u64 = 32;
/// While it stays short it is looked who holds how much when so many messages or packets have found no room, or one for each so
/// many holders if that is more: then looks at so many of them cost as much as a message to a queue.
pub const SHARES_LOOK_MIN: usize = 64;
/// See above.
pub const SHARES_LOOK_HOLDERS: usize = 8;
/// Or when as many bytes have found none as those messages are with so many each, but no fewer than were made free, and no more
/// than are kept in reserve.
pub const SHARES_LOOK_BYTES: u64 = 1 << 10;
/// Holders that are looked at in the time of one delivery.
pub const SHARES_HOLDERS_PER_DELIVERY: u64 = 4;
/// Sessions a second that are named in the log, of each shard, when some lose messages because they hold most.
pub const SHARES_LINES: u32 = 8;
/// Connections of which CONNECT has not come whole have this part of the account of packets, over all shards.
pub const PACKETS_BEGINNERS_DIVISOR: u64 = 8;
