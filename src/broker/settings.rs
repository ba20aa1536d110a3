//! The configuration as the sans-io half sees it: typed, validated, immutable, shared by all shards.

use std::borrow::Cow;
use std::sync::Arc;

use crate::access::{Acl, Passwords};
use crate::limits;
use crate::mqtt::QoS;
use crate::mqtt::author::ListenerName;
use crate::session::{EXPIRY_NEVER, SlowPolicy};

/// What the protocol and the policies need to know of the configuration. Names as in mosquitto.conf(5).
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// One per configured listener; `Peer::listener` is an index into it.
    pub listeners: Vec<ListenerSettings>,
    /// In flight messages with QoS above 0 per client, each direction; 0 means 65,535.
    pub max_inflight_messages: u16,
    /// Payload bytes in flight per client; 0 means no bound.
    pub max_inflight_bytes: u64,
    /// Messages with QoS above 0 queued per client above those in flight; 0 means no bound but the built-in one.
    pub max_queued_messages: u32,
    /// Payload bytes queued per client above those in flight; 0 means no bound but the built-in one.
    pub max_queued_bytes: u64,
    /// Whether QoS 0 messages are queued for a session that is away.
    pub queue_qos0_messages: bool,
    /// Bytes of the largest packet that is accepted; `limits::PACKET_BYTES_MAX` when the option is 0 or absent.
    pub max_packet_size: u32,
    /// Bytes of the largest PUBLISH payload that is accepted; 0 means no bound but the packet's.
    pub message_size_limit: u32,
    /// Seconds: the greatest keep alive that is granted to a client of MQTT 5; 0 allows clients without keep alive.
    pub max_keepalive: u16,
    /// Whether retained messages are kept.
    pub retain_available: bool,
    /// Seconds after which a session that is away and has no end of its own (3.1, 3.1.1 with clean session 0, or
    /// 0xFFFFFFFF) ends; `None`: never.
    pub persistent_client_expiration: Option<u64>,
    /// Minutes within which every retained message that has expired is found and given up; 0: when there is time.
    pub retain_expiry_min: u32,
    /// Whether who has stored a retained message must have the right to write when it is delivered.
    pub check_retain_source: bool,
    /// Whether overlapping subscriptions of one client each get their copy.
    pub allow_duplicate_messages: bool,
    /// Whether messages are delivered with the QoS of the subscription even when published with a lower one.
    pub upgrade_outgoing_qos: bool,
    /// What clients may ask for.
    pub quotas: Quotas,
    /// Seconds between updates of `$SYS`; 0 turns them off.
    pub sys_interval: u32,
    /// Which log lines are wanted; the others are not even formatted.
    pub log: LogMask,
    /// Whether connections that come and go are logged.
    pub connection_messages: bool,
}

/// What clients may ask for. But for their number Mosquitto has no such bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Subscriptions, shared ones among them; 0 means no bound but the built-in ones.
    pub subscriptions: u32,
    /// Levels of a topic name or filter. Of names with the listener's mount point, of filters without `$share/NAME/`.
    pub topic_levels: u16,
    /// Their bytes.
    pub topic_bytes: u16,
    /// Levels that the filters of a client without a user name have in front of their first wildcard; 0 for no rule.
    pub wildcard_depth: u16,
    /// PUBLISH packets a second; 0 for no bound.
    pub publish_rate: u32,
    /// Sessions of the whole broker, of clients that are there and of those that are away; 0 for no bound.
    pub clients: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas {
            subscriptions: 0,
            topic_levels: limits::TOPIC_LEVELS_MAX as u16,
            topic_bytes: u16::MAX,
            wildcard_depth: 0,
            publish_rate: 0,
            clients: 0,
        }
    }
}

impl Quotas {
    /// Whether a topic name or filter is longer or has more levels than allowed. A short one, as nearly all are, is
    /// not looked at: each level but the last takes a byte.
    #[inline]
    pub fn is_too_much(&self, topic: &str) -> bool {
        topic.len() >= usize::from(self.topic_levels.min(self.topic_bytes)) && self.is_over(topic)
    }

