//! What may be in flight to a client, and wait for it.

use crate::limits;

/// What the configuration and the client allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Messages in flight: the smaller of the receive maximum and `max_inflight_messages`.
    pub in_flight: u16,
    /// Payload bytes in flight; 0 for no bound.
    pub in_flight_bytes: u64,
    /// Messages in the queue; 0 for no bound but the built-in one on bytes.
    pub queued: u32,
    /// Payload bytes in the queue; 0 for the built-in bound.
    pub queued_bytes: u64,
}

impl Bounds {
    /// Payload bytes that may wait.
    #[inline]
    pub(super) fn queued_bytes_max(&self) -> u64 {
        match self.queued_bytes {
            0 => limits::QUEUED_BYTES_MAX,
            max => max,
        }
    }
}
