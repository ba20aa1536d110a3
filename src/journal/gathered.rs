//! What is gathered of the message at hand, before it is written once for many sessions.

use super::members::Sum;
use crate::session::Way;

/// How the message at hand goes to sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It waits.
    Queued,
    /// It is in flight, in a frame that others have too.
    Sent { order: u64 },
}

/// Sessions to which the message at hand goes alike.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) what: What,
    pub(super) way: Way,
    pub(super) members: Vec<u32>,
    pub(super) sum: Sum,
}
