//! What lies between a socket's bytes and MQTT's: the PROXY header, TLS, WebSocket.
//!
//! Owns the state of one connection's transport and the bytes that it has to send. Knows neither sockets nor MQTT: bytes
//! in, bytes out. Files are read by `config`; what is parsed here comes as bytes.

pub mod proxy;
mod stack;
pub mod tls;
pub mod websocket;

#[cfg(test)]
mod tests;

pub use stack::{Identity, Progress, Transport};

use std::fmt;
use std::sync::Arc;

/// What the connections of a listener speak below MQTT, from the socket upwards. Nothing: MQTT itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Each connection starts with a PROXY protocol header (`enable_proxy_protocol`).
    pub proxy: Option<proxy::Rules>,
    /// TLS, with these certificates and rules.
    pub tls: Option<Arc<tls::Server>>,
    /// WebSocket (`protocol websockets`).
    pub websocket: Option<Arc<websocket::Options>>,
}

impl Plan {
    /// Whether MQTT lies on the socket itself.
    pub fn is_plain(&self) -> bool {
        self.proxy.is_none() && self.tls.is_none() && self.websocket.is_none()
    }
}

/// Why a transport cannot go on; a line for the log.
#[derive(Debug)]
pub enum Failure {
    /// The PROXY header.
    Proxy(proxy::Failure),
    /// TLS.
    Tls(tls::Failure),
    /// WebSocket.
    WebSocket(websocket::Failure),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Proxy(failure) => failure.fmt(f),
            Failure::Tls(failure) => failure.fmt(f),
            Failure::WebSocket(failure) => failure.fmt(f),
        }
    }
}

impl From<proxy::Failure> for Failure {
    fn from(failure: proxy::Failure) -> Self {
        Failure::Proxy(failure)
    }
}

impl From<tls::Failure> for Failure {
    fn from(failure: tls::Failure) -> Self {
        Failure::Tls(failure)
    }
}

impl From<websocket::Failure> for Failure {
    fn from(failure: websocket::Failure) -> Self {
        Failure::WebSocket(failure)
    }
}
