//! What is larger than it should be, with its present size and the reason. An entry may shrink and go; it does not grow.

use super::sizes::{Exception, Kind};

pub const ALL: &[Exception] = &[(
    Kind::Files,
    "shard::Shard",
    15,
    "a file for each kind of completion; what a part does with its own is in the part's type",
)];
