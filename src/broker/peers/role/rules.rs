//! In what a role differs from that of a client.

use crate::mqtt::{Connect, SubscribeOptions};

/// What is different for a role. What is not said here is as for a client.
pub(in crate::broker) trait Rules: Sync {
    /// What it is called in the log.
    fn name(&self) -> &'static str;

    /// Whether a connection with this CONNECT is one.
    fn claims(&self, connect: &Connect<'_>) -> bool;

    /// The options with which it subscribes, where it asks for these.
    fn options(&self, asked: SubscribeOptions, _is_shared: bool) -> SubscribeOptions {
        asked
    }
}
