//! What the clients do that somebody looks at (`trace`): packets of both directions, and the ends of connections.

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::placement::home;
use crate::broker::trace::{
    Direction, PacketAt, SentPackets, TraceLook, TracePage, TraceSubject, TraceWhat, TracedContent,
    TracedPacket, Watched, seen,
};
use crate::ids::ConnId;
use crate::mqtt::{self, Connect, DecodeError, Frame, Packet, PacketType};

impl Broker {
    /// Somebody looks at a trace: it goes on, or begins with what there is.
    pub(in crate::broker) fn look_at_trace(&mut self, now_ms: u64, look: TraceLook) -> TracePage {
        let subject = look.subject.clone();
        let page = self.clients.traces.look(now_ms, look);
        let TraceSubject::Client(client) = subject else {
            return page;
        };
        let session = self.clients.sessions.find(&client);
        let conn = session.and_then(|session| self.clients.sessions.conn_of(session));
        if page.has_begun {
            self.clients.forget_unwanted();
        }
        if let Some(conn) = conn {
            self.clients.watch(conn, &client);
        }
        TracePage {
            is_connected: conn.is_some(),
            ..page
        }
    }
}

impl Clients {
    /// Ends traces that nobody looks at any more.
    pub(in crate::broker) fn end_traces(&mut self, now_ms: u64) {
        if self.traces.next_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.traces.end_due(now_ms);
            self.forget_unwanted();
        }
    }

    /// Connections whose client nobody looks for any more are as others.
    fn forget_unwanted(&mut self) {
        for conn in self.traces.unwanted() {
            self.peers.conns[conn.index()].set_traced(false);
        }
    }

    /// Looks at a connection from now on, unless it is looked at already. What is on its way to the client may have begun before.
    fn watch(&mut self, conn: ConnId, client: &str) {
        let entry = &mut self.peers.conns[conn.index()];
        if entry.is_traced() || !self.traces.may_watch() {
            return;
        }
        entry.set_traced(true);
        let number = self.traces.next_connection();
        let sent = SentPackets::behind(self.out.rest_of_packet(conn) as usize);
        self.traces.watch(Watched::new(conn, number, client, sent));
    }

    /// What a CONNECT would be the client identifier of; an empty one is not known yet.
    fn named_by<'a>(&self, conn: ConnId, connect: &Connect<'a>) -> &'a str {
        match self.listener(conn).use_username_as_clientid {
            true => connect.username.unwrap_or_default(),
            false => connect.client_id,
        }
    }

    /// CONNECT has come: of one whose home is another shard it is shown there, unless it is refused before.
    #[inline]
    pub(in crate::broker) fn show_connect(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        connect: &Connect<'_>,
        bytes: usize,
    ) {
        if self.traces.has_clients() {
            self.show_wanted_connect(now_ms, conn, connect, bytes);
        }
    }

    #[cold]
    fn show_wanted_connect(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        connect: &Connect<'_>,
        bytes: usize,
    ) {
        let client = self.named_by(conn, connect);
        if client.is_empty() || !self.traces.wants_client(client) {
            return;
        }
        self.watch(conn, client);
        let Some(connection) = self.traces.watched(conn).map(|one| one.number) else {
            return;
        };
        let at = PacketAt {
            connection,
            direction: Direction::In,
            bytes,
            unknown: 0,
            listener: self.listener(conn),
            topic: None,
            payload_bytes: 0,
        };
        let packet = seen(&Packet::Connect(*connect), &at);
        if let Some(watched) = self.traces.watched(conn) {
            watched.connect = Some(Box::new(packet));
        }
        if home(client, self.desk.shards) == self.desk.shard {
            self.show_kept_connect(now_ms, conn);
        }
    }

    fn show_kept_connect(&mut self, now_ms: u64, conn: ConnId) {
        let Some(mut watched) = self.traces.take_watched(conn) else {
            return;
        };
        if let Some(connect) = watched.connect.take() {
            self.traces.show_client(now_ms, &watched.client, |_| {
                TraceWhat::Packet(connect.clone())
            });
        }
        self.traces.watch(watched);
    }

    /// A CONNECT is refused, here, wherever its client is at home.
    pub(in crate::broker) fn show_refused(&mut self, now_ms: u64, conn: ConnId) {
        if self.peers.conns[conn.index()].is_traced() {
            self.show_kept_connect(now_ms, conn);
        }
    }

    /// A packet has come, and is handled now; one that cannot be read is shown as that (`show_malformed`).
    #[cold]
    pub(in crate::broker) fn show_received(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        packet: &Result<Packet<'_>, DecodeError>,
        bytes: usize,
    ) {
        let Ok(packet) = packet else {
            return;
        };
        let Some(mut watched) = self.traces.take_watched(conn) else {
            return;
        };
        if !std::mem::take(&mut watched.is_shown) {
            self.show_packet(now_ms, &watched, Direction::In, (packet, bytes, 0));
        }
        self.traces.watch(watched);
    }

    /// The packet that was shown last has to wait, and will be handled once more.
    #[cold]
    pub(in crate::broker) fn note_shown(&mut self, conn: ConnId) {
        if let Some(watched) = self.traces.watched(conn) {
            watched.is_shown = true;
        }
    }

    /// A packet with so many bytes, of which so many are not known.
    fn show_packet(
        &mut self,
        now_ms: u64,
        watched: &Watched,
        direction: Direction,
        (packet, bytes, unknown): (&Packet<'_>, usize, usize),
    ) {
        let listener = self.peers.conns[watched.conn.index()].listener();
        let listener = &self.desk.settings.listeners[usize::from(listener)];
        let aliases = self.peers.conns[watched.conn.index()].aliases.as_ref();
        let alias = match packet {
            Packet::Publish(publish) => publish.properties.topic_alias,
            _ => None,
        };
        let topic = aliases
            .zip(alias)
            .and_then(|(aliases, alias)| match direction {
                Direction::In => aliases.inbound.get(alias).map(|topic| &**topic),
                Direction::Out => aliases.outbound.topic_of(alias),
            });
        self.traces
            .show_client(now_ms, &watched.client, |payload_bytes| {
                let at = PacketAt {
                    connection: watched.number,
                    direction,
                    bytes,
                    unknown,
                    listener,
                    topic,
                    payload_bytes,
                };
                TraceWhat::Packet(Box::new(seen(packet, &at)))
            });
    }

    /// What has come is no packet, or one that must not come.
    #[cold]
    pub(in crate::broker) fn show_malformed(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        packet: &[u8],
        error: DecodeError,
    ) {
        let Some(watched) = self.traces.watched(conn) else {
            return;
        };
        let (number, client) = (watched.number, watched.client.clone());
        let kind = packet.first().copied().and_then(PacketType::from_first);
        self.traces
            .show_client(now_ms, &client, |_| TraceWhat::Malformed {
                connection: number,
                packet: kind,
                bytes: packet.len(),
                error: error.to_string().into(),
            });
    }

    /// A send is over: the socket of a client that is looked at has taken so much of it.
    #[cold]
    pub(in crate::broker) fn show_sent(&mut self, now_ms: u64, conn: ConnId, written: usize) {
        let Some(mut watched) = self.traces.take_watched(conn) else {
            return;
        };
        let mut bytes = Vec::new();
        self.out.gathered_into(conn, &mut bytes);
        bytes.truncate(written);
        let mut sent = std::mem::take(&mut watched.sent);
        sent.take(&bytes, |packet, total| {
            self.show_sent_packet(now_ms, &watched, packet, total);
        });
        watched.sent = sent;
        self.traces.watch(watched);
    }

    /// A packet that was sent, of which the start may be all that is known.
    fn show_sent_packet(&mut self, now_ms: u64, watched: &Watched, packet: &[u8], total: usize) {
        let Some(&first) = packet.first() else {
            return;
        };
        let length = packet.iter().skip(1).take(3);
        let length_bytes = 1 + length.take_while(|&&byte| byte & 0x80 != 0).count();
        let version = self.peers.conns[watched.conn.index()].version();
        let Some(start) = packet.get(length_bytes - 1..) else {
            return;
        };
        // The length in front of what is known of it would be another one.
        let frame = Frame {
            first,
            header_len: 2,
            total_len: start.len(),
        };
        let unknown = total - packet.len();
        match mqtt::decode(version, start, &frame) {
            Ok(decoded) => {
                let what = (&decoded, total, unknown);
                self.show_packet(now_ms, watched, Direction::Out, what);
            }
            Err(_) => self.show_outline(now_ms, watched, first, total),
        }
    }

    /// A packet of which no more can be said than its type.
    fn show_outline(&mut self, now_ms: u64, watched: &Watched, first: u8, total: usize) {
        let Some(kind) = PacketType::from_first(first) else {
            return;
        };
        self.traces.show_client(now_ms, &watched.client, |_| {
            TraceWhat::Packet(Box::new(TracedPacket {
                connection: watched.number,
                direction: Direction::Out,
                packet: kind,
                bytes: total,
                packet_id: None,
                content: TracedContent::None,
                properties: Box::default(),
                has_more_properties: false,
            }))
        });
    }

    /// The broker gives a connection up, for this reason.
    #[inline]
    pub(in crate::broker) fn show_end(&mut self, now_ms: u64, conn: ConnId, why: &str) {
        if self.peers.conns[conn.index()].is_traced() {
            self.show_wanted_end(now_ms, conn, why);
        }
    }

    #[cold]
    fn show_wanted_end(&mut self, now_ms: u64, conn: ConnId, why: &str) {
        let Some(watched) = self.traces.watched(conn) else {
            return;
        };
        if std::mem::replace(&mut watched.has_ended, true) {
            return;
        }
        let (number, client) = (watched.number, watched.client.clone());
        self.traces
            .show_client(now_ms, &client, |_| TraceWhat::End {
                connection: number,
                reason: why.into(),
            });
    }

    /// The number of a connection is forgotten: it is looked at no more. One that has gone to another shard has not ended.
    pub(in crate::broker) fn forget_shown(&mut self, now_ms: u64, conn: ConnId) {
        let watched = self.traces.watched(conn);
        let Some(watched) = watched else {
            return;
        };
        if watched.connect.is_none() {
            self.show_end(now_ms, conn, "closed");
        }
        self.traces.take_watched(conn);
    }
}
