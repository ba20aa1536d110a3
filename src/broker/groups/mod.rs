//! Shared subscriptions: what shards say about them, and what of them waits.

pub(super) mod message;
pub(super) mod offers;
