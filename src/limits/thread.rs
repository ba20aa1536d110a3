//! Bounds of the thread of a shard: the work of one turn, what is accepted when turns are long, what lies in front of
//! the mesh. Part of `limits`, like every bound.

/// Milliseconds that a turn handles completions for before it goes on with the rest of what there is to do: the others
/// keep their order and are handled in the next turn. As long again may be taken by messages of other shards.
pub const TURN_WORK_MS: u64 = 10;

/// Received bytes after which a turn looks at the clock: 64 small PUBLISH packets, which to 1000 subscribers are some
/// 1.5 ms.
pub const TURN_LOOK_BYTES: usize = 4096;

/// Bytes that every receive counts as beside those that it brought: the clock is read once in 16 small ones, which is
/// two nanoseconds each.
pub const TURN_RECEIVE_BYTES: usize = 256;

/// Messages taken from one mesh ring between two looks at the clock.
pub const MESH_DRAIN_SLICE: usize = 16;

/// Milliseconds from which on a turn is long: accepts rest for `ACCEPT_PAUSE_MS` after it.
pub const TURN_LONG_MS: u64 = 50;

/// Turns in a row that had to leave completions to the next one from which on accepts rest too.
pub const TURNS_OVERLOADED_MAX: u32 = 8;

/// Connections that found no receive buffer, for each buffer that the kernel has, up to which all of them are received from
/// again at once, as often as there is something.
pub const STARVED_FEW_PER_BUFFER: usize = 2;

/// When they are more, so many for each buffer are received from once, at most: acknowledgements of 1000 subscribers are some
/// 2 KB each. It begins with one: with 4 of them, and 2,000 publishers of 1 KB messages, two of three found none again; with
/// one, one in 35.
pub const STARVED_PER_BUFFER_MAX: usize = 32;

/// Bytes that one connection has received in a row, two buffers, from which on it is why there is none left.
pub const FLOOD_BYTES: usize = 2 * super::RECV_BUFFER_BYTES;

/// Bytes of the state of a TLS connection whose handshake is over: 4.5 KB of private memory were measured, with its
/// connection and session.
pub const TLS_STATE_BYTES: u64 = 5 << 10;

/// What is kept of the account for TLS and WebSocket for bytes on their way out: the account divided by this. Beyond
/// the rest nobody may begin a handshake, or have more received of a record that is not whole.
pub const TRANSPORTS_RESERVE_DIVISOR: u64 = 8;

/// Handshakes that are given up at once for one of another address: so many have ever less than the least record needs.
pub const HANDSHAKES_GIVEN_UP_MAX: usize = 64;

/// Bytes of MQTT in one send of a connection with TLS or WebSocket when half of that reserve is used up.
pub const TRANSPORT_SEND_BYTES_SHORT: usize = 4 << 10;

// What sockets cost was measured on Linux 6.18 over loopback: perf/2026-11-24-sockets.

/// Bytes of the kernel for a connection with nothing in it: the socket, its file, and the receive that waits. 3.6 to
/// 3.9 KB were measured.
pub const SOCKET_BYTES: u64 = 4 << 10;

/// Connections divided by those of them that the budget lets be full at once. When more are, measured memory rises and
/// the ladder ends some.
pub const SOCKET_FULL_DIVISOR: u64 = 8;

/// Bytes for each connection from which on all is left to the kernel, whose own bounds are no higher as a rule.
pub const SOCKET_SHARE_AMPLE: u64 = 8 << 20;

/// Bytes for each connection below which its buffers are bounded in both directions: there the kernel's tuning, which
/// goes to megabytes, would let a few use up what all have.
pub const SOCKET_SHARE_SMALL: u64 = 48 << 10;

/// Bytes in a socket that have not been sent, at least: a turn's output for a subscriber should go with one send.
pub const SOCKET_NOTSENT_MIN: u32 = 16 << 10;

/// Bytes in a socket that have not been sent, at most: more does not make a connection faster. 256 KiB did make 100 subscribers
/// with half a megabyte outstanding each 15 % dearer (perf/2026-11-24-sockets).
pub const SOCKET_NOTSENT_MAX: u32 = 1 << 20;

/// Bytes that a full socket holds above those: the packet that went beyond, and the kernel's own of each.
pub const SOCKET_SEND_OVERHEAD: u64 = 56 << 10;

