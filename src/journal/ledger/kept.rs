//! A message that was read.

use std::sync::Arc;

use crate::journal::message::MessageText;
use crate::mqtt::message::{Message, NEVER};

/// A message, and when it expires. There is one for each that is read: so it is small.
#[derive(Clone, Debug)]
pub struct KeptMessage {
    /// The message.
    pub message: Arc<Message>,
    /// In milliseconds since 1970.
    expires_at: u64,
}

impl KeptMessage {
    /// A message that expires at this moment, in milliseconds since 1970; `None` for never.
    pub(super) fn new(message: Message, expires_at: Option<u64>) -> Self {
        KeptMessage {
            message: Arc::new(message),
            expires_at: expires_at.unwrap_or(NEVER),
        }
    }

    /// When it expires, in milliseconds since 1970; `None` for never.
    pub fn expires_at(&self) -> Option<u64> {
        (self.expires_at != NEVER).then_some(self.expires_at)
    }

    /// As it was written.
    pub(super) fn text(&self) -> MessageText<'_> {
        MessageText::of(&self.message, self.expires_at())
    }
}

/// A message that there was no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::journal) struct LeftOut {
    /// What its copies in other streams have as well.
    pub(in crate::journal) id: u64,
    /// What it would cost.
    pub(in crate::journal) bytes: u64,
    /// When it expires, in milliseconds since 1970; the last moment there is for never.
    pub(in crate::journal) expires_at: u64,
}
