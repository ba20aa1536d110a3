//! Values of options that have a form of their own: from a line to what is known of the configuration so far.

pub(super) mod access;
pub(super) mod bounds;
pub(super) mod log;
pub(super) mod memory;
pub(super) mod persistence;
pub(super) mod tls;
pub(super) mod transport;
