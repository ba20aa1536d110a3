//! What is known of a configuration while its lines are read: for the broker and for each listener.

use std::path::PathBuf;

use super::model::{Config, Content, LogDestination, PersistenceLines, Socket, TlsLines};
use crate::access::{Acl, Passwords};
use crate::broker::{ListenerSettings, LogMask, Records};

/// Whom an option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Broker,
    Default,
    Listener(usize),
}

/// What a setter did not do, for a warning.
pub(super) type Note = Option<String>;

/// What is configured once for the broker.
pub(super) struct Globals {
    /// Filled in but for its listeners.
    pub config: Config,
    /// What the lines say about the disk.
    pub persistence: PersistenceLines,
    /// What holds for listeners that say nothing else.
    pub security: Security,
    /// The kinds of log line, once one is configured.
    pub log_types: Option<LogMask>,
    /// Bytes of the greatest upgrade request, once that is configured.
    pub websocket_headers: Option<usize>,
    /// The destinations of log lines, once one is configured.
    pub log_destinations: Option<Vec<LogDestination>>,
}

impl Globals {
    /// What the lines say of the log holds.
    pub(super) fn finish_log(&mut self) {
        if let Some(log_types) = self.log_types {
            self.config.settings.log = log_types;
        }
        if let Some(destinations) = self.log_destinations.take() {
            self.config.log.destinations = destinations;
        }
    }
}

/// A listener on its way.
#[derive(Default)]
pub(super) struct ListenerDraft {
    /// Where it listens.
    pub socket: Socket,
    /// What it grants, but for what `security` says.
    pub settings: ListenerSettings,
    /// What it says for itself.
    pub security: Security,
    /// What it says about TLS.
    pub tls: TlsLines,
    /// `enable_proxy_protocol`.
    pub is_proxied: bool,
    /// `protocol websockets`.
    pub websocket: bool,
    /// `websockets_origin`, several times.
    pub origins: Vec<String>,
    /// `tls_records`, other than `auto`.
    pub records: Option<Records>,
    /// What it says about HTTP.
    pub http: HttpLines,
}

/// What the lines of a listener say about HTTP.
#[derive(Default)]
pub(super) struct HttpLines {
    /// `protocol http_api`.
    pub is_on: bool,
    /// `http_dir`.
    pub directory: Option<PathBuf>,
    /// `http_host`, several times.
    pub hosts: Vec<String>,
}

/// Options of a listener that are otherwise taken from the broker's.
#[derive(Default)]
pub(super) struct Security {
    pub allow_anonymous: Option<bool>,
    pub allow_zero_length_clientid: Option<bool>,
    pub auto_id_prefix: Option<String>,
    pub acl: Option<Content<Acl>>,
    pub passwords: Option<Content<Passwords>>,
    pub clientid_prefix: Option<String>,
}
