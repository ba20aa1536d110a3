//! What is larger than it should be, with its present size and the reason. An entry may shrink and go; it does not grow.

use super::sizes::Exception;

pub const ALL: &[Exception] = &[];
