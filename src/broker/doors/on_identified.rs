//! A transport has found out who a client is: its address behind a proxy, its user name by certificate.

use std::fmt;
use std::net::SocketAddr;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::broker::Broker;
use crate::broker::effect::Peer;
use crate::escape::Name;
use crate::ids::ConnId;

/// User names of connections that have one, and which are bridges.
#[derive(Default)]
pub struct Identities {
    users: HashMap<u32, User, FixedState>,
    /// Those that have said that they are bridges.
    bridges: HashSet<u32, FixedState>,
}

/// A user name, and what vouches for it.
struct User {
    name: Box<str>,
    by_certificate: bool,
}

impl Identities {
    pub fn put(&mut self, conn: ConnId, user: Option<Box<str>>) {
        if let Some(name) = user {
            let by_certificate = true;
            self.users.insert(
                conn.0,
                User {
                    name,
                    by_certificate,
                },
            );
        }
    }

    /// A client has been let in under this name.
    pub fn admit(&mut self, conn: ConnId, name: Option<&str>) {
        if let Some(name) = name
            && !self.users.contains_key(&conn.0)
        {
            let (name, by_certificate) = (name.into(), false);
            self.users.insert(
                conn.0,
                User {
                    name,
                    by_certificate,
                },
            );
        }
    }

    /// The user name of a connection's certificate.
    pub fn certified(&self, conn: ConnId) -> Option<&str> {
        let user = self.users.get(&conn.0)?;
        user.by_certificate.then_some(&*user.name)
    }

    /// The user name of a connection, wherever it comes from.
    pub fn name(&self, conn: ConnId) -> Option<&str> {
        self.users.get(&conn.0).map(|user| &*user.name)
    }

    /// A client that has been let in is a bridge.
    pub fn admit_bridge(&mut self, conn: ConnId) {
        self.bridges.insert(conn.0);
    }

    /// Whether a client is a bridge.
    pub fn is_bridge(&self, conn: ConnId) -> bool {
        self.bridges.contains(&conn.0)
    }

    /// A connection is no more.
    #[inline]
    pub fn forget(&mut self, conn: ConnId) {
        if !self.bridges.is_empty() {
            self.bridges.remove(&conn.0);
        }
        if !self.users.is_empty() {
            self.users.remove(&conn.0);
        }
    }
}

impl Broker {
    /// Where a client really is, and which user its certificate makes it. Comes before its first bytes, at most once.
    pub fn on_identified(
        &mut self,
        conn: ConnId,
        source: Option<SocketAddr>,
        user: Option<Box<str>>,
    ) {
        if let Some(address) = source {
            let entry = &mut self.clients.peers.conns[conn.index()];
            let listener = entry.listener;
            entry.set_peer(Peer { address, listener });
        }
        self.identities.put(conn, user);
    }

    /// The transport of a client cannot go on, for this reason; `on_eof` follows.
    pub fn on_transport_failed(&mut self, now_ms: u64, conn: ConnId, reason: &str) {
        // The reason may have words of the peer.
        self.clients
            .log_end_anyhow(now_ms, conn, &Name(reason).to_string());
    }
}

/// A peer's address as the log has it.
pub struct PeerName(pub SocketAddr);

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.ip().is_unspecified() {
            true => write!(f, "a local socket"),
            false => write!(f, "{}:{}", self.0.ip(), self.0.port()),
        }
    }
}
