//! CONNECT (MQTT 5, 3.1): who may come in, at which shard, to which session, and what CONNACK says.

use crate::broker::effect::{CloseHow, Effect};
use crate::broker::facts::Answer;
use crate::broker::lines::Doing;
use crate::broker::memory::party::{party_of_address, party_of_user};
use crate::broker::peers::admission::Admission;
use crate::broker::peers::conn::{PeerName, Terms};
use crate::broker::peers::peer::Handover;
use crate::broker::peers::role::Role;
use crate::broker::sessions::hot::{HOT_GUARDED, HOT_PRIVATE, HOT_QOS0_WAITS, HOT_V5};
use crate::broker::settings::{ListenerSettings, LogKind, Settings};
use crate::broker::timers::tick;
use crate::broker::{Broker, home};
use crate::budget::Account;
use crate::escape::Name;
use crate::ids::{ConnId, SessionId, ShardId};
use crate::mqtt::{self, ConnackOut, Connect, Frame, Packet, QoS, ReasonCode, Version, topic};
use crate::session::SlowPolicy;

impl Broker {
    /// The first packet of a connection: it must be CONNECT (MQTT-3.1.0-1).
    pub(in crate::broker) fn on_first_packet(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        packet: &[u8],
        frame: &Frame,
        after: &[u8],
    ) {
        let certified: Option<Box<str>> = self
            .clients
            .peers
            .particulars
            .certified(conn)
            .map(Into::into);
        let connect = match mqtt::decode(Version::V5, packet, frame) {
            Ok(Packet::Connect(connect)) => named(connect, certified.as_deref()),
            Ok(_) => {
                self.clients.desk.counters.protocol_errors += 1;
                return self.shut(now_ms, conn, CloseHow::Now);
            }
            Err(error) => return self.refuse_bad_connect(now_ms, conn, packet, error),
        };
        self.clients.peers.conns[conn.index()].speaks(connect.version);
        self.clients
            .show_connect(now_ms, conn, &connect, packet.len());
        if self.is_draining() {
            let reason = ReasonCode::SERVER_SHUTTING_DOWN;
            return self.refuse_connect(now_ms, conn, &connect, reason);
        }
        if let Err(reason) = self.check_connect(conn, &connect) {
            return self.refuse_connect(now_ms, conn, &connect, reason);
        }
        if let Some(reason) = self.clients.peers.particulars.take_turned_away(conn) {
            return self.refuse_connect(now_ms, conn, &connect, reason);
        }
        if self.clients.memory.is_short_for_connect(&connect) {
            return self.refuse_connect(now_ms, conn, &connect, ReasonCode::QUOTA_EXCEEDED);
        }
        let (client_id, is_assigned) = self.client_id(conn, &connect);
        let shard = home(&client_id, self.clients.desk.shards);
        if shard == self.clients.desk.shard {
            if let Some(passwords) = self.wanted_passwords(conn, &connect) {
                let found = (client_id, is_assigned);
                let admission = Admission::new(tick(now_ms), packet, after, found);
                return self.verify(now_ms, conn, &connect, admission, passwords);
            }
            return self.admit(now_ms, conn, &connect, &client_id, is_assigned);
        }
        self.send_home(conn, shard, [packet, after].concat());
    }

    /// Another shard is the home of a client: the connection goes there, with what has been received of it.
    fn send_home(&mut self, conn: ConnId, to: ShardId, received: Vec<u8>) {
        let identity = self.clients.peers.particulars.certified(conn);
        let identity = identity.map(Into::into);
        let entry = &mut self.clients.peers.conns[conn.index()];
        entry.state.move_away();
        let handover = Box::new(Handover {
            peer: entry.peer(),
            received,
            identity,
        });
        let effect = Effect::Handover { conn, to, handover };
        self.clients.desk.effects.push_back(effect);
    }

