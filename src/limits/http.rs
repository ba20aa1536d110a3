//! Bounds of HTTP on the control thread. Part of `limits`, like every bound.

/// Connections of one listener at once: a scraper or two, and a browser with its six. Another one waits to be accepted, and one
/// that is idle makes room for it, or one that asks nothing.
pub const HTTP_CONNECTIONS_MAX: usize = 16;

/// Connections of one listener beside those, for whoever looks after the broker: they are answered by `/healthz`, `/readyz` and
/// `/metrics`, and by everything else when there is room.
pub const HTTP_PROBES_MAX: usize = 4;

/// Milliseconds that such a connection waits for room if it asks for something else: what is idle has ended by then.
pub const HTTP_ROOM_MS: u64 = 300;

/// Bytes that a connection is charged with, whatever it does: what has come of a head, what is on its way out of hyper, its task.
pub const HTTP_CONNECTION_BYTES: u64 = 32 << 10;

/// Bytes of an answer up to which it is given however full the account is: a line that says what is the matter.
pub const HTTP_WORDS_BYTES: u64 = 512;

/// Bytes of the account that are left to `/healthz`, `/readyz` and `/metrics`: a page of figures of many shards.
pub const HTTP_PROBE_BYTES: u64 = 512 << 10;
const _: () = assert!(
    2 * HTTP_PROBE_BYTES + (HTTP_CONNECTIONS_MAX + HTTP_PROBES_MAX) as u64 * HTTP_CONNECTION_BYTES
        <= super::BUDGET_ACCOUNT_BYTES_MIN,
    "others are answered too"
);

/// Bytes of the head of a request. hyper takes no smaller bound.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 << 10;

/// Headers of a request: browsers send some 15.
pub const HTTP_HEADERS_MAX: usize = 64;

/// Milliseconds from a connection's begin, or from the first byte of a request, until the head is whole: TLS included.
pub const HTTP_HEAD_MS_MAX: u64 = 10_000;

/// Milliseconds that a head may take while somebody waits for the place of its connection: TLS over a long way, too. Those of one address
/// that are not whole share it: of ten at once each has a tenth.
pub const HTTP_SILENCE_MS: u64 = 250;

/// Bytes a second that a client has to take of its answer while the broker waits for it to take more: a slow mobile network.
pub const HTTP_SPEED_MIN: u64 = 8 << 10;
/// Milliseconds for which the broker has waited for it in all before it is judged by that.
pub const HTTP_SLOW_MS: u64 = 5_000;
/// Bytes a second above which it keeps its place while somebody waits for that.
pub const HTTP_SPEED_KEPT: u64 = 64 << 10;
/// Milliseconds for which the broker has waited for it before it gives way to them.
pub const HTTP_SLOW_WAITED_MS: u64 = 1_000;
const _: () = assert!(HTTP_SPEED_MIN < HTTP_SPEED_KEPT && HTTP_SLOW_WAITED_MS < HTTP_SLOW_MS);

/// Milliseconds from there until the answer is out: a file of 16 MiB at 2 Mbit/s.
pub const HTTP_ANSWER_MS_MAX: u64 = 60_000;

/// Milliseconds without a request. Scrapers come every 15 or 30 seconds as a rule, or every minute.
pub const HTTP_IDLE_MS_MAX: u64 = 75_000;

/// Milliseconds between two looks at how long a connection has stood in one of these.
pub const HTTP_LOOK_MS: u64 = 250;

/// Milliseconds between two looks whether there is room for one more connection.
pub const HTTP_ROOM_LOOK_MS: u64 = 50;

/// Milliseconds between two looks whether a password has been checked.
pub const HTTP_CHECK_LOOK_MS: u64 = 2;

/// Bytes that are received at a time.
pub const HTTP_RECEIVE_BYTES: usize = 4 << 10;

/// Bytes of a file that are read at a time, and bytes that TLS encrypts at a time: a record.
pub const HTTP_PIECE_BYTES: usize = 16 << 10;

/// Milliseconds that a scrape waits for shards to tell how their turns were distributed; of one that has not by then the last
/// report stands.
pub const HTTP_REPORT_MS: u64 = 20;

/// Milliseconds in which every shard has to answer for the broker to be ready.
pub const HTTP_READY_MS: u64 = 1000;

/// Milliseconds between two looks whether they have.
pub const HTTP_REPORT_LOOK_MS: u64 = 1;

/// Milliseconds between two looks whether what is kept has been read, where somebody is answered meanwhile.
pub const START_LOOK_MS: u64 = 10;

/// Bytes of the stack of the thread that reads it then: as the main thread has, which reads it otherwise.
pub const START_STACK_BYTES: usize = 8 << 20;

/// Milliseconds that `firehose health` waits for an answer: longer than a broker takes to find that a shard is silent.
pub const HEALTH_MS_MAX: u64 = 5000;

const _: () = assert!(HTTP_READY_MS < HEALTH_MS_MAX);
const _: () = assert!(HTTP_SILENCE_MS < HTTP_HEAD_MS_MAX && HTTP_HEAD_MS_MAX < HTTP_IDLE_MS_MAX);
const _: () = assert!(HTTP_REPORT_MS < HTTP_READY_MS);

/// Milliseconds that who asks for a file waits for one that another is waiting for: one is read at a time.
pub const HTTP_FILE_MS: u64 = 5_000;

/// Milliseconds between two looks whether it has been read.
pub const HTTP_FILE_LOOK_MS: u64 = 5;

/// Files that wait to be closed: where a file system does not let that happen, no more are opened.
pub const HTTP_CLOSING_MAX: usize = 64;

/// Milliseconds that a look at `http_dir` may take when the configuration is read.
pub const HTTP_DIR_LOOK_MS: u64 = 1_000;
