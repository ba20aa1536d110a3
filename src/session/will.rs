//! A will (MQTT 5, 3.1.2.5), as CONNECT brought it.

use std::sync::Arc;

use crate::mqtt::message::Message;

/// See the module.
#[derive(Clone, Debug)]
pub struct Will {
    /// What to publish; its expiry counts from when it is published.
    pub message: Arc<Message>,
    /// Seconds that it waits after the connection is lost.
    pub delay_s: u32,
    /// When it is due, in milliseconds; meaningful while the client is away.
    pub due_ms: u64,
    /// Its message expiry interval in seconds.
    pub expiry_s: Option<u32>,
}

impl Will {
    /// Bytes of memory, its own included.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.message.cost()
    }
}
