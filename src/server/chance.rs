//! What nobody outside can guess.

use std::hash::{BuildHasher, RandomState};

/// A seed, another one each time: so hash tables cannot be attacked, and the client identifiers that the broker assigns differ from one
/// start to the next.
pub(super) fn seed() -> u64 {
    RandomState::new().hash_one(())
}
