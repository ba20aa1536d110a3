//! Listeners and their connections: accepted while there is room, ended with their listener.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use glommio::Task;
use glommio::net::{TcpListener, TcpStream};
use glommio::timer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection;
use super::door::{Door, Route};
use super::gate::Gate;
use super::page::Page;
use super::peer::Peer;
use super::places::Connections;
use crate::budget::{Account, Charge};
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
        self.connections.take();
    }
}

/// What accepts.
struct Acceptor<S: 'static> {
    door: Rc<Door<S>>,
    rules: Rc<RefCell<Rc<HttpListener>>>,
    connections: Rc<Connections>,
}

impl<S: 'static> Server<S> {
    /// Without listeners yet. Without a gate only open routes are answered.
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
        let connections = Rc::new(Connections::new());
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
            for task in open.connections.take() {
                task.cancel().await;
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
                    let is_extra = self.room().await;
                    self.begin(socket, is_extra);
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
                let is_extra = self.room().await;
                self.begin(socket, is_extra);
            }
            timer::sleep(Duration::from_millis(limits::START_LOOK_MS)).await;
        }
    }

    /// Waits until there is room for one more; whether it is none but for a look at how the broker is.
    async fn room(&self) -> bool {
        let most = self.rules.borrow().listener.socket.max_connections;
        self.connections.set_most(most);
        self.connections.room().await
    }

    fn begin(&self, socket: TcpStream, is_extra: bool) {
        // One that is gone already has no address.
        let Ok(from) = socket.peer_addr() else {
            return;
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let peer = Rc::new(Peer::new(from, is_extra, self.charge()));
        let progress = Rc::downgrade(&peer.progress);
        let (door, rules) = (self.door.clone(), self.rules.clone());
        let connections = self.connections.clone();
        let task = glommio::spawn_local(async move {
            connection::serve(socket, door, (rules, connections.clone()), peer).await;
            connections.on_end();
        });
        self.connections.add(from.ip(), progress, task);
    }

    /// What one connection holds; their number is bounded. While a start reads what is kept there are no accounts yet.
    fn charge(&self) -> Option<Charge> {
        let gate = self.door.gate.as_ref()?;
        let tls = self.rules.borrow().listener.socket.transport.tls.is_some();
        let tls = if tls { limits::TLS_CONNECTION_BYTES } else { 0 };
        let mut charge = Charge::new(gate.shared.pool().clone(), Account::Http);
        charge.force(limits::HTTP_CONNECTION_BYTES + tls);
        Some(charge)
    }
}

/// Whether somebody waits to be accepted.
fn has_come(listener: &std::net::TcpListener) -> bool {
    let mut looked = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut looked, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}
