//! Bounds of what the control thread remembers of the last hour. Part of `limits`, like every bound.

/// Points of one second: five minutes, in which one sees what has just happened.
pub const HISTORY_SECONDS: usize = 300;

/// Seconds of a longer point.
pub const HISTORY_STEP_S: u64 = 10;

/// Points of that length: an hour.
pub const HISTORY_STEPS: usize = 360;

/// Bytes of all points together on a broker of 64 shards; with two it is less than a half. Beside them are the last histograms of each
/// shard, twice, some 50 KiB each.
pub const HISTORY_BYTES_MAX: usize = 1 << 20;
