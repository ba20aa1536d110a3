//! Listeners and their connections: accepted while there is room, ended with their listener.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use glommio::Task;
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::{self, Timer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection;
use super::door::{Door, Route};
use super::gate::Gate;
use super::page::Page;
use super::peer::Peer;
use super::progress::Progress;
use crate::config::HttpListener;
use crate::limits;

/// A listener of HTTP with its sockets, which listen.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Where it listens, and whom it lets in.
    pub rules: HttpListener,
    /// One per address.
    pub sockets: Vec<OwnedFd>,
}

impl Bound {
    /// The same sockets once more.
    ///
    /// # Errors
    /// Descriptors are short.
    pub(crate) fn copy(&self) -> io::Result<Bound> {
        let copies = self.sockets.iter().map(OwnedFd::try_clone);
        Ok(Bound {
            rules: self.rules.clone(),
            sockets: copies.collect::<io::Result<Vec<OwnedFd>>>()?,
        })
    }
}

/// All listeners, which answer by the same routes. Of the executor that runs it.
pub(crate) struct Server<S: 'static> {
    door: Rc<Door<S>>,
    open: Vec<Open>,
}

/// A listener that is open. With it its connections end.
struct Open {
    name: String,
    rules: Rc<RefCell<Rc<HttpListener>>>,
    accepting: Vec<Task<()>>,
    connections: Rc<Connections>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // Each has a share in them, to say when it has ended.
        self.connections.all.take();
    }
}

/// The connections of a listener.
#[derive(Default)]
struct Connections {
    all: RefCell<Vec<Connection>>,
    /// Who waits for one to end.
    waiting: RefCell<Option<Waker>>,
}

/// One of them.
struct Connection {
    from: IpAddr,
    progress: Weak<Progress>,
    task: Task<()>,
}

/// What accepts.
struct Acceptor<S: 'static> {
    door: Rc<Door<S>>,
    rules: Rc<RefCell<Rc<HttpListener>>>,
    connections: Rc<Connections>,
}

impl<S: 'static> Server<S> {
    /// Without listeners yet.
    /// Without a gate only open routes are answered.
    pub(crate) fn new(
        site: Rc<S>,
        routes: &'static [Route<S>],
        pages: &'static [Page],
        gate: Option<Gate>,
    ) -> Server<S> {
        let door = Rc::new(Door {
            site,
            routes,
            pages,
            gate,
        });
        Server {
            door,
            open: Vec::new(),
        }
    }

    /// Opens one more, on this thread's executor.
    pub(crate) fn open(&mut self, bound: Bound) {
        let name = bound.rules.listener.socket.name();
        let rules = Rc::new(RefCell::new(Rc::new(bound.rules)));
        let connections = Rc::new(Connections::default());
        let accept = |socket: OwnedFd| {
            let acceptor = Acceptor {
                door: self.door.clone(),
                rules: rules.clone(),
                connections: connections.clone(),
            };
            if self.door.gate.is_none() {
                return glommio::spawn_local(acceptor.look(socket.into()));
            }
            // SAFETY: the socket is listening and nobody else has it: its number is given away here.
            let listener = unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) };
            glommio::spawn_local(acceptor.run(listener))
        };
        let accepting = bound.sockets.into_iter().map(accept).collect();
        self.open.push(Open {
            name,
            rules,
            accepting,
            connections,
        });
    }

    /// Whether anybody can ask.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Closes everything, and waits until it is.
    pub(crate) async fn close(self) {
        for mut open in self.open {
            for task in std::mem::take(&mut open.accepting) {
                task.cancel().await;
            }
            let all = open.connections.all.take();
            for connection in all {
                connection.task.cancel().await;
            }
        }
    }

    /// Goes by other rules: listeners that are not among them are closed, those that are new come with their sockets.
    pub(crate) fn go_by(&mut self, all: Vec<HttpListener>, fresh: Vec<Bound>) {
        let named = |name: &str| {
            let mut all = all.iter();
            all.find(|rules| rules.listener.socket.name() == name)
        };
        self.open.retain(|open| named(&open.name).is_some());
        for open in &self.open {
            if let Some(rules) = named(&open.name) {
                *open.rules.borrow_mut() = Rc::new(rules.clone());
            }
        }
        fresh.into_iter().for_each(|bound| self.open(bound));
    }
}

