//! Bounds of what a shard knows of its busiest topics. Part of `limits`, like every bound.

use super::QUERY_ROWS_MAX;

/// Topics that a shard remembers: one with more than a 256th of its messages is always among them. They fit into one page.
pub const BUSIEST_TOPICS: usize = 256;
const _: () = assert!(BUSIEST_TOPICS <= QUERY_ROWS_MAX);

/// Bytes of the longest topic name that is remembered: few are longer. Those are counted together.
pub const BUSIEST_NAME_BYTES: usize = 256;

/// Messages a second that a shard looks at, some; beyond that it looks at one of 2, of 4, and so on. A look is a hash, and a search among
/// the topics that are remembered: so few a second that what one costs does not matter where a message costs a delivery.
pub const BUSIEST_LOOKS: u32 = 4096;

/// One message of so many is looked at, at least.
pub const BUSIEST_STRIDE_MAX: u32 = 1 << 16;

/// Milliseconds after which all counts are made smaller.
pub const BUSIEST_STEP_MS: u64 = 10_000;

/// By this factor: e^(-10/60), so that a message of a minute ago counts for 0.37.
pub const BUSIEST_KEPT: f64 = 0.846_481_724_890_614;

/// Steps after which a mean is one of all that there was, but for 1/20,000.
pub const BUSIEST_STEPS_MAX: u64 = 60;

/// Messages below which a topic is not told of: a single one is for some 80 seconds.
pub const BUSIEST_MESSAGES_MIN: f64 = 0.25;

/// Standard deviations between what was counted and the bounds that are told: 3 of 1000 topics are beyond them.
pub const BUSIEST_DEVIATIONS: f64 = 3.0;
