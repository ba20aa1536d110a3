//! What the thread that asks or listens tells the one that shows.

use super::model::Look;

/// What has come.
pub(super) enum News {
    Look(Box<Look>),
    /// The broker is away, and why; it is tried again.
    Away(String),
    /// What has become of something that was asked for.
    Said(String),
}