impl<S: 'static> Acceptor<S> {
    async fn run(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok(socket) => {
                    // Nobody gives way before somebody comes.
                    self.room().await;
                    self.begin(socket);
                }
                // Descriptors or memory are short: whoever comes waits in the queue of the socket.
                Err(_) => timer::sleep(Duration::from_millis(limits::HTTP_LOOK_MS)).await,
            }
        }
    }

    /// The same at a socket that somebody else goes on with: an accept in flight, which would be one too many then, is never left behind.
    /// Looks from time to time instead who has come.
    async fn look(self, listener: std::net::TcpListener) {
        loop {
            while has_come(&listener)
                && let Ok((socket, _)) = listener.accept()
            {
                // SAFETY: the socket is connected and nobody else has it: its number is given away here.
                let socket = unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) };
                self.room().await;
                self.begin(socket);
            }
            timer::sleep(Duration::from_millis(limits::START_LOOK_MS)).await;
        }
    }

    /// Waits until there is room for one more; what asks nothing makes room.
    async fn room(&self) {
        let most = self.rules.borrow().listener.socket.max_connections;
        let most = most.map_or(limits::HTTP_CONNECTIONS_MAX, |most| {
            limits::HTTP_CONNECTIONS_MAX.min(most as usize)
        });
        while self.connections.count() >= most {
            self.connections.make_room();
            self.connections.one_less().await;
        }
    }

    fn begin(&self, socket: TcpStream) {
        // One that is gone already has no address.
        let Ok(from) = socket.peer_addr() else {
            return;
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let peer = Rc::new(Peer::new(from));
        let progress = Rc::downgrade(&peer.progress);
        let (door, rules) = (self.door.clone(), self.rules.clone());
        let connections = self.connections.clone();
        let task = glommio::spawn_local(async move {
            connection::serve(socket, door, rules, peer).await;
            if let Some(waiting) = connections.waiting.take() {
                waiting.wake();
            }
        });
        let connection = Connection {
            from: from.ip(),
            progress,
            task,
        };
        self.connections.all.borrow_mut().push(connection);
    }
}

/// Whether somebody waits to be accepted.
fn has_come(listener: &std::net::TcpListener) -> bool {
    let mut looked = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut looked, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}

impl Connections {
    /// How many there are; those that have ended are forgotten.
    fn count(&self) -> usize {
        let mut all = self.all.borrow_mut();
        all.retain(|connection| connection.progress.strong_count() > 0);
        all.len()
    }

    /// Waits until one has ended, or for a while.
    async fn one_less(&self) {
        let mut pause = Timer::new(Duration::from_millis(limits::HTTP_ROOM_LOOK_MS));
        let before = self.count();
        poll_fn(|cx| {
            // Of several who wait the last one is woken; the others look again after their pause.
            self.waiting.replace(Some(cx.waker().clone()));
            if self.count() < before {
                return Poll::Ready(());
            }
            Pin::new(&mut pause).poll(cx).map(drop)
        })
        .await;
    }

    /// Tells one to end: that which has been idle longest, or else one of those from which no request has come for a while.
    fn make_room(&self) {
        let all = self.all.borrow();
        let all = all.iter().filter_map(|connection| {
            let progress = connection.progress.upgrade()?;
            Some((connection.from, progress))
        });
        let all: Vec<(IpAddr, Rc<Progress>)> = all.collect();
        let idle = all.iter().filter_map(|(_, progress)| {
            let since = progress.idle_since()?;
            Some((since, progress))
        });
        if let Some((_, progress)) = idle.min_by_key(|(since, _)| *since) {
            return progress.end();
        }
        let patience = Duration::from_millis(limits::HTTP_SILENCE_MS);
        let silent = all.iter().filter_map(|(from, progress)| {
            let since = progress.head_since()?;
            (since.elapsed() >= patience).then_some(((*from, since), progress))
        });
        let (heads, silent): (Vec<_>, Vec<_>) = silent.unzip();
        if let Some(place) = to_give_way(&heads) {
            silent[place].end();
        }
    }
}

/// Which of those that ask nothing gives way: the oldest one of the address that has most of them. One address keeps nobody else out.
fn to_give_way(heads: &[(IpAddr, Instant)]) -> Option<usize> {
    let count = |from: IpAddr| heads.iter().filter(|(other, _)| *other == from).count();
    let most = heads.iter().map(|(from, _)| count(*from)).max()?;
    let named = heads.iter().enumerate();
    let crowd = named.filter(|(_, (from, _))| count(*from) == most);
    crowd
        .min_by_key(|(_, (_, since))| *since)
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_keeps_nobody_out() {
        let start = Instant::now();
        let head = |last, ms| {
            (
                IpAddr::from([127, 0, 0, last]),
                start + Duration::from_millis(ms),
            )
        };
        assert_eq!(to_give_way(&[]), None);
        assert_eq!(to_give_way(&[head(1, 5)]), Some(0));
        let heads = [head(1, 0), head(2, 9), head(2, 3), head(2, 4), head(3, 1)];
        assert_eq!(to_give_way(&heads), Some(2));
        assert_eq!(to_give_way(&[head(1, 7), head(2, 6)]), Some(1));
    }
}