    #[cold]
    fn is_over(&self, topic: &str) -> bool {
        let separators = || topic.bytes().filter(|&byte| byte == b'/').count();
        topic.len() > usize::from(self.topic_bytes)
            || separators() >= usize::from(self.topic_levels)
    }

    /// Whether a filter has a wildcard too close to its start. `$SYS` is small, and for everybody to see.
    pub fn is_too_wide(&self, filter: &str) -> bool {
        let levels = || filter.split('/').take(usize::from(self.wildcard_depth));
        !filter.starts_with("$SYS/") && levels().any(|level| level == "+" || level == "#")
    }
}

/// What one listener grants to its clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSettings {
    /// Where it listens; no two that are open have the same.
    pub name: Arc<ListenerName>,
    /// The port, for log lines.
    pub port: u16,
    /// Whether clients without a user name are let in.
    pub allow_anonymous: bool,
    /// Whether a client may leave its client id to the broker.
    pub allow_zero_length_clientid: bool,
    /// What starts the client id that the broker assigns.
    pub auto_id_prefix: String,
    /// The greatest QoS that clients may publish with: 0, 1 or 2.
    pub max_qos: u8,
    /// Topic aliases that a client may use towards the broker; 0 turns them off.
    pub max_topic_alias: u16,
    /// Topic aliases that the broker may use towards a client (at most what the client allows); 0 turns them off.
    pub max_topic_alias_broker: u16,
    /// What the client ids of those who are let in start with; empty for any.
    pub clientid_prefix: String,
    /// Put in front of every topic of the listener's clients, and taken off on delivery; empty for none.
    pub mount_point: String,
    /// Whether the user name replaces the client id.
    pub use_username_as_clientid: bool,
    /// Who may use which user name; `None`: everybody any, where clients without one are let in.
    pub passwords: Option<Arc<Passwords>>,
    /// Who may publish and be sent what; `None`: everybody everything. Listeners with the same rules share them.
    pub acl: Option<Arc<Acl>>,
    /// Whether MQTT 3.1, 3.1.1 and 5 are accepted, in this order.
    pub accept_versions: [bool; 3],
    /// Whether user names come from certificates only (`use_identity_as_username`): who has none is refused.
    pub identity_from_certificate: bool,
    /// Whether the listener has been taken away by a reload: nobody comes in by it any more.
    pub is_closed: bool,
    /// What happens to messages for its clients when they are too slow.
    pub slow_policy: Option<SlowPolicy>,
    /// The same, for those who have one of these user names.
    pub slow_policy_of: Vec<(Box<str>, SlowPolicy)>,
    /// Whether an end is announced in the terms of the transport, which takes a moment (WebSocket).
    pub says_goodbye: bool,
    /// What lies together in a TLS record.
    pub records: Records,
}

/// How MQTT packets are put into TLS records (`tls_records`).
///
/// A TLS library decrypts a record whole. A client that waits for its socket, and then reads one packet, does not hear of
/// the others in the same record until more comes: Ruby's `mqtt` is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Records {
    /// As many packets as fit. Also where there is no TLS.
    #[default]
    Full,
    /// One packet a record for clients of MQTT 3.1 and 3.1.1, as many as fit for those of MQTT 5.
    ByVersion,
    /// One packet a record.
    Packet,
}

impl Settings {
    /// Messages with QoS 1 and 2 that may be in flight to or from a client: the option, where 0 is for as many as there can be.
    pub(in crate::broker) fn in_flight_max(&self) -> u16 {
        match self.max_inflight_messages {
            0 => u16::MAX,
            max => max,
        }
    }

    /// When the absence of a client that begins now ends a session with this expiry interval in seconds (MQTT 5, 3.1.2.11.2).
    pub(in crate::broker) fn absence_ends_ms(&self, now_ms: u64, expiry_s: u32) -> u64 {
        match (expiry_s, self.persistent_client_expiration) {
            (EXPIRY_NEVER, Some(longest_s)) => now_ms + longest_s * 1000,
            (EXPIRY_NEVER, None) => u64::MAX,
            (expiry_s, _) => now_ms + u64::from(expiry_s) * 1000,
        }
    }

