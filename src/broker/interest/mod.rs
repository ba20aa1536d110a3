//! Which filters clients ask for, and how all shards come to know.

pub(super) mod barrier;
pub(super) mod reach;
pub(super) mod requested;
pub(super) mod suback;
