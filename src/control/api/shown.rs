//! The listeners of a configuration, as Mosquitto shows them (`/api/v1/listeners`).

use serde_json::Value;

use crate::config::{Config, Listener};

/// A listener, as Mosquitto shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The name by which clients are said to have come.
    pub name: String,
    /// `port` and a number, or `path` and a text, as JSON has them.
    pub place: (&'static str, String),
    pub protocol: &'static str,
    /// TLS is spoken.
    pub tls: bool,
    /// Clients have to show a certificate.
    pub mtls: bool,
    pub allow_anonymous: bool,
    /// Its certificates and those of its CAs: whose they are, and until when they are valid, in seconds since 1970.
    pub certificates: Vec<(String, i64)>,
}

impl Shown {
    /// What is spoken there, in one word.
    pub(super) fn transport(&self) -> &'static str {
        match (self.protocol, self.tls) {
            ("mqtt", false) => "mqtt",
            ("mqtt", true) => "mqtts",
            ("websockets", false) => "ws",
            ("websockets", true) => "wss",
            (other, _) => other,
        }
    }
}

/// The listeners of a configuration.
pub(crate) fn shown(config: &Config) -> Vec<Shown> {
    let mqtt = config.listeners.iter().map(|listener| {
        let is_websocket = listener.socket.transport.websocket.is_some();
        let protocol = if is_websocket { "websockets" } else { "mqtt" };
        (listener, protocol)
    });
    // Not the name of the option: so it is called there.
    let http = config.http.iter().map(|http| (&http.listener, "httpapi"));
    let all = mqtt.chain(http);
    all.map(|(listener, protocol)| one(listener, protocol))
        .collect()
}

fn one(listener: &Listener, protocol: &'static str) -> Shown {
    let socket = &listener.socket;
    let tls = socket.transport.tls.as_ref();
    Shown {
        name: socket.name(),
        place: match &socket.path {
            Some(path) => {
                let path = path.display().to_string();
                ("path", Value::from(path).to_string())
            }
            None => ("port", socket.port.to_string()),
        },
        protocol,
        tls: tls.is_some(),
        mtls: tls.is_some_and(|tls| tls.requires_certificate()),
        allow_anonymous: listener.settings.allow_anonymous,
        certificates: tls.map_or_else(Vec::new, |tls| {
            let all = tls.validities().iter();
            all.map(|validity| (validity.subject.clone(), validity.last_s))
                .collect()
        }),
    }
}
