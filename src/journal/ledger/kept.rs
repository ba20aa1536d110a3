//! A message that was read.

use std::sync::Arc;

use crate::journal::message::MessageText;
use crate::mqtt::message::Message;

/// A message, and when it expires, in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct KeptMessage {
    /// The message.
    pub message: Arc<Message>,
    /// `None` for never.
    pub expires_at: Option<u64>,
}

impl KeptMessage {
    /// As it was written.
    pub(super) fn text(&self) -> MessageText<'_> {
        MessageText::of(&self.message, self.expires_at)
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
