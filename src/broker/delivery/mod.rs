//! From a message to the queue of a client.

pub(super) mod deliver;
pub(super) mod deliver_once;
pub(super) mod outgoing;
pub(super) mod slow;
