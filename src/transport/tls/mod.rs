//! TLS, by rustls.

/// What a listener's TLS connections share.
#[derive(Debug, PartialEq)]
pub struct Server;
