//! Sessions: whose they are, what they may, what is sent again.

mod absent;
pub(super) mod change;
pub(super) mod hot;
pub(super) mod resend;
pub(super) mod rights;
pub(super) mod table;
