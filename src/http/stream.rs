//! A socket of glommio's as hyper reads and writes it, with TLS where the listener speaks it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use hyper::rt::{Read, ReadBufCursor, Write};

use super::layer::Layer;
use super::peer::Peer;
use crate::limits;
use crate::transport::tls::{Failure, Server};

/// See the module.
pub(super) struct Stream {
    socket: TcpStream,
    layer: Option<Layer>,
    peer: Rc<Peer>,
    /// Where the socket puts what has come.
    scratch: Box<[u8]>,
    is_shut: bool,
}

/// Notes whether the socket takes something.
fn noted(sent: Poll<io::Result<usize>>, peer: &Peer) -> io::Result<Poll<usize>> {
    match sent {
        Poll::Pending => peer.progress.on_blocked(),
        Poll::Ready(Ok(bytes)) => peer.progress.on_taken(bytes),
        Poll::Ready(Err(error)) => return Err(error),
    }
    Ok(sent.map(|sent| sent.unwrap_or(0)))
}

fn failed(failure: Failure) -> io::Error {
    io::Error::other(failure.to_string())
}

impl Stream {
    /// Of a connection that begins.
    ///
    /// # Errors
    /// TLS cannot begin.
    pub(super) fn new(
        socket: TcpStream,
        tls: Option<&Arc<Server>>,
        peer: Rc<Peer>,
    ) -> io::Result<Stream> {
        let layer = tls.map(Layer::new).transpose().map_err(failed)?;
        Ok(Stream {
            socket,
            layer,
            peer,
            scratch: vec![0; limits::HTTP_RECEIVE_BYTES].into(),
            is_shut: false,
        })
    }

    /// Reads into the scratch, at most so many bytes.
    fn poll_socket(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        let most = most.min(self.scratch.len());
        Pin::new(&mut self.socket).poll_read(cx, &mut self.scratch[..most])
    }

    /// Sends what TLS has to say.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(layer) = &mut self.layer else {
            return Poll::Ready(Ok(()));
        };
        while !layer.pending().is_empty() {
            let sent = Pin::new(&mut self.socket).poll_write(cx, layer.pending());
            match noted(sent, &self.peer)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(bytes) => layer.on_sent(bytes),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether decrypted bytes wait, or none will come any more.
    fn poll_plain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // What waits to be sent keeps nobody from reading, but a failure does.
            if let Poll::Ready(Err(error)) = self.poll_out(cx) {
                return Poll::Ready(Err(error));
            }
            let is_ready = match &mut self.layer {
                Some(layer) => layer.has_plain() || layer.is_closed(),
                None => true,
            };
            if is_ready {
                return Poll::Ready(Ok(()));
            }
            let bytes = ready!(self.poll_socket(cx, usize::MAX))?;
            if bytes == 0 {
                return Poll::Ready(Ok(()));
            }
            let Some(layer) = &mut self.layer else {
                return Poll::Ready(Ok(()));
            };
            let received = layer.receive(&mut self.scratch[..bytes]);
            if let Some(name) = layer.identity() {
                *self.peer.identity.borrow_mut() = Some(name.into());
            }
            if let Err(failure) = received {
                // An alert is on its way, if the socket takes it.
                let _ = self.poll_out(cx);
                return Poll::Ready(Err(failed(failure)));
            }
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let room = buf.remaining();
        if this.layer.is_some() {
            ready!(this.poll_plain(cx))?;
            let plain = this
                .layer
                .as_mut()
                .map_or(&[][..], |layer| layer.plain(room));
            buf.put_slice(plain);
            this.peer.on_bytes(plain);
        } else {
            let bytes = ready!(this.poll_socket(cx, room))?;
            buf.put_slice(&this.scratch[..bytes]);
            this.peer.on_bytes(&this.scratch[..bytes]);
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_out(cx))?;
        let Some(layer) = &mut this.layer else {
            let sent = Pin::new(&mut this.socket).poll_write(cx, buf);
            return match noted(sent, &this.peer) {
                Ok(sent) => sent.map(Ok),
                Err(error) => Poll::Ready(Err(error)),
            };
        };
        let bytes = layer.send(buf).map_err(failed)?;
        // What the socket does not take now goes in front of the next.
        match this.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(bytes)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_out(cx))?;
        ready!(Pin::new(&mut this.socket).poll_flush(cx))?;
        this.peer.progress.on_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(layer) = &mut this.layer
            && !std::mem::replace(&mut this.is_shut, true)
        {
            layer.close();
        }
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.socket).poll_close(cx)
    }
}
