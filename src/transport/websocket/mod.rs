//! WebSocket (RFC 6455).

/// What a listener's WebSocket connections share.
#[derive(Clone, Debug, PartialEq)]
pub struct Options;
