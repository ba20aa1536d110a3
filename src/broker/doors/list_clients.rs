//! The clients of this shard, in the order of their places, and one of them in all detail.

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::queries::{
    ClientDetails, ClientRow, ConnectionDetails, ConnectionRow, Page, Pager, SubscriptionRow,
    Which, WillRow,
};
use crate::broker::timers::TICK_MS;
use crate::ids::{ConnId, SessionId, SessionRef};
use crate::limits;
use crate::routing::Target;
use crate::session::{Inbound, Session, SlowPolicy};

impl Clients {
    /// Whether a session is one of those that are meant.
    pub(in crate::broker) fn is_meant(
        &self,
        which: &Which,
        session: SessionId,
        entry: &Session,
    ) -> bool {
        let is_connected = || self.sessions.conn_of(session).is_some();
        which
            .is_connected
            .is_none_or(|wanted| wanted == is_connected())
            && entry.client_id().starts_with(&*which.prefix)
    }

    /// The sessions from a place on.
    pub(in crate::broker) fn list(
        &self,
        now_ms: u64,
        which: &Which,
        from: u32,
        limit: usize,
    ) -> Page<ClientRow, u32> {
        let mut pager = Pager::new(limit);
        let (mut rows, mut place) = (Vec::new(), from);
        let places = self.sessions.places() as u32;
        while place < places && pager.goes_on() {
            pager.look(1);
            let session = SessionId(place);
            if let Some(entry) = self.sessions.get(session)
                && self.is_meant(which, session, entry)
            {
                let row = self.row(now_ms, session, entry);
                if !pager.takes(row.name_bytes()) {
                    break;
                }
                rows.push(row);
            }
            place += 1;
        }
        let next = (place < places).then_some(place);
        Page { rows, next }
    }

    /// The rows of these sessions.
    pub(in crate::broker) fn rows_of(
        &self,
        now_ms: u64,
        sessions: &[SessionRef],
    ) -> Page<ClientRow, u32> {
        let mut pager = Pager::new(usize::MAX);
        let mut rows = Vec::new();
        for (index, &session) in sessions.iter().enumerate() {
            let Some(entry) = self.sessions.get_by(session) else {
                continue;
            };
            let row = self.row(now_ms, session.id, entry);
            if !pager.takes(row.name_bytes()) {
                let next = Some(index as u32);
                return Page { rows, next };
            }
            rows.push(row);
        }
        Page { rows, next: None }
    }

    /// Seconds since the socket of a connection has taken something, while it has more to take.
    pub(in crate::broker) fn lag_s(&self, now_ms: u64, conn: ConnId) -> u64 {
        let now_s = (now_ms / 1000) as u32;
        let since_s = self.out.in_flight_since(conn).unwrap_or(now_s);
        now_s.saturating_sub(since_s).into()
    }

    /// A client as it is listed.
    fn row(&self, now_ms: u64, session: SessionId, entry: &Session) -> ClientRow {
        let conn = self.sessions.conn_of(session);
        let owner = match conn {
            Some(conn) => {
                let user = self.peers.particulars.user_name(conn);
                Some((user, &self.listener(conn).name))
            }
            None => self.sessions.owner(session),
        };
        let (user, listener) = owner.unzip();
        let ends_at_ms = Some(entry.ends_at_ms()).filter(|&ends_at_ms| ends_at_ms < u64::MAX);
        let output = conn.map_or(0, |conn| self.out.pending(conn));
        let packets = conn.map_or(0, |conn| self.out.packets(conn));
        let in_flight = entry.flow().map_or(0, |flow| flow.in_flight());
        ClientRow {
            session: SessionRef {
                id: session,
                serial: entry.serial(),
            },
            client: entry.client_id().into(),
            user: user.flatten().map(Box::from),
            listener: listener.map(|name| name.text().into()),
            connection: conn.map(|conn| self.connection_row(now_ms, (session, conn), entry)),
            ends_in_s: ends_at_ms.map(|at_ms| at_ms.saturating_sub(now_ms).div_ceil(1000)),
            expiry_s: entry.expiry_s(),
            bytes: u64::from(output) + self.session_bytes(session),
            messages: packets + self.sessions.queued(session) as u64,
            in_flight: in_flight as u32,
            subscriptions: (entry.subscriptions().len() + entry.shared().len()) as u32,
        }
    }

