//! Shared subscriptions: what of them waits.

pub(super) mod offers;
