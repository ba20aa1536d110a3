//! TLS between a socket and HTTP: what has come and is not read yet, what is on its way out.

use std::sync::Arc;

use crate::limits;
use crate::transport::tls::{Failure, Progress, Server, Tls};

/// See the module.
pub(super) struct Layer {
    tls: Tls,
    /// Decrypted, and not taken yet.
    plain: Vec<u8>,
    taken: usize,
    /// Encrypted, and not sent yet.
    out: Vec<u8>,
    sent: usize,
    is_closed: bool,
}

impl Layer {
    /// Of a connection that begins.
    ///
    /// # Errors
    /// See [`Tls::new`].
    pub(super) fn new(server: &Arc<Server>) -> Result<Layer, Failure> {
        Ok(Layer {
            tls: Tls::new(server)?,
            plain: Vec::new(),
            taken: 0,
            out: Vec::new(),
            sent: 0,
            is_closed: false,
        })
    }

    /// Takes bytes of the socket.
    ///
    /// # Errors
    /// The connection ends when what there is to send is out.
    pub(super) fn receive(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        let plain = &mut self.plain;
        let mut keep = |bytes: &mut [u8]| plain.extend_from_slice(bytes);
        let progress = self.tls.receive(bytes, &mut self.out, &mut keep)?;
        self.is_closed |= progress == Progress::Closed;
        Ok(())
    }

    /// The name that the client's certificate gives.
    pub(super) fn identity(&self) -> Option<&str> {
        self.tls.identity()
    }

    /// Whether the client has said that nothing more comes.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// At most so many decrypted bytes.
    pub(super) fn plain(&mut self, most: usize) -> &[u8] {
        let start = self.taken;
        let end = self.plain.len().min(start + most);
        self.taken = end;
        &self.plain[start..end]
    }

    /// Whether decrypted bytes wait; what was taken is given up.
    pub(super) fn has_plain(&mut self) -> bool {
        if self.taken == self.plain.len() {
            self.plain = Vec::new();
            self.taken = 0;
        }
        !self.plain.is_empty()
    }

    /// Encrypts what may be sent at a time; returns how much of it that is.
    ///
    /// # Errors
    /// See [`Tls::send`].
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let piece = &bytes[..bytes.len().min(limits::HTTP_PIECE_BYTES)];
        self.tls.send(&[piece], &mut self.out)?;
        Ok(piece.len())
    }

    /// Says that nothing more comes.
    pub(super) fn close(&mut self) {
        self.tls.close(&mut self.out);
    }

    /// What is to be sent.
    pub(super) fn pending(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// So much of it is out.
    pub(super) fn on_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent >= self.out.len() {
            self.out = Vec::new();
            self.sent = 0;
        }
    }
}
