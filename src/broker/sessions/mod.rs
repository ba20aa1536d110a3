//! Sessions: whose they are, what they may, how they change.

mod absent;
pub(super) mod change;
pub(super) mod hot;
mod image;
pub(super) mod rights;
pub(super) mod table;