    /// What speaks against a CONNECT that is in order as a packet.
    fn check_connect(&self, conn: ConnId, connect: &Connect<'_>) -> Result<(), ReasonCode> {
        let listener = self.clients.listener(conn);
        if listener.is_closed {
            return Err(ReasonCode::NOT_AUTHORIZED);
        }
        let accepted = match connect.version {
            Version::V31 => listener.accept_versions[0],
            Version::V311 => listener.accept_versions[1],
            Version::V5 => listener.accept_versions[2],
        };
        if !accepted {
            return Err(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
        }
        if connect.properties.authentication_method.is_some() {
            return Err(ReasonCode::BAD_AUTHENTICATION_METHOD); // MQTT-4.12.0-1
        }
        let is_certified = self.clients.peers.particulars.certified(conn).is_some();
        check_name(listener, connect, is_certified)?;
        check_client_id(listener, connect)?;
        check_will(&self.clients.desk.settings, listener, connect)
    }

    /// The client identifier: the client's, its user name, or one that is made up here, so that it is at home here.
    fn client_id(&mut self, conn: ConnId, connect: &Connect<'_>) -> (String, bool) {
        if self.clients.listener(conn).use_username_as_clientid {
            return (connect.username.unwrap_or_default().into(), false);
        }
        if !connect.client_id.is_empty() {
            return (connect.client_id.into(), false);
        }
        loop {
            let (high, low) = (
                self.clients.sessions.next_unique(),
                self.clients.sessions.next_unique(),
            );
            let prefix = &self.clients.listener(conn).auto_id_prefix;
            let id = format!("{prefix}{}", like_uuid(high, low));
            if home(&id, self.clients.desk.shards) == self.clients.desk.shard
                && self.clients.sessions.find(&id).is_none()
            {
                return (id, true);
            }
        }
    }

    /// Lets a client in.
    pub(in crate::broker) fn admit(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        connect: &Connect<'_>,
        client_id: &str,
        is_assigned: bool,
    ) {
        if self.is_unkept_session(connect, client_id) {
            return self.refuse_connect(now_ms, conn, connect, ReasonCode::QUOTA_EXCEEDED);
        }
        let Some((session, session_present)) = self.session_for(now_ms, connect, client_id) else {
            return self.refuse(now_ms, conn, ReasonCode::SERVER_BUSY);
        };
        let particulars = &mut self.clients.peers.particulars;
        particulars.let_in(conn, user_name(connect));
        self.bind(now_ms, conn, session, connect);
        self.ordering.mark_newcomer(session);
        self.connack(
            conn,
            connect,
            session_present,
            is_assigned.then_some(client_id),
        );
        self.log_admission(now_ms, conn, connect);
        // MQTT-3.2.0-1: before anything else, whatever follows CONNECT in the same bytes.
        self.clients.flush_replies();
        if session_present {
            self.go_on_with_session(now_ms, conn, session);
        }
    }

    /// The session that a client goes on with, and whether there was one (Session Present): the one that it had, unless it asks
    /// for a clean start, or a new one. `None` if there are too many.
    fn session_for(
        &mut self,
        now_ms: u64,
        connect: &Connect<'_>,
        client_id: &str,
    ) -> Option<(SessionId, bool)> {
        let mut bound = self.clients.desk.settings.quotas.clients;
        if let Some(session) = self.clients.sessions.find(client_id) {
            // Who takes the place of a session of its own is no client more.
            bound = 0;
            self.end_absence_before(now_ms, session);
            self.take_over(now_ms, session, connect);
            if let Some(session) = self.clients.sessions.find(client_id) {
                if !connect.clean_start {
                    return Some((session, true));
                }
                self.end_session(now_ms, session); // MQTT-3.1.2-4
            }
        }
        if !self.clients.memory.lease.enter(bound) {
            return None;
        }
        self.clients.desk.counters.clients_disconnected += 1;
        Some((self.clients.new_session(client_id), false))
    }

    /// A session has a client again: what waits for it goes out.
    fn go_on_with_session(&mut self, now_ms: u64, conn: ConnId, session: SessionId) {
        self.rejoin_shared(now_ms, session);
        if let Some(mut entry) = self.clients.sessions.change(session) {
            entry.begin_resending();
        }
        self.resend(now_ms, conn, session);
        self.clients.pump(now_ms, session);
        self.next_replays(now_ms, session);
    }

    /// The session has a connection already: it is told 0x8E and closed (MQTT-3.1.4-3).
    fn take_over(&mut self, now_ms: u64, session: SessionId, connect: &Connect<'_>) {
        if let Some(old) = self.clients.sessions.conn_of(session) {
            self.finish_interrupted(now_ms, old);
            if self.is_held(old) {
                self.drop_held(now_ms, old);
            }
        }
        if let Some(old) = self.clients.sessions.conn_of(session) {
            self.disconnect(now_ms, old, ReasonCode::SESSION_TAKEN_OVER);
        }
        // MQTT 5, 3.1.3.2.2: a client that is back before its will was due takes it back, whatever it asks for next.
        if !connect.clean_start {
            self.clients
                .change_session(session, |entry| entry.take_will());
        }
    }

    /// What holds for a client that comes in with this CONNECT.
    fn terms_for(&self, conn: ConnId, connect: &Connect<'_>) -> Terms {
        let (listener, settings) = (self.clients.listener(conn), &self.clients.desk.settings);
        let in_flight_max = settings.in_flight_max();
        let properties = &connect.properties;
        Terms {
            version: connect.version,
            role: Role::of(connect),
            is_anonymous: self.is_anonymous(conn, connect),
            policy: listener.slow_policy_for(user_name(connect)),
            keep_alive_s: granted_keep_alive(connect, settings.max_keepalive),
            packet_bytes_max: properties.maximum_packet_size.unwrap_or(u32::MAX),
            in_flight_max: in_flight_max.min(properties.receive_maximum.unwrap_or(u16::MAX)),
            wants_problems: properties.request_problem_information,
            clean_start: connect.clean_start,
            alias_max: (properties.topic_alias_maximum).min(listener.max_topic_alias_broker),
        }
    }

    /// Joins connection and session.
    fn bind(&mut self, now_ms: u64, conn: ConnId, session: SessionId, connect: &Connect<'_>) {
        let terms = self.terms_for(conn, connect);
        let is_mounted = !self.clients.listener(conn).mount_point.is_empty();
        let clients = &mut self.clients;
        let entry = &mut clients.peers.conns[conn.index()];
        entry.establish(tick(now_ms), session, &terms);
        let party = match user_name(connect).filter(|_| !terms.is_anonymous) {
            Some(user) => party_of_user(user),
            None => party_of_address(entry.peer().address.ip()),
        };
        if let Some(aliases) = &entry.aliases {
            let lease = &mut clients.memory.lease;
            lease.force(Account::Connections, aliases.memory() as u64);
            clients.out.keep_aliases(conn);
        }
        clients.memory.shares.join(session, party);
        let is_private = terms.packet_bytes_max != u32::MAX
            || terms.alias_max > 0
            || terms.policy == Some(SlowPolicy::Latest)
            || is_mounted;
        self.take_session(now_ms, conn, session, connect, is_private);
        self.clients.arm_silence(now_ms, conn);
        self.begin_session(conn, session, connect, terms.policy);
        let listener = self.clients.listener(conn).name.clone();
        let user = self.clients.peers.particulars.user_name(conn);
        self.clients.sessions.identify(session, user, &listener);
        let counters = &mut self.clients.desk.counters;
        counters.clients_disconnected -= 1;
        counters.clients_connected += 1;
        *counters.clients_by(connect.version) += 1;
        counters.connects_accepted += 1;
        counters.clients_maximum = counters.clients_maximum.max(counters.clients_connected);
    }

    /// The session is this connection's from here on.
    fn take_session(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        session: SessionId,
        connect: &Connect<'_>,
        is_private: bool,
    ) {
        let queue = self.clients.sessions.queue(session);
        let is_replaying = queue.is_some_and(|queue| queue.holds_qos0());
        let listener = Some(self.clients.peers.conns[conn.index()].listener());
        let user = user_name(connect);
        let joined = self.clients.sessions.guard(session, listener, user);
        if joined.has_changed {
            self.clients.doubt(session);
        }
        let flags = (u8::from(connect.version == Version::V5) * HOT_V5)
            | (u8::from(joined.is_guarded) * HOT_GUARDED)
            | (u8::from(is_private) * HOT_PRIVATE)
            | (u8::from(is_replaying) * HOT_QOS0_WAITS);
        self.clients.sessions.join(now_ms, session, conn, flags);
    }

    /// Expiry and will are those of this CONNECT.
    fn begin_session(
        &mut self,
        conn: ConnId,
        session: SessionId,
        connect: &Connect<'_>,
        policy: Option<SlowPolicy>,
    ) {
        let entry = self.clients.sessions.get(session);
        let serial = entry.map_or(0, |entry| entry.serial());
        let will = self.will_of(conn, connect, serial);
        self.clients.change_session(session, |entry| {
            entry.set_expiry(connect.session_expiry_s());
            entry.set_policy(policy);
            entry.set_will(will);
        });
        self.clients
            .sessions
            .charge(session, &mut self.clients.memory.lease);
    }

    fn connack(
        &mut self,
        conn: ConnId,
        connect: &Connect<'_>,
        session_present: bool,
        assigned: Option<&str>,
    ) {
        let listener = self.clients.listener(conn);
        let settings = &self.clients.desk.settings;
        let keep_alive = self.clients.peers.conns[conn.index()].keep_alive_s();
        let receive_maximum = self.clients.inbound_max();
        let max_packet_size = self.clients.packet_bytes_max();
        let connack = ConnackOut {
            session_present,
            reason: ReasonCode::SUCCESS,
            assigned_client_id: assigned,
            server_keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
            receive_maximum: (receive_maximum != u16::MAX).then_some(receive_maximum),
            maximum_qos: Some(listener.maximum_qos()).filter(|&max| max < QoS::ExactlyOnce),
            retain_available: (!settings.retain_available).then_some(false),
            maximum_packet_size: (max_packet_size < crate::limits::PACKET_BYTES_MAX)
                .then_some(max_packet_size),
            topic_alias_maximum: (listener.max_topic_alias > 0).then_some(listener.max_topic_alias),
            ..ConnackOut::default()
        };
        let mut bytes = Vec::new();
        connack.encode(connect.version, &mut bytes);
        self.clients
            .tell_answer(conn, Answer::Connack { session_present });
        self.hold_connack(conn);
        self.clients
            .reply(conn, |out| out.extend_from_slice(&bytes));
    }

    fn log_admission(&mut self, now_ms: u64, conn: ConnId, connect: &Connect<'_>) {
        let settings = &self.clients.desk.settings;
        let is_wanted = settings.connection_messages && settings.log.has(LogKind::Notice);
        if !is_wanted || !self.clients.may_tell(now_ms, conn, Doing::Entering) {
            return;
        }
        let address = PeerName(self.clients.peers.conns[conn.index()].peer().address);
        let version = connect.version as u8;
        let (clean, keep_alive) = (u8::from(connect.clean_start), connect.keep_alive);
        let user = user_name(connect).map(|user| format!(", u'{}'", Name(user)));
        let user = user.unwrap_or_default();
        let what = self.clients.peers.conns[conn.index()].role().name();
        self.clients.log_client(LogKind::Notice, conn, |client| {
            format!(
                "New {what} connected from {address} as {client} (p{version}, c{clean}, k{keep_alive}{user})."
            )
        });
    }
}

/// Whether a client may come in under the user name that it gives, or without one.
fn check_name(
    listener: &ListenerSettings,
    connect: &Connect<'_>,
    is_certified: bool,
) -> Result<(), ReasonCode> {
    // Without a password file a name alone proves nothing, unless it comes from a certificate.
    let is_named = listener.identity_from_certificate
        || user_name(connect).is_some() && listener.passwords.is_some();
    let lacks_certificate = listener.identity_from_certificate && !is_certified;
    let lacks_id = listener.use_username_as_clientid && connect.username.is_none_or(str::is_empty);
    match lacks_certificate || (!listener.allow_anonymous && !is_named) || lacks_id {
        true => Err(ReasonCode::NOT_AUTHORIZED),
        false => Ok(()),
    }
}

/// Whether a client may have the client identifier that it gives, or leave it to the broker.
fn check_client_id(listener: &ListenerSettings, connect: &Connect<'_>) -> Result<(), ReasonCode> {
    if connect.client_id.is_empty() && !listener.use_username_as_clientid {
        let may_be_empty = connect.version != Version::V31 && listener.allow_zero_length_clientid;
        // MQTT-3.1.3-8 [3.1.1]: without a session that could be found again.
        if !may_be_empty || (connect.version == Version::V311 && !connect.clean_start) {
            return Err(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        }
    }
    let client_id = match listener.use_username_as_clientid {
        true => connect.username.unwrap_or_default(),
        false => connect.client_id,
    };
    match client_id.starts_with(&*listener.clientid_prefix) {
        true => Ok(()),
        false => Err(ReasonCode::NOT_AUTHORIZED), // as Mosquitto
    }
}

/// Whether the broker would publish the will.
fn check_will(
    settings: &Settings,
    listener: &ListenerSettings,
    connect: &Connect<'_>,
) -> Result<(), ReasonCode> {
    let Some(will) = &connect.will else {
        return Ok(());
    };
    if will.qos > listener.maximum_qos() {
        return Err(ReasonCode::QOS_NOT_SUPPORTED); // MQTT-3.2.2-12
    }
    if will.retain && !settings.retain_available {
        return Err(ReasonCode::RETAIN_NOT_SUPPORTED); // MQTT-3.2.2-13
    }
    let topic = listener.mounted(will.topic);
    if !topic::topic_name_valid(&topic) {
        return Err(ReasonCode::TOPIC_NAME_INVALID); // the mount point makes it too long
    }
    let size_limit = settings.message_size_limit as usize;
    if size_limit > 0 && will.payload.len() > size_limit {
        // Before MQTT 5 as Mosquitto: a code that does not say "try again".
        return Err(match connect.version {
            Version::V5 => ReasonCode::PACKET_TOO_LARGE,
            _ => ReasonCode::NOT_AUTHORIZED,
        });
    }
    match settings.quotas.is_too_much(&topic) {
        true => Err(ReasonCode::TOPIC_NAME_INVALID),
        false => Ok(()),
    }
}

/// A CONNECT whose user name comes from a certificate, if there is one.
pub(in crate::broker) fn named<'a>(
    connect: Connect<'a>,
    certified: Option<&'a str>,
) -> Connect<'a> {
    match certified {
        None => connect,
        Some(_) => Connect {
            username: certified,
            password: None,
            ..connect
        },
    }
}

/// The user name; an empty one is none, as in Mosquitto.
pub(in crate::broker) fn user_name<'a>(connect: &Connect<'a>) -> Option<&'a str> {
    connect.username.filter(|user| !user.is_empty())
}

/// In the form of a UUID, as Mosquitto writes it.
fn like_uuid(high: u64, low: u64) -> String {
    let (first, second, third) = (high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF);
    let (fourth, fifth) = (low >> 48, low & 0xFFFF_FFFF_FFFF);
    format!("{first:08X}-{second:04X}-{third:04X}-{fourth:04X}-{fifth:012X}")
}

/// Seconds. Only MQTT 5 can tell a client that it is to be heard of more often (Server Keep Alive); the others keep what they ask
/// for, as in Mosquitto.
fn granted_keep_alive(connect: &Connect<'_>, max: u16) -> u16 {
    let asked = connect.keep_alive;
    // The default bounds nothing.
    let has_max = max > 0 && max < u16::MAX && connect.version == Version::V5;
    match has_max {
        true if asked == 0 || asked > max => max,
        _ => asked,
    }
}
