//! TLS 1.2 and 1.3 by rustls, without a clock of its own making and without buffers: an idle connection owns none.
//!
//! Owns what a listener's connections share (`Server`, made from bytes of files) and one connection's state (`Tls`).

mod certified;
mod chain;
mod client;
mod failure;
mod identity;
mod pump;
mod server;
mod suites;
#[cfg(test)]
mod tests;
mod verify;

pub use certified::{CertifiedFiles, Unfit};
pub use chain::{Gap, Source, Validity};
pub use client::{Client, ClientPlan, Verify};
pub use failure::Failure;
pub use identity::NamedBy;
pub use pump::Progress;
pub use server::{Material, MaterialError, Minimum, Server};
#[cfg(any(test, fuzzing))]
pub use verify::any_certificates;

use std::sync::Arc;

use crate::limits;
use rustls::HandshakeKind;
use rustls::server::UnbufferedServerConnection;

/// Bytes of records that are not whole: a greatest record and its header (RFC 8446, 5.2), or a client's certificates.
const KEPT_BYTES_MAX: usize = 128 << 10;

/// What a handshake has agreed on, for the log and counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// `TLSv1_3`, say.
    pub version: String,
    /// `TLS13_AES_256_GCM_SHA384`, say.
    pub suite: String,
    /// Whether an earlier session went on.
    pub resumed: bool,
}

/// One connection.
pub struct Tls {
    server: Arc<Server>,
    connection: UnbufferedServerConnection,
    /// The start of a record.
    kept: Vec<u8>,
    /// Of the first bytes, for a word about those who speak something else.
    first: Option<u8>,
    identity: Option<Box<str>>,
    is_identified: bool,
    /// Nothing more is to be asked of the connection.
    has_failed: bool,
}

impl Tls {
    /// A connection that waits for its client's first bytes.
    ///
    /// # Errors
    /// The configuration does not suit rustls; `Server::new` has made sure that it does.
    pub fn new(server: &Arc<Server>) -> Result<Tls, Failure> {
        let connection = UnbufferedServerConnection::new(server.config().clone())
            .map_err(|error| Failure::of(&error, None))?;
        Ok(Tls {
            server: server.clone(),
            connection,
            kept: Vec::new(),
            first: None,
            identity: None,
            is_identified: false,
            has_failed: false,
        })
    }

    /// Whether the client's Finished has not come yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes bytes of the socket. What is whole is decrypted and handed to `plain`, what is not is kept; answers are
    /// appended to `out`, an alert also when it fails.
    ///
    /// # Errors
    /// The handshake fails, a record cannot be decrypted, or the client says that it gives up.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Progress, Failure> {
        if self.has_failed {
            return Err(Failure::new("TLS has failed before"));
        }
        if self.first.is_none() {
            self.first = bytes.first().copied();
        }
        let mut collected = Vec::new();
        let (connection, kept) = (&mut self.connection, &mut self.kept);
        let result = pump::receive_and_keep(connection, kept, bytes, out, &mut collected);
        let progress = result.map_err(|error| {
            self.has_failed = true;
            Failure::of(&error, self.first)
        })?;
        if self.kept.len() > KEPT_BYTES_MAX {
            return Err(Failure::new("a TLS message is too long"));
        }
        self.identify();
        if !collected.is_empty() {
            plain(&mut collected);
        }
        Ok(progress)
    }

    /// Looks at the client's certificate when the handshake is over.
    fn identify(&mut self) {
        if self.is_identified || self.is_handshaking() {
            return;
        }
        self.is_identified = true;
        let certificate = self.connection.peer_certificates().and_then(<[_]>::first);
        self.identity =
            certificate.and_then(|certificate| identity::of(self.server.named_by(), certificate));
    }

    /// Encrypts, in as few records as possible, to the end of `out`.
    ///
    /// # Errors
    /// The handshake is not over, or the keys are used up.
    pub fn send(&mut self, plain: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Failure> {
        let bytes: usize = plain.iter().map(|slice| slice.len()).sum();
        self.send_parts(plain, &[bytes as u32], out)
    }

    /// Encrypts to the end of `out`. `parts` are lengths that add up to what there is; no record has bytes of two of them.
    ///
    /// # Errors
    /// The handshake is not over, or the keys are used up.
    pub fn send_parts(
        &mut self,
        plain: &[&[u8]],
        parts: &[u32],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let joined;
        if self.has_failed {
            return Err(Failure::new("TLS has failed before"));
        }
        let plain = match plain {
            [one] => one,
            several => {
                joined = several.concat();
                &joined[..]
            }
        };
        pump::send(&mut self.connection, &mut self.kept, plain, parts, out)
            .map_err(|error| Failure::new(&error))
    }

    /// Announces the end (close_notify), as far as the handshake has come.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.has_failed {
            return;
        }
        pump::close(&mut self.connection, &mut self.kept, out);
    }

    /// The user name that the certificate gives, where the listener says so.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// What was agreed on.
    pub fn summary(&self) -> Summary {
        let version = self.connection.protocol_version();
        let suite = self.connection.negotiated_cipher_suite();
        Summary {
            version: version.map_or(String::new(), |version| format!("{version:?}")),
            suite: suite.map_or(String::new(), |suite| format!("{:?}", suite.suite())),
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// Bytes of its state and rustls': more while the handshake goes on.
    pub fn state_bytes(&self) -> u64 {
        match self.is_handshaking() {
            true => limits::TLS_CONNECTION_BYTES,
            false => limits::TLS_STATE_BYTES,
        }
    }

    /// Bytes held of records that are not whole.
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity()
    }
}
