//! What is refused: a connection with its CONNECT, a topic, a filter. Counted by reason, answered where there is an answer, and
//! told to the log (`peers::refusals`).

use crate::broker::Broker;
use crate::broker::doors::on_connect::{named, user_name};
use crate::broker::effect::CloseHow;
use crate::broker::interest::requested::RequestedFilter;
use crate::broker::lines::{About, Doing};
use crate::broker::outcome::Outcome;
use crate::broker::peers::admission::Admission;
use crate::broker::peers::conn::PeerName;
use crate::broker::peers::refusals::{Id, ended, is_login, words};
use crate::broker::settings::LogKind;
use crate::escape::Name;
use crate::ids::{ConnId, Network};
use crate::limits;
use crate::mqtt::{
    self, AckKind, ConnackOut, Connect, DecodeError, FrameStatus, Packet, Publish, QoS, ReasonCode,
    Version, connect_version_hint,
};

impl Broker {
    /// Refuses a client of which no more is known than its address.
    pub(in crate::broker) fn refuse(&mut self, now_ms: u64, conn: ConnId, reason: ReasonCode) {
        self.refuse_client(now_ms, conn, None, reason);
    }

    /// Refuses what a client asks for with its CONNECT.
    pub(in crate::broker) fn refuse_connect(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        connect: &Connect<'_>,
        reason: ReasonCode,
    ) {
        self.refuse_client(now_ms, conn, Some(connect), reason);
    }

    /// Refuses a client whose CONNECT has waited.
    pub(in crate::broker) fn refuse_admission(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        admission: &Admission,
        reason: ReasonCode,
    ) {
        let frame = mqtt::frame(&admission.packet, limits::CONNECT_BYTES_MAX);
        let packet = match &frame {
            Ok(FrameStatus::Complete(frame)) => {
                mqtt::decode(Version::V5, &admission.packet, frame).ok()
            }
            _ => None,
        };
        match packet {
            Some(Packet::Connect(connect)) => {
                let certified: Option<Box<str>> = self
                    .clients
                    .peers
                    .particulars
                    .certified(conn)
                    .map(Into::into);
                let connect = named(connect, certified.as_deref());
                self.refuse_connect(now_ms, conn, &connect, reason);
            }
            _ => self.refuse(now_ms, conn, reason),
        }
    }

    /// A first packet that cannot be read: answered in the form of the version that it claims.
    pub(in crate::broker) fn refuse_bad_connect(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        packet: &[u8],
        error: DecodeError,
    ) {
        self.clients.desk.counters.protocol_errors += 1;
        if self.clients.may_tell(now_ms, conn, Doing::Fault) {
            self.clients
                .log_client(LogKind::Information, conn, |client| {
                    format!("Protocol error from {client}: {error}.")
                });
        }
        let is_connect = packet.first().is_some_and(|first| first >> 4 == 1);
        let unsupported = error.reason() == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION;
        match connect_version_hint(packet) {
            Some(version) if is_connect && (version == Version::V5 || unsupported) => {
                self.clients.peers.conns[conn.index()].speaks(version);
                self.refuse(now_ms, conn, error.reason());
            }
            // MQTT-3.1.2-1 [3.1.1]: anything else is just closed.
            _ => {
                self.tell_of_refusal(now_ms, conn, None, error.reason());
                self.shut(now_ms, conn, CloseHow::Now);
            }
        }
    }

    /// CONNACK with a reason why not, and the end.
    fn refuse_client(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        connect: Option<&Connect<'_>>,
        reason: ReasonCode,
    ) {
        self.tell_of_refusal(now_ms, conn, connect, reason);
        self.clients.show_refused(now_ms, conn);
        let version = self.clients.peers.conns[conn.index()].version();
        self.clients.reply(conn, |out| {
            ConnackOut {
                reason,
                ..ConnackOut::default()
            }
            .encode(version, out)
        });
        self.clients.flush_replies_to(conn);
        self.shut(now_ms, conn, CloseHow::Flush);
    }

    /// Counts a refusal and writes its line: at once, or as a number when the while is over.
    fn tell_of_refusal(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        connect: Option<&Connect<'_>>,
        reason: ReasonCode,
    ) {
        self.count_refusal(reason);
        self.clients.desk.tell_left_out(now_ms);
        let is_login = is_login(reason);
        let desk = &self.clients.desk;
        let (wanted, kind) = match is_login {
            true => (desk.settings.log, desk.login_kind()),
            false => (desk.settings.log, LogKind::Notice),
        };
        let is_told = wanted.has(kind) || (is_login && wanted.has(LogKind::Information));
        let about = About::Refusal(Network::of(self.address(conn)));
        if !is_told || !self.clients.desk.lines.admit(about) {
            return;
        }
        let id = connect.map_or("", |connect| connect.client_id);
        let address = PeerName(self.clients.peers.conns[conn.index()].peer().address);
        if let Some(connect) = connect.filter(|_| is_login) {
            let problem = self.login_problem(conn, connect);
            let user = user_name(connect).map(|user| format!(" of u'{}'", Name(user)));
            let user = user.unwrap_or_default();
            self.clients.desk.log(LogKind::Information, || {
                format!(
                    "Login{user} from {address} as {} refused: {problem}.",
                    Id(id)
                )
            });
        }
        let problem = connect.and_then(|connect| self.topic_problem(conn, connect, reason));
        let why = problem.map_or_else(
            || words(reason),
            |problem| format!("{}: {problem}", words(reason)),
        );
        self.clients.desk.log(kind, || ended(id, &address, &why));
    }

