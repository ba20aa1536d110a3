//! Values of options that have a form of their own: from a line to what is known of the configuration so far.

pub mod access;
pub mod bounds;
pub mod log;
pub mod memory;
pub mod tls;
pub mod transport;
