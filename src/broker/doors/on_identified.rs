//! A transport has found out who a client is: its address behind a proxy, its user name by certificate.

use std::net::SocketAddr;

use crate::broker::Broker;
use crate::broker::peers::peer::Peer;
use crate::escape::Name;
use crate::ids::ConnId;

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
            let listener = entry.listener();
            entry.set_peer(Peer { address, listener });
        }
        self.clients.peers.particulars.certify(conn, user);
    }

    /// The transport of a client cannot go on, for this reason; `on_eof` follows.
    pub fn on_transport_failed(&mut self, now_ms: u64, conn: ConnId, reason: &str) {
        // The reason may have words of the peer.
        self.clients
            .log_end_anyhow(now_ms, conn, &Name(reason).to_string());
    }
}
