//! One connection, from its first byte to its last: hyper's, for as long as its phases take no longer than they may.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use glommio::net::TcpStream;
use glommio::timer::Timer;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::answer::Answer;
use super::ask::Ask;
use super::door::Door;
use super::peer::Peer;
use super::places::Connections;
use super::progress::Progress;
use super::stream::Stream;
use crate::config::HttpListener;
use crate::limits;

/// Serves it until it ends. Each request goes by the rules that hold when it comes.
pub(super) async fn serve<S: 'static>(
    socket: TcpStream,
    door: Rc<Door<S>>,
    (rules, places): (Rc<RefCell<Rc<HttpListener>>>, Rc<Connections>),
    peer: Rc<Peer>,
) {
    let first = rules.borrow().clone();
    let tls = first.listener.socket.transport.tls.as_ref();
    let Ok(stream) = Stream::new(socket, tls, peer.clone()) else {
        return;
    };
    drop(first);
    let (progress, asked) = (peer.progress.clone(), peer.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (door, rules, peer) = (door.clone(), rules.borrow().clone(), peer.clone());
        let places = places.clone();
        async move {
            peer.progress.on_request();
            let ask = Ask::of(&request, peer.from.ip());
            drop(request);
            let answer = match door.is_probe(&ask) || has_room(&peer, &places).await {
                true => answer(door, rules, ask, &peer).await,
                false => Answer::no_room(),
            };
            let mut response = answer.into_response();
            response.body_mut().tell(&peer.progress);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .header_read_timeout(None)
        .serve_connection(stream, service);
    // An error is the client's: it went, or spoke something else.
    let connection = async move {
        let _ = connection.await;
    };
    within(connection, &progress).await;
    asked.changing.finish().await;
}

/// Whether there is room for anything but a look at how the broker is.
async fn has_room(peer: &Peer, places: &Connections) -> bool {
    if peer.is_extra.get() {
        peer.is_extra.set(!places.room_for().await);
    }
    !peer.is_extra.get()
}

async fn answer<S: 'static>(
    door: Rc<Door<S>>,
    rules: Rc<HttpListener>,
    ask: Ask,
    peer: &Peer,
) -> Answer {
    let identity = peer.identity.borrow().clone();
    if ask.only_looks() {
        return door.answer(&rules, ask, identity, &peer.login).await;
    }
    let login = peer.login.clone();
    let answering = async move { door.answer(&rules, ask, identity, &login).await };
    peer.changing.run(Box::pin(answering)).await
}

/// Until the connection ends, or has stood in one phase for too long.
async fn within(connection: impl Future<Output = ()>, progress: &Progress) {
    let mut connection = pin!(connection);
    let look = Duration::from_millis(limits::HTTP_LOOK_MS);
    let mut timer = pin!(Timer::new(look));
    poll_fn(|cx| {
        progress.wake_by(cx.waker());
        if connection.as_mut().poll(cx).is_ready() || progress.is_over(Instant::now()) {
            return Poll::Ready(());
        }
        while timer.as_mut().poll(cx).is_ready() {
            if progress.is_over(Instant::now()) {
                return Poll::Ready(());
            }
            timer.set(Timer::new(look));
        }
        Poll::Pending
    })
    .await;
}
