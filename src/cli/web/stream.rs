//! A connection to a listener, with TLS or without, that is read and written by a thread which waits.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address::Address;
use crate::limits;
use crate::transport::tls::{Client, ClientPlan, Progress};

/// See the module.
pub(in crate::cli) struct Stream {
    socket: TcpStream,
    tls: Option<Box<Layer>>,
}

/// TLS over the socket.
struct Layer {
    client: Client,
    /// What has come and was not read.
    plain: Vec<u8>,
    is_over: bool,
}

/// Where a connection ended before it could be used.
pub(in crate::cli) enum Ended {
    /// No address of the host was reached.
    Unreached(io::Error),
    /// The handshake of TLS came to nothing.
    Handshake(io::Error),
}

impl Stream {
    /// Connects, by each address of the host until one answers, and has TLS agreed on where there is a plan for it; all of that until then.
    ///
    /// # Errors
    /// How far it came, and why no further.
    pub(in crate::cli) fn open(
        address: &Address,
        plan: Option<&Arc<ClientPlan>>,
        until: Instant,
    ) -> Result<Stream, Ended> {
        let socket = connect(address, until).map_err(Ended::Unreached)?;
        let mut stream = Stream { socket, tls: None };
        if let Some(plan) = plan {
            stream.agree(plan, until).map_err(Ended::Handshake)?;
        }
        Ok(stream)
    }

    fn agree(&mut self, plan: &ClientPlan, until: Instant) -> io::Result<()> {
        let mut out = Vec::new();
        let client = Client::new(plan, &mut out).map_err(io::Error::other)?;
        let mut layer = Box::new(Layer {
            client,
            plain: Vec::new(),
            is_over: false,
        });
        self.wait_until(until)?;
        self.socket.write_all(&out)?;
        while layer.client.is_handshaking() {
            self.wait_until(until)?;
            layer.take(&mut self.socket)?;
            if layer.is_over {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.tls = Some(layer);
        Ok(())
    }

    /// Reads and writes wait no longer than this from now on, each.
    ///
    /// # Errors
    /// The system refuses.
    pub(in crate::cli) fn wait_for(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(patience))?;
        self.socket.set_write_timeout(Some(patience))
    }

    /// The same until a time.
    ///
    /// # Errors
    /// As of `wait_for`; it is over.
    pub(in crate::cli) fn wait_until(&self, until: Instant) -> io::Result<()> {
        self.wait_for(left(until)?)
    }
}

impl Layer {
    /// Takes what the socket has: plaintext, or words of TLS, which are answered.
    fn take(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        let mut bytes = [0; limits::ASK_PIECE_BYTES];
        let count = socket.read(&mut bytes)?;
        if count == 0 {
            self.is_over = true;
            return Ok(());
        }
        let mut out = Vec::new();
        let taken = (self.client).receive(&mut bytes[..count], &mut out, &mut self.plain);
        // An alert tells the other side why.
        let written = socket.write_all(&out);
        self.is_over = taken.map_err(io::Error::other)? == Progress::Closed;
        written
    }
}

impl Read for Stream {
    /// 0 is the end.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(layer) = &mut self.tls else {
            return self.socket.read(into);
        };
        while layer.plain.is_empty() && !layer.is_over {
            layer.take(&mut self.socket)?;
        }
        let count = layer.plain.len().min(into.len());
        into[..count].copy_from_slice(&layer.plain[..count]);
        layer.plain.drain(..count);
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(layer) = &mut self.tls else {
            return self.socket.write(bytes);
        };
        let mut out = Vec::new();
        layer
            .client
            .send(bytes, &mut out)
            .map_err(io::Error::other)?;
        self.socket.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

fn connect(address: &Address, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for place in (&address.host[..], address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, left(until)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The time that is left.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}