/// Bytes of a full socket that the kernel has tuned (tcp_wmem).
pub const SOCKET_SEND_TUNED: u64 = 4 << 20;

/// SO_SNDBUF where the share is small: half of it would let one packet of loopback at a time through, which stalls.
pub const SOCKET_SEND_BYTES: u32 = 128 << 10;

/// SO_RCVBUF where the share is small. The kernel doubles it: 28 KiB were measured.
pub const SOCKET_RECEIVE_BYTES: u32 = 16 << 10;

/// TCP_MAXSEG where the share is small: no path gives larger segments then, not loopback with its 64 KiB either. A sender waits
/// for room for a whole segment, and Linux takes up to half of the largest window that it was offered for one. What a receiver
/// offers shrinks with the share of payload in what came last, is rounded down to a multiple of the last segment, and grows again
/// only to what the buffer holds beside a segment. With segments of a third of the buffer both wait for each other for good: one
/// segment comes for each probe of the window.
pub const SOCKET_SEGMENT_BYTES: u32 = 4 << 10;
// Of the doubled buffer a quarter is offered where three quarters of what comes are the kernel's own. Rounded down that is more
// than half of it, and at least a segment.
const _: () = assert!(2 * SOCKET_RECEIVE_BYTES / 4 >= 2 * SOCKET_SEGMENT_BYTES);

/// Milliseconds after which a shard that takes no input, because too many bytes lie in the mesh's rings, looks again.
pub const MESH_POLL_MS: u64 = 1;

/// Milliseconds after which a shard that sleeps looks whether the others have taken what it sent, so that the account of
/// the mesh does not stand at what is long gone.
pub const MESH_LOOK_MS: u64 = 100;

/// Messages of one publisher that may be under way by owners of topics before it has to wait (`broker/retained/under_way.rs`): what it
/// sends in some turns, since they are passed on in the turn in which they come.
pub const UNDER_WAY_MESSAGES_MAX: u64 = 1024;

/// Bytes of them.
pub const UNDER_WAY_BYTES_MAX: u64 = 256 << 10;

/// Messages of all publishers of a shard that may be: as many as may wait in front of the mesh.
pub const UNDER_WAY_ALL_MESSAGES_MAX: u64 = super::MESH_WAITING_MAX as u64;

/// Bytes of them: what the mesh has for a shard at least.
pub const UNDER_WAY_ALL_BYTES_MAX: u64 = super::MESH_WAITING_BYTES_MIN;
const _: () = assert!(UNDER_WAY_MESSAGES_MAX * 16 <= UNDER_WAY_ALL_MESSAGES_MAX);
const _: () = assert!(UNDER_WAY_BYTES_MAX * 4 <= UNDER_WAY_ALL_BYTES_MAX);

/// Milliseconds that a shard is late, or a turn takes, from which on the shard has stood still: its clients are not at fault for
/// what they could not be seen to do in that time. Longer than turns take.
pub const STANDSTILL_MS_MIN: u64 = 500;
const _: () = assert!(STANDSTILL_MS_MIN > TURN_LONG_MS + 2 * TURN_WORK_MS);
/// Milliseconds that a shard sleeps at most while deadlines lie ahead of it: in a longer sleep a standstill could not be told.
pub const WATCH_MS: u64 = 1000;
/// Milliseconds after which what is due is done although the shard has not been found with nothing left to handle: a shard
/// that is never idle has handled by then what had come before.
pub const LOOK_MS_MAX: u64 = 1000;
/// Milliseconds between two attempts to find it so.
pub const LOOK_PAUSE_MS: u64 = 1;
/// Milliseconds that a will, or the end of a session, waits for all other shards to look at what has come to them. One that
/// stands still for longer is waited for no more.
pub const LOOKS_MS_MAX: u64 = 5000;
const _: () = assert!(LOOKS_MS_MAX > 2 * LOOK_MS_MAX);
/// Milliseconds after a standstill in which no will is published for a delay that is over, and no session ends for its age: as
/// long as the standstill was (who tried in vain meanwhile tries again within about that time), but at least so many.
pub const GRACE_MS_MIN: u64 = 1000;
/// And at most so many.
pub const GRACE_MS_MAX: u64 = 10_000;
