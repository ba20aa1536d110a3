//! A question about retained messages that has not been answered by all owners.

use crate::broker::continuation::Continuation;
use crate::routing::{Cursor, EntryOptions};
use crate::session::Rest;

/// What is wanted, and what is left for later.
pub(crate) struct Question {
    pub filter: Box<str>,
    pub options: EntryOptions,
    /// The count of live retained messages when it was asked.
    pub asked_at: u64,
    /// From where it was asked.
    pub from: Cursor,
    /// What is left for later.
    pub rest: Box<Rest>,
}

impl Continuation for Question {}

/// Whether more than one topic may match a filter.
pub(crate) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}