    /// The number of the listener with this name; of one that is open, if there are several.
    pub fn listener_named(&self, name: &ListenerName) -> Option<u16> {
        let find = |is_closed: bool| {
            let mut listeners = self.listeners.iter();
            listeners
                .position(|listener| listener.is_closed == is_closed && *listener.name == *name)
        };
        find(false).or_else(|| find(true)).map(|index| index as u16)
    }
}

impl ListenerSettings {
    /// What its clients call by this name, a topic name or a filter: with the mount point in front.
    pub fn mounted<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.mount_point.is_empty() {
            true => Cow::Borrowed(name),
            false => Cow::Owned(format!("{}{name}", self.mount_point)),
        }
    }

    /// The inverse of `mounted`, for a topic name.
    ///
    /// An empty mount point is not compared with: it lies nowhere, and a comparison of no bytes there is a masked load from a
    /// page that is not mapped, which costs 60 ns where the C library uses AVX-512 (perf/2026-11-28-pairs).
    #[inline]
    pub(in crate::broker) fn unmounted<'a>(&self, topic: &'a str) -> &'a str {
        match self.mount_point.is_empty() {
            true => topic,
            false => topic.strip_prefix(&*self.mount_point).unwrap_or(topic),
        }
    }

    /// What happens to messages for a client of this user name when it is too slow; the last line about it counts.
    pub fn slow_policy_for(&self, user: Option<&str>) -> Option<SlowPolicy> {
        let mut named = self.slow_policy_of.iter().rev();
        let own = named.find(|(name, _)| Some(&**name) == user);
        own.map(|(_, policy)| *policy).or(self.slow_policy)
    }
}

/// The kinds of log line, as in mosquitto.conf's `log_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum LogKind {
    Error = 1,
    Warning = 2,
    Notice = 4,
    Information = 8,
    Subscribe = 16,
    Unsubscribe = 32,
    Debug = 64,
    Websockets = 128,
    Internal = 256,
}

/// A set of log kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMask(pub u16);

impl LogMask {
    /// Mosquitto's default: error, warning, notice and information.
    pub const DEFAULT: LogMask = LogMask(1 | 2 | 4 | 8);
    /// Nothing.
    pub const NONE: LogMask = LogMask(0);
    /// Everything (`-v`, `log_type all`).
    pub const ALL: LogMask = LogMask(0x1ff);

    /// These kinds and another one.
    pub const fn with(self, kind: LogKind) -> LogMask {
        LogMask(self.0 | kind as u16)
    }

    /// Whether lines of this kind are wanted.
    #[inline]
    pub fn has(self, kind: LogKind) -> bool {
        self.0 & kind as u16 != 0
    }
}

impl ListenerSettings {
    /// `max_qos`, as its clients are told.
    pub fn maximum_qos(&self) -> QoS {
        QoS::try_from(self.max_qos).unwrap_or(QoS::ExactlyOnce)
    }
}

impl Default for ListenerSettings {
    fn default() -> Self {
        ListenerSettings {
            name: Arc::default(),
            port: 1883,
            allow_anonymous: true,
            allow_zero_length_clientid: true,
            auto_id_prefix: "auto-".into(),
            max_qos: 2,
            max_topic_alias: 10,
            max_topic_alias_broker: 10,
            clientid_prefix: String::new(),
            mount_point: String::new(),
            slow_policy: None,
            slow_policy_of: Vec::new(),
            use_username_as_clientid: false,
            passwords: None,
            acl: None,
            accept_versions: [true; 3],
            identity_from_certificate: false,
            is_closed: false,
            says_goodbye: false,
            records: Records::default(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listeners: vec![ListenerSettings::default()],
            max_inflight_messages: 20,
            max_inflight_bytes: 0,
            max_queued_messages: 1000,
            max_queued_bytes: 0,
            queue_qos0_messages: false,
            max_packet_size: crate::limits::PACKET_BYTES_MAX,
            message_size_limit: 0,
            max_keepalive: 65535,
            retain_available: true,
            retain_expiry_min: 0,
            persistent_client_expiration: None,
            check_retain_source: false,
            allow_duplicate_messages: true,
            upgrade_outgoing_qos: false,
            quotas: Quotas::default(),
            sys_interval: 10,
            log: LogMask::DEFAULT,
            connection_messages: true,
        }
    }
}
