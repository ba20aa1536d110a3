//! What lies between a socket's bytes and MQTT's: the PROXY header, TLS, WebSocket.
//!
//! Owns the state of one connection's transport and the bytes that it has to send. Knows neither sockets nor MQTT: bytes
//! in, bytes out. Files are read by `config`; what is parsed here comes as bytes.

pub mod proxy;
pub mod tls;
pub mod websocket;

use std::sync::Arc;

/// What the connections of a listener speak below MQTT, from the socket upwards. Nothing: MQTT itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Each connection starts with a PROXY protocol header (`enable_proxy_protocol`).
    pub proxy: bool,
    /// TLS, with these certificates and rules.
    pub tls: Option<Arc<tls::Server>>,
    /// WebSocket (`protocol websockets`).
    pub websocket: Option<Arc<websocket::Options>>,
}

impl Plan {
    /// Whether MQTT lies on the socket itself.
    pub fn is_plain(&self) -> bool {
        !self.proxy && self.tls.is_none() && self.websocket.is_none()
    }
}
