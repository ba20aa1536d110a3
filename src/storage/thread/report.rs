//! What the thread says of itself.

use super::super::op::State;

/// What the thread has to say to whoever looks after the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// How the store is from now on, and the last error of the disk.
    State(State, Option<String>),
    /// It is full from now on ([`State::Full`]) though the disk may have room: there are as many segments as there may be
    /// (`Settings::segments_max`).
    Bounded,
    /// The file system does not take O_DIRECT: commits go through the page cache.
    Buffered,
    /// The disk has not answered a write or a sync for [`STORE_SLOW_MS`](crate::limits::STORE_SLOW_MS).
    Slow,
    /// It answers in time again, so many milliseconds after what was told with `Slow` began.
    Prompt(u64),
}