    /// What is wrong with the topic of a will that is in order as a packet: which option does not allow it.
    fn topic_problem(
        &self,
        conn: ConnId,
        connect: &Connect<'_>,
        reason: ReasonCode,
    ) -> Option<String> {
        let will = connect.will.as_ref()?;
        if reason != ReasonCode::TOPIC_NAME_INVALID {
            return None;
        }
        let quotas = self.clients.desk.settings.quotas;
        let topic = self.clients.listener(conn).mounted(will.topic);
        let levels = topic.split('/').count();
        let (what, option) = match levels > usize::from(quotas.topic_levels) {
            true => (
                format!("{levels} levels"),
                format!("max_topic_levels allows {}", quotas.topic_levels),
            ),
            false => (
                format!("{} bytes", topic.len()),
                format!("max_topic_length allows {}", quotas.topic_bytes),
            ),
        };
        let topic = Name(&topic);
        Some(format!(
            "the topic of its will, '{topic}', has {what}, and {option}"
        ))
    }

    /// Why a login is not accepted, as far as the log may know; the client is not told.
    fn login_problem(&self, conn: ConnId, connect: &Connect<'_>) -> &'static str {
        let listener = self.clients.listener(conn);
        let is_certified = self.clients.peers.particulars.certified(conn).is_some();
        if listener.is_closed {
            "its listener is closed"
        } else if listener.identity_from_certificate && !is_certified {
            "it has no certificate that names it"
        } else if !connect.client_id.starts_with(&*listener.clientid_prefix) {
            "clientid_prefixes does not allow its client id"
        } else if self.has_too_large_will(connect) {
            "message_size_limit does not allow the size of its will"
        } else if user_name(connect).is_none() {
            "it has no user name"
        } else if connect.password.is_none() {
            "it has no password"
        } else {
            "user name and password do not belong together"
        }
    }

    /// Before MQTT 5 there is no other word for this.
    fn has_too_large_will(&self, connect: &Connect<'_>) -> bool {
        let most = self.clients.desk.settings.message_size_limit as usize;
        let will = connect.will.as_ref();
        most > 0 && will.is_some_and(|will| will.payload.len() > most)
    }

    fn count_refusal(&mut self, reason: ReasonCode) {
        let counters = &mut self.clients.desk.counters;
        counters.connects_refused += 1;
        let by_reason = match reason {
            reason if is_login(reason) => &mut counters.connects_refused_login,
            ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => &mut counters.connects_refused_version,
            ReasonCode::CLIENT_IDENTIFIER_NOT_VALID => &mut counters.connects_refused_client_id,
            ReasonCode::MALFORMED_PACKET | ReasonCode::PROTOCOL_ERROR => {
                &mut counters.connects_refused_malformed
            }
            ReasonCode::QUOTA_EXCEEDED
            | ReasonCode::SERVER_BUSY
            | ReasonCode::CONNECTION_RATE_EXCEEDED => &mut counters.connects_refused_busy,
            _ => &mut counters.connects_refused_other,
        };
        *by_reason += 1;
    }

    /// Whether nobody has vouched for who this client is.
    pub(in crate::broker) fn is_anonymous(&self, conn: ConnId, connect: &Connect<'_>) -> bool {
        let is_certified = self.clients.peers.particulars.certified(conn).is_some();
        let has_password = self.clients.listener(conn).passwords.is_some();
        !is_certified && (user_name(connect).is_none() || !has_password)
    }

    /// Answers a PUBLISH to a topic that is longer or deeper than allowed. MQTT 5 has a reason for that in PUBACK and
    /// PUBREC; where there is no such answer, the connection ends, as it does in Mosquitto. (MQTT 5, 3.4.2.1.)
    #[cold]
    pub(in crate::broker) fn refuse_topic(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Outcome {
        self.clients.desk.counters.topics_refused += 1;
        self.clients.log_refusal(now_ms, conn, |client| {
            format!("{client} may not publish to a topic of that length or depth.")
        });
        let is_v5 = self.clients.peers.conns[conn.index()].version() == Version::V5;
        let reason = ReasonCode::TOPIC_NAME_INVALID;
        self.clients
            .show_refused_publish(now_ms, conn, (publish, topic), reason);
        match publish.packet_id.filter(|_| is_v5) {
            None => return Outcome::End(reason),
            Some(id) if publish.qos == QoS::AtLeastOnce => {
                self.acknowledge(conn, AckKind::Puback, id, reason);
            }
            Some(id) => self.acknowledge(conn, AckKind::Pubrec, id, reason),
        }
        Outcome::Done
    }

    /// Why a client may not subscribe to this filter, by its form.
    pub(in crate::broker) fn refuses_filter(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        requested: &RequestedFilter<'_>,
    ) -> Option<ReasonCode> {
        let quotas = self.clients.desk.settings.quotas;
        let inner = requested.inner();
        let reason = if quotas.is_too_much(inner) {
            ReasonCode::TOPIC_FILTER_INVALID
        } else if self.clients.peers.conns[conn.index()].is_anonymous() && quotas.is_too_wide(inner)
        {
            ReasonCode::NOT_AUTHORIZED
        } else {
            return None;
        };
        self.note_refused_subscription(now_ms, conn, requested, reason);
        Some(reason)
    }

    /// A subscription is refused, for this reason.
    #[cold]
    pub(in crate::broker) fn note_refused_subscription(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        requested: &RequestedFilter<'_>,
        reason: ReasonCode,
    ) {
        self.clients.desk.counters.subscriptions_refused += 1;
        let shown = limits::LOGGED_FILTER_CHARS;
        let filter: String = requested.text().chars().take(shown).collect();
        self.clients.log_refusal(now_ms, conn, |client| {
            let reason = reason.name();
            let filter = Name(&filter);
            format!("{client} may not subscribe to '{filter}': {reason}.")
        });
    }
}
