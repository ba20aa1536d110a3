//! Bounds of the load tester: each with its unit and its reason.

use super::PACKET_BYTES_MAX;

/// Nanoseconds that the load tester's histograms tell apart, at most: an hour. What is above counts as this.
pub const LOAD_VALUE_NS_MAX: u64 = 3_600_000_000_000;

/// Gaps in the streams of one worker's subscribers that are kept to tell late messages from repeated ones: 8 bytes each
/// and as much again. A broker under test could make one with every message.
pub const LOAD_GAPS_MAX: usize = 1 << 20;

/// Sampled messages of a step whose first and last arrival a worker keeps: some 40 MB.
pub const LOAD_SPREAD_MESSAGES_MAX: usize = 1 << 20;

/// Bytes that a publisher of the load tester keeps for a broker that does not take them; messages that are due beyond
/// that are held back.
pub const LOAD_OUT_BYTES_MAX: usize = 256 * 1024;

/// Messages of a worker that are due and held back, at most: 8 bytes each. Those behind them wait in the schedule.
pub const LOAD_HELD_MAX: usize = 1 << 20;

/// Messages that a worker publishes before it looks at its connections again.
pub const LOAD_PUBLISHES_PER_TURN: u32 = 256;

/// Connections of a worker that are being opened at the same time, where no rate is given.
pub const LOAD_OPENING_MAX: usize = 64;

/// Completions that a worker takes before it publishes again.
pub const LOAD_COMPLETIONS_PER_TURN: usize = 512;

/// Retained topics a second that are emptied after a run.
pub const LOAD_CLEAR_RATE: f64 = 50_000.0;

/// Receive buffers of a worker, of `RECV_BUFFER_BYTES` each: as much as its subscribers have waiting in a turn. With fewer
/// the kernel runs out of them and every receive has to be armed again, which took as much CPU as all else.
pub const LOAD_RECV_BUFFERS: u16 = 256;

/// Output buffers that a worker keeps for later use, and the largest of them.
pub const LOAD_BUFFERS_KEPT: usize = 1024;
pub const LOAD_BUFFER_KEPT_BYTES: usize = 64 * 1024;

/// The longest packet that the load tester takes.
pub const LOAD_PACKET_BYTES_MAX: u32 = PACKET_BYTES_MAX;

/// Different error texts of a worker that are counted apart.
pub const LOAD_ERROR_TEXTS_MAX: usize = 32;

/// Connections that were kept out for their login, or for what lies below MQTT, while none came in, from which on a run
/// is given up: all have the same login. Fewer are enough where there are fewer clients.
pub const LOAD_KEPT_OUT_SURE: u64 = 100;

/// Seconds without a new connection after which those that are still missing have failed.
pub const LOAD_OPEN_QUIET_S: f64 = 10.0;

/// Milliseconds that a worker sleeps at most: after so many it sees a command.
pub const LOAD_SLEEP_MS_MAX: u64 = 2;

/// Milliseconds behind the end of a step in which a worker that is late sends what was due before. One that cannot keep
/// up would go on for long.
pub const LOAD_LATE_MS_MAX: u64 = 500;

/// Clients of one kind in a load: more than a process has descriptors for on any machine so far.
pub const LOAD_CLIENTS_MAX: i64 = 4_000_000;

/// Topics of a load, and messages that it stores.
pub const LOAD_TOPICS_MAX: i64 = 50_000_000;

/// Messages of a publisher that a windowed load keeps outstanding.
pub const LOAD_WINDOW_MAX: i64 = 1_000_000;

/// Connections from which on the report for people tells what one costs in memory.
pub const LOAD_MEMORY_CONNECTIONS_MIN: u64 = 500;

/// Intervals of a step: some 20 KB each and for each worker.
pub const LOAD_INTERVALS_MAX: f64 = 10_000.0;

