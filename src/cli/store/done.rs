//! What a command below `store` comes to.

/// Everything is as asked for; of `check`: the store is sound.
pub(super) const EXIT_DONE: u8 = 0;
/// `check`: a crash has cut off what was being written. `dump`: nothing is as wanted. `repair`, `export`, `import`: something is left out,
/// and said.
pub(super) const EXIT_LESS: u8 = 1;
/// `check`: the store is damaged.
pub(super) const EXIT_DAMAGED: u8 = 2;
/// Nothing was done: what stands in the way is said.
pub(super) const EXIT_NOT_DONE: u8 = 3;

/// What a command has come to: its exit code, or why it could not be done.
pub(super) type Done = Result<u8, String>;
