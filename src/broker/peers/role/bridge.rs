//! Another broker, which connects this one with itself. Mosquitto's bridges say so with CONNECT.

use super::rules::Rules;
use crate::mqtt::{Connect, SubscribeOptions};

/// See the module.
pub(super) struct Bridge;

impl Rules for Bridge {
    fn name(&self) -> &'static str {
        "bridge"
    }

    fn claims(&self, connect: &Connect<'_>) -> bool {
        connect.is_bridge
    }

    /// What a bridge subscribes to goes on to where it comes from: it is not sent what it has published itself, so that no
    /// message goes around, and is told whether messages are retained, as Mosquitto does for its own. A member of a shared
    /// subscription may not leave out its own (MQTT-3.8.3-4).
    fn options(&self, asked: SubscribeOptions, is_shared: bool) -> SubscribeOptions {
        SubscribeOptions {
            no_local: !is_shared,
            retain_as_published: true,
            ..asked
        }
    }
}
