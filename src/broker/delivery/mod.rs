//! From a message to the queue of a client.

pub(super) mod deliver;
pub(super) mod outgoing;
pub(super) mod overlap;
pub(super) mod slow;