    fn connection_row(
        &self,
        now_ms: u64,
        (session, conn): (SessionId, ConnId),
        entry: &Session,
    ) -> ConnectionRow {
        let known = &self.peers.conns[conn.index()];
        let since_ms = entry.since_ms().unwrap_or(now_ms);
        ConnectionRow {
            address: known.peer().address,
            version: known.version(),
            connected_s: now_ms.saturating_sub(since_ms) / 1000,
            lag_s: self.lag_s(now_ms, conn),
            unacknowledged_s: self.unacknowledged_s(now_ms, session),
            policy: known.policy().map_or("", SlowPolicy::name),
        }
    }

    fn connection_details(&self, now_ms: u64, conn: ConnId) -> ConnectionDetails {
        let known = &self.peers.conns[conn.index()];
        let active_ms = u64::from(known.active_at) * TICK_MS;
        let most = known.packet_bytes_max();
        ConnectionDetails {
            role: known.role().name(),
            certificate: self.peers.particulars.certified(conn).map(Box::from),
            is_anonymous: known.is_anonymous(),
            keep_alive_s: known.keep_alive_s(),
            idle_s: now_ms.saturating_sub(active_ms) / 1000,
            clean_start: known.clean_start(),
            in_flight_max: known.in_flight_max(),
            packet_bytes_max: (most < u32::MAX).then_some(most),
            output_bytes: self.out.pending(conn),
            is_held: known.state.is_held(),
        }
    }
}

impl Broker {
    /// All of one client.
    pub(in crate::broker) fn details_of(
        &self,
        now_ms: u64,
        client: &str,
    ) -> Option<Box<ClientDetails>> {
        let clients = &self.clients;
        let session = clients.sessions.find(client)?;
        let entry = clients.sessions.get(session)?;
        let conn = clients.sessions.conn_of(session);
        Some(Box::new(ClientDetails {
            row: clients.row(now_ms, session, entry),
            connection: conn.map(|conn| clients.connection_details(now_ms, conn)),
            will: entry.will().map(|will| WillRow {
                topic: will.message.topic.as_str().into(),
                qos: will.message.qos,
                retain: will.message.retain,
                delay_s: will.delay_s,
                payload_bytes: will.message.payload.len(),
            }),
            queued: clients.sessions.queued(session) as u64,
            queued_bytes: clients.session_bytes(session),
            inbound: entry.inbound().map_or(0, Inbound::len) as u32,
            replays: entry.replays() as u32,
            subscriptions: self.list_subscriptions_of(client, 0, limits::QUERY_ROWS_MAX)?,
        }))
    }

    /// The subscriptions of a client from a number on, at most so many.
    pub(in crate::broker) fn list_subscriptions_of(
        &self,
        client: &str,
        from: usize,
        limit: usize,
    ) -> Option<Page<SubscriptionRow, usize>> {
        let session = self.clients.sessions.find(client)?;
        let entry = self.clients.sessions.get(session)?;
        let all = entry.subscriptions().len() + entry.shared().len();
        let mut pager = Pager::new(limit);
        let (mut rows, mut at) = (Vec::new(), from);
        while at < all && pager.goes_on() {
            pager.look(1);
            if let Some(row) = self.subscription_at(session, entry, at) {
                if !pager.takes(row.name_bytes()) {
                    break;
                }
                rows.push(row);
            }
            at += 1;
        }
        let next = (at < all).then_some(at);
        Some(Page { rows, next })
    }

    /// A subscription of a session: shared ones behind the others.
    fn subscription_at(
        &self,
        session: SessionId,
        entry: &Session,
        at: usize,
    ) -> Option<SubscriptionRow> {
        let is_connected = self.clients.sessions.conn_of(session).is_some();
        let own = entry.subscriptions();
        if let Some(&filter) = own.get(at) {
            let subscriptions = &self.routing.subscriptions;
            let known = subscriptions.entry(filter, Target::Session(session))?;
            let mut name = String::new();
            subscriptions.filter_name(filter, &mut name);
            return Some(SubscriptionRow {
                client: entry.client_id().into(),
                share: None,
                filter: name.into(),
                options: known.options(),
                is_connected,
                may_read: None,
            });
        }
        let shared = entry.shared().get(at - own.len())?;
        let (shard, guests) = (self.clients.desk.shard, &self.routing.guests);
        let member = guests.member(&shared.group, &shared.filter, shard, session)?;
        Some(SubscriptionRow {
            client: entry.client_id().into(),
            share: Some(shared.group.clone()),
            filter: shared.filter.clone(),
            options: member.options,
            is_connected,
            may_read: None,
        })
    }
}
