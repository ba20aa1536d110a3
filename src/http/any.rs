//! Any bytes as what a client sends: through hyper's parser and the door to handlers, without a socket. For fuzzing and random tests.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crossbeam_channel::bounded;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::ask::Ask;
use super::door::{Door, Route};
use super::gate::Gate;
use super::heads::Heads;
use super::users::Remembered;
use crate::access::Passwords;
use crate::budget::{Plan, Pool};
use crate::config::HttpListener;
use crate::limits;
use crate::shard::Shared;

/// What is answered.
const STATUSES: [u16; 8] = [200, 304, 400, 401, 403, 404, 405, 503];

/// Polls after which nothing comes any more.
const POLLS_MAX: usize = 100_000;

/// A connection whose client has sent everything, and takes everything.
struct Wire<'a> {
    input: &'a [u8],
    piece: usize,
    heads: Heads,
    out: &'a mut Vec<u8>,
}

impl Read for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = self.piece.min(buf.remaining()).min(self.input.len());
        let (now, later) = self.input.split_at(bytes);
        self.input = later;
        self.heads.take(now);
        buf.put_slice(now);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.out.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A door where anybody may look, passwords are known, and nobody is there who would check one.
fn door<S: 'static>(site: S, routes: &'static [Route<S>]) -> Door<S> {
    let pool = Arc::new(Pool::new(&Plan::unbounded(), 1));
    let (checks, _) = bounded(0);
    Door {
        site: Rc::new(site),
        routes,
        pages: &[],
        gate: Some(Gate {
            checks,
            shared: Shared::new(1, Vec::new(), None, pool),
            log: Rc::new(|line| assert!(!line.contains('\n'))),
        }),
    }
}

/// Answers what a client sends, the first byte of which says in what pieces, by handlers that need nobody else. All that came whole is
/// answered by a status that is known, and nothing waits for ever.
pub(crate) fn any_requests<S: 'static>(bytes: &[u8], site: S, routes: &'static [Route<S>]) {
    let Some((&piece, input)) = bytes.split_first() else {
        return;
    };
    let mut rules = HttpListener::default();
    let settings = &mut rules.listener.settings;
    settings.allow_anonymous = true;
    settings.passwords = Some(Arc::new(Passwords::parse(b"").0));
    let (door, login, mut out) = (door(site, routes), Remembered::default(), Vec::new());
    let (door, login, rules) = (&door, &login, &rules);
    let service = service_fn(move |request: Request<Incoming>| async move {
        let ask = Ask::of(&request, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let answer = door.answer(rules, ask, None, login).await;
        assert!(STATUSES.contains(&answer.status), "{}", answer.status);
        Ok::<_, Infallible>(answer.into_response())
    });
    let wire = Wire {
        input,
        piece: usize::from(piece).max(1),
        heads: Heads::default(),
        out: &mut out,
    };
    let connection = http1::Builder::new()
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .header_read_timeout(None)
        .serve_connection(wire, service);
    {
        let mut connection = pin!(connection);
        let mut context = Context::from_waker(Waker::noop());
        let mut polls = 0..POLLS_MAX;
        let ends = polls.any(|_| connection.as_mut().poll(&mut context).is_ready());
        assert!(ends, "it waits for ever");
    }
    assert!(out.is_empty() || out.starts_with(b"HTTP/1."));
}
