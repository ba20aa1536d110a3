//! What is there at one moment.

use std::rc::Rc;
use std::time::Instant;

use crate::control::reports::Told;

/// What is counted, by the names that it has in an answer: those of `$SYS`.
pub(in crate::control::api) const COUNTED: [&str; 9] = [
    "publish_received",
    "publish_sent",
    "publish_dropped",
    "bytes_received",
    "bytes_sent",
    "connects_accepted",
    "connects_refused",
    "protocol_errors",
    "refused",
];

/// What has a level.
pub(in crate::control::api) const LEVELS: [&str; 5] = [
    "clients_connected",
    "connections",
    "outbound_bytes",
    "memory_permille",
    "memory_rung",
];

/// See the module.
#[derive(Clone)]
pub(in crate::control::api) struct Look {
    pub at: Instant,
    /// In the order of `COUNTED`, since the start.
    pub counted: [u64; COUNTED.len()],
    /// In the order of `LEVELS`.
    pub levels: [u64; LEVELS.len()],
    /// By shard: what it has told last, if it has told anything.
    pub told: Vec<Option<Rc<Told>>>,
}
