//! Who holds what of an account, and what is done when it is short.

pub(super) mod allowed;
pub(super) mod party;
pub(super) mod pressure;
pub(super) mod shares;
pub(super) mod stored;
pub(super) mod turn;
