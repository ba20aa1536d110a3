//! What lies between a client's socket and MQTT: TLS, WebSocket, both.

use std::sync::Arc;

use crate::transport::tls::{self, ClientPlan};
use crate::transport::websocket;

/// Whose options there are for it: what a hint may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptionsOf {
    /// A workload's: all that there are for clients.
    #[default]
    Workload,
    /// The stress test's, which speaks MQTT 3.1.1 on the socket or over TLS, and believes authorities only.
    Stress,
}

impl OptionsOf {
    /// The text for this command.
    pub(super) fn say(self, workload: &'static str, stress: &'static str) -> &'static str {
        match self {
            OptionsOf::Workload => workload,
            OptionsOf::Stress => stress,
        }
    }
}

/// What all clients of a run speak below MQTT. The default: nothing.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// TLS.
    pub tls: Option<Arc<ClientPlan>>,
    /// WebSocket, with the host that the upgrade names.
    pub websocket: Option<Arc<str>>,
    /// Which command's user chooses that, and by which options.
    pub options: OptionsOf,
}

impl Wire {
    /// Whether MQTT lies on the socket itself.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none() && self.websocket.is_none()
    }

    /// Whether clients have a certificate to show.
    pub fn has_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|plan| plan.has_certificate())
    }
}

/// One client's.
pub(super) struct Layer {
    tls: Option<tls::Client>,
    websocket: Option<websocket::Client>,
    /// Waits for the end of the TLS handshake.
    host: Option<Arc<str>>,
    /// To be sent.
    out: Vec<u8>,
}

impl Layer {
    /// For a socket that is connected, with what it sends first.
    pub(super) fn new(wire: &Wire) -> Result<Layer, String> {
        let mut out = Vec::new();
        let tls = match &wire.tls {
            Some(plan) => Some(tls::Client::new(plan, &mut out)?),
            None => None,
        };
        let mut layer = Layer {
            tls,
            websocket: None,
            host: wire.websocket.clone(),
            out,
        };
        layer.upgrade()?;
        Ok(layer)
    }

    /// Whether it speaks TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether TLS is still being agreed on.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(tls::Client::is_handshaking)
    }

    /// Begins the upgrade when TLS lets it through.
    fn upgrade(&mut self) -> Result<(), String> {
        if self.is_handshaking() {
            return Ok(());
        }
        let Some(host) = self.host.take() else {
            return Ok(());
        };
        let mut request = Vec::new();
        self.websocket = Some(websocket::Client::new(&host, &mut request));
        self.encrypt(&request)
    }

    fn encrypt(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.tls {
            Some(tls) => tls.send(bytes, &mut self.out),
            None => {
                self.out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Whether MQTT can be sent.
    pub(super) fn is_ready(&self) -> bool {
        let is_open = self.websocket.as_ref().is_none_or(|layer| layer.is_open());
        !self.is_handshaking() && self.host.is_none() && is_open
    }

    /// Takes bytes of the socket, in place, and hands on those of MQTT.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        mqtt: &mut dyn FnMut(&[u8]),
    ) -> Result<(), String> {
        let mut plain = Vec::new();
        let rest = match &mut self.tls {
            Some(tls) => {
                tls.receive(bytes, &mut self.out, &mut plain)?;
                &mut plain[..]
            }
            None => bytes,
        };
        let mut answer = Vec::new();
        match &mut self.websocket {
            Some(websocket) => {
                websocket
                    .receive(rest, &mut answer, mqtt)
                    .map_err(|failure| failure.to_string())?;
            }
            None if !rest.is_empty() => mqtt(rest),
            None => {}
        }
        if !answer.is_empty() {
            self.encrypt(&answer)?;
        }
        self.upgrade()
    }

    /// Adds bytes of MQTT to the output.
    pub(super) fn pack(&mut self, mqtt: &[u8]) -> Result<(), String> {
        let Some(websocket) = &self.websocket else {
            return self.encrypt(mqtt);
        };
        let key = fastrand::u32(..).to_ne_bytes();
        if self.tls.is_none() {
            websocket.send(key, mqtt, &mut self.out);
            return Ok(());
        }
        let mut frame = Vec::new();
        websocket.send(key, mqtt, &mut frame);
        self.encrypt(&frame)
    }

    /// Says goodbye.
    pub(super) fn close(&mut self) {
        let mut frame = Vec::new();
        if let Some(websocket) = &self.websocket {
            websocket.close(&mut frame);
        }
        // Whoever cannot be told any more learns of it by the end of the connection.
        let _ = self.encrypt(&frame);
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.out);
        }
    }

    /// What is to be sent now.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Whether there is something to be sent.
    pub(super) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }
}
