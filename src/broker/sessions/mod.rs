//! Sessions: whose they are, what they may, what is sent again.

pub(super) mod absent;
pub(super) mod hot;
pub(super) mod resend;
pub(super) mod rights;
pub(super) mod table;