/// Rates of a ramp, and runs of a plan.
pub const LOAD_STEPS_MAX: i64 = 1000;
pub const LOAD_RUNS_MAX: i64 = 1000;

/// Messages of a step whose spread a worker takes, where no choice is given: far fewer than it could keep.
pub const LOAD_SPREAD_WANTED: f64 = 10_000.0;
/// Slip (p99) that the load tester's verdict begins to mind: the kernel's timer slack.
pub const LOAD_SLIP_FLOOR_NS: u64 = 50_000;

/// Slip p99 over latency p99 from which on the tester is the limit.
pub const LOAD_SLIP_SHARE_MAX: f64 = 0.1;

/// CPU seconds over seconds of a worker from which on it has no CPU left.
pub const LOAD_WORKER_BUSY_MAX: f64 = 0.95;

/// Broker and tester together, over all CPUs, from which on they may wait for each other.
pub const LOAD_MACHINE_BUSY_MAX: f64 = 0.9;

/// Published over intended messages below which a rate is not reached.
pub const LOAD_RATE_SHARE_MIN: f64 = 0.99;

/// Bytes of a password: its length is a 16-bit number (MQTT 3.1.3.6).
pub const PASSWORD_BYTES_MAX: usize = u16::MAX as usize;

/// Samples below which a percentile says nothing that the maximum does not.
pub const LOAD_P99_SAMPLES_MIN: u64 = 100;
pub const LOAD_P999_SAMPLES_MIN: u64 = 1000;

/// Most minus least over the median of several runs, from which on the report says so.
pub const LOAD_SPREAD_SHARE_MAX: f64 = 0.1;

/// Published over intended messages below which an attempt of a search has missed whatever its objective is.
pub const LOAD_SEARCH_RATE_SHARE_MIN: f64 = 0.98;

/// Attempts of a search, repeated ones included.
pub const LOAD_SEARCH_ATTEMPTS_MAX: usize = 40;

/// How much faster each attempt of a search is until one fails.
pub const LOAD_SEARCH_GROWTH: f64 = 2.0;

/// The lowest rate that a search tries, in messages a second.
pub const LOAD_SEARCH_RATE_MIN: f64 = 1.0;

/// The finest relative precision of a search: below, repetitions differ by more.
pub const LOAD_SEARCH_PRECISION_MIN: f64 = 0.001;

/// Clients of one kind in the stress test, and the largest side of its grid.
pub const STRESS_CLIENTS_MAX: i64 = 65_536;

/// Messages of one client in the stress test.
pub const STRESS_COUNT_MAX: i64 = 1_000_000_000;

/// Bytes of its payload: what a packet can hold beside the longest topic.
pub const STRESS_MSG_BYTES_MAX: i64 = PACKET_BYTES_MAX as i64 - 5 - 65_535 - 4;

/// Runs of the stress test, or of each cell of its grid.
pub const STRESS_RUNS_MAX: i64 = 10_000;

/// Seconds of its timeouts: a day.
pub const STRESS_TIMEOUT_S_MAX: u64 = 86_400;

/// Seconds of quiet between two of its runs: an hour.
pub const STRESS_SETTLE_S_MAX: f64 = 3600.0;

/// Looks at the broker that a run keeps: an hour at ten a second, some 4 MB. A longer run keeps every second one.
pub const LOAD_SAMPLES_MAX: usize = 36_000;

/// Events of the broker that a run keeps; a broker that is killed and started again can make any number.
pub const LOAD_EVENTS_MAX: usize = 1000;

/// Processes of a broker under test that are looked at: itself and its descendants.
pub const LOAD_PROCESSES_MAX: usize = 4096;

/// Bytes at the end of a broker's log that are read for its last words.
pub const LOAD_LOG_TAIL_BYTES: u64 = 16 << 10;

/// Descriptors that a tester's process needs beside those of its connections.
pub const LOAD_DESCRIPTORS_RESERVE: u64 = 64;
