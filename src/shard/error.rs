//! Why a shard could not start or had to stop.

use std::fmt;

use crate::uring::RingError;

/// A failure that a shard cannot go on with. Its text names cause and cure in one line.
#[derive(Debug)]
pub enum ShardError {
    /// The ring could not be set up, or failed.
    Ring(RingError),
    /// A listening socket became unusable.
    Listener {
        /// Its index.
        listener: u16,
        /// What accept reported.
        errno: i32,
    },
    /// The histogram of turns could not be made.
    Histogram,
}

impl From<RingError> for ShardError {
    fn from(error: RingError) -> Self {
        ShardError::Ring(error)
    }
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShardError::Ring(error) => error.fmt(f),
            ShardError::Listener { listener, errno } => {
                let source = std::io::Error::from_raw_os_error(*errno);
                write!(
                    f,
                    "listener {listener} no longer accepts connections ({source}): restart the broker"
                )
            }
            ShardError::Histogram => f.write_str("no histogram of turns: its bounds are wrong"),
        }
    }
}

impl std::error::Error for ShardError {}
