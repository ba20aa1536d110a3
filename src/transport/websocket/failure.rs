//! Why a WebSocket connection ends: words for the log, and codes for the peer.

use std::fmt;

/// Why a connection cannot go on: a line for the log, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    pub(super) fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Status codes of close frames (RFC 6455, 7.4.1) that are sent here.
pub mod close_code {
    /// The purpose is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// A rule of the protocol was broken.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// Text, where MQTT needs binary data (MQTT-6.0.0-1).
    pub const UNACCEPTABLE: u16 = 1003;
    /// Text that is not UTF-8, in a close frame.
    pub const INVALID: u16 = 1007;
}
