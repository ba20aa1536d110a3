//! Sessions: whose they are, what they may, how they change.

mod absent;
pub(super) mod change;
pub(super) mod hot;
pub(super) mod rights;
pub(super) mod table;
