//! Shared subscriptions: who owns one, and which member gets a message.

pub(super) mod passed_over;
pub(super) mod shared;
