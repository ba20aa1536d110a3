//! A figure at one moment, and what it is of.

use crate::budget::{Account, Rung};
use crate::figure::Figure;

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// All shards together.
    Broker,
    /// One shard.
    Shard(u8),
    /// The memory of the process.
    Memory,
    /// One account of it.
    Account(Account),
    /// One step of the ladder.
    Rung(Rung),
    /// The store on the disk.
    Store,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub of: Of,
    pub figure: Figure,
    pub value: u64,
}
