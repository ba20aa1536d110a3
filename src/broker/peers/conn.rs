//! What is known of one connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::broker::peers::partial::Partial;
use crate::broker::peers::peer::Peer;
use crate::broker::peers::role::Role;
use crate::broker::peers::state::{Stage, State};
use crate::budget::{Account, Lease};
use crate::ids::{NONE, SessionId};
use crate::limits;
use crate::mqtt::Version;
use crate::session::{Aliases, SlowPolicy};

/// A connection.
pub(crate) struct Conn {
    /// The start of a packet. In a box, because a connection without one should be small.
    pub partial: Option<Box<Partial>>,
    /// Topic aliases of both directions; absent while there are none.
    pub aliases: Option<Box<Aliases>>,
    /// Bytes of the largest packet that the client takes.
    packet_bytes_max: u32,
    /// `NONE` for none.
    session: u32,
    /// Tick of the last packet, or of the accept while connecting, or of the close.
    pub active_at: u32,
    /// The live deadline in the heap, in ticks; 0 for none.
    pub timer_at: u32,
    /// An IPv4 address as IPv6 maps it; real ones of that form are told as IPv4 when they are accepted.
    address: [u8; 16],
    port: u16,
    listener: u16,
    keep_alive_s: u16,
    in_flight_max: u16,
    version: Version,
    pub state: State,
    policy: Option<SlowPolicy>,
    role: Role,
    traits: Traits,
}

/// What is so of a connection or not, in one byte.
#[derive(Clone, Copy)]
struct Traits(u8);

impl Traits {
    /// Nobody has vouched for who it is.
    const ANONYMOUS: u8 = 1;
    /// It wants reason strings and user properties with its answers.
    const WANTS_PROBLEMS: u8 = 2;
    /// It asked for a session without a past.
    const CLEAN_START: u8 = 4;
    /// Somebody looks at its packets.
    const TRACED: u8 = 8;

    #[inline]
    fn has(self, one: u8) -> bool {
        self.0 & one != 0
    }

    fn set(&mut self, one: u8, is_so: bool) {
        match is_so {
            true => self.0 |= one,
            false => self.0 &= !one,
        }
    }
}

/// What holds between a client and the broker from CONNECT on: what it has said of itself, and what it is granted.
pub(crate) struct Terms {
    pub version: Version,
    /// What it is to the broker.
    pub role: Role,
    /// Whether nobody has vouched for who it is.
    pub is_anonymous: bool,
    /// What happens when it is too slow.
    pub policy: Option<SlowPolicy>,
    /// Seconds; 0 for none.
    pub keep_alive_s: u16,
    /// Bytes of the largest packet that it takes.
    pub packet_bytes_max: u32,
    /// Messages with QoS above 0 that may be in flight to it.
    pub in_flight_max: u16,
    /// Whether it wants reason strings and user properties with its answers (MQTT 5, 3.1.2.11.7).
    pub wants_problems: bool,
    /// Whether it asked for a session without a past (MQTT 5, 3.1.2.4).
    pub clean_start: bool,
    /// Topic aliases towards it.
    pub alias_max: u16,
}

impl Conn {
    /// CONNECT is accepted at this tick, for this session: what it says, and what is granted, holds.
    pub(crate) fn establish(&mut self, tick: u32, session: SessionId, terms: &Terms) {
        self.state.establish();
        self.session = session.0;
        self.active_at = tick;
        self.version = terms.version;
        self.role = terms.role;
        self.traits.set(Traits::ANONYMOUS, terms.is_anonymous);
        self.policy = terms.policy;
        self.keep_alive_s = terms.keep_alive_s;
        self.packet_bytes_max = terms.packet_bytes_max;
        self.in_flight_max = terms.in_flight_max;
        self.traits
            .set(Traits::WANTS_PROBLEMS, terms.wants_problems);
        self.traits.set(Traits::CLEAN_START, terms.clean_start);
        if terms.alias_max > 0 {
            self.aliases = Some(Box::new(Aliases::new(terms.alias_max)));
        }
    }

    /// The alias by which its client is told a topic, and whether it knows it already; none if none is free, or it wants none.
    #[inline]
    pub(crate) fn alias_of(&mut self, topic: &str, lease: &mut Lease) -> Option<(u16, bool)> {
        let aliases = self.aliases.as_mut()?;
        let before = aliases.memory();
        let alias = aliases.outbound.of(topic);
        lease.change(Account::Connections, before, aliases.memory());
        alias
    }

    /// Its client has not been told the alias of a topic after all.
    pub(crate) fn forget_alias(&mut self, topic: &str, lease: &mut Lease) {
        if let Some(aliases) = &mut self.aliases {
            lease.give(Account::Connections, aliases.forget(topic) as u64);
        }
    }

    /// Its first packet says which version it speaks; what it is answered is in that.
    pub(crate) fn speaks(&mut self, version: Version) {
        self.version = version;
    }

    /// It has no session any more.
    pub(crate) fn part(&mut self) {
        self.session = NONE;
    }

    /// The session, if it has one.
    #[inline]
    pub(crate) fn session(&self) -> Option<SessionId> {
        (self.session != NONE).then_some(SessionId(self.session))
    }

    /// The version that it speaks.
    #[inline]
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// What it is to the broker.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Whether nobody has vouched for who it is.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.traits.has(Traits::ANONYMOUS)
    }

    /// What happens when it is too slow.
    pub(crate) fn policy(&self) -> Option<SlowPolicy> {
        self.policy
    }

    /// Milliseconds that it may be silent (MQTT-3.1.2-22); `None` for as long as it likes.
    pub(crate) fn silence_ms_max(&self) -> Option<u64> {
        let keep_alive_s = u64::from(self.keep_alive_s);
        (keep_alive_s > 0).then_some(keep_alive_s * limits::SILENCE_MS_PER_KEEP_ALIVE_S)
    }

    /// Seconds; 0 for none.
    pub(crate) fn keep_alive_s(&self) -> u16 {
        self.keep_alive_s
    }

    /// Bytes of the largest packet that it takes.
    #[inline]
    pub(crate) fn packet_bytes_max(&self) -> u32 {
        self.packet_bytes_max
    }

    /// Messages with QoS above 0 that may be in flight to it.
    #[inline]
    pub(crate) fn in_flight_max(&self) -> u16 {
        self.in_flight_max
    }

    /// Whether it wants reason strings and user properties with its answers.
    pub(crate) fn wants_problems(&self) -> bool {
        self.traits.has(Traits::WANTS_PROBLEMS)
    }

    /// Whether it asked for a session without a past.
    pub(crate) fn clean_start(&self) -> bool {
        self.traits.has(Traits::CLEAN_START)
    }

    /// The listener that it came in by.
    #[inline]
    pub(crate) fn listener(&self) -> u16 {
        self.listener
    }

    pub(crate) fn free() -> Self {
        Conn {
            partial: None,
            aliases: None,
            packet_bytes_max: u32::MAX,
            session: NONE,
            active_at: 0,
            timer_at: 0,
            address: [0; 16],
            port: 0,
            listener: 0,
            keep_alive_s: 0,
            in_flight_max: u16::MAX,
            version: Version::V311,
            state: State::FREE,
            policy: None,
            role: Role::CLIENT,
            traits: Traits(Traits::ANONYMOUS | Traits::WANTS_PROBLEMS),
        }
    }

    /// Whether somebody looks at its packets.
    #[inline]
    pub(crate) fn is_traced(&self) -> bool {
        self.traits.has(Traits::TRACED)
    }

    /// Somebody does, or does no more.
    pub(crate) fn set_traced(&mut self, is_traced: bool) {
        self.traits.set(Traits::TRACED, is_traced);
    }

    /// Where it stands.
    #[inline]
    pub(crate) fn stage(&self) -> Stage {
        self.state.stage()
    }

    /// Whether CONNECT was accepted, and nothing has ended it since.
    #[inline]
    pub(crate) fn is_established(&self) -> bool {
        self.state.is_established()
    }

    /// Who it is.
    pub(crate) fn peer(&self) -> Peer {
        let ip = IpAddr::from(self.address).to_canonical();
        Peer {
            address: SocketAddr::new(ip, self.port),
            listener: self.listener,
        }
    }

    pub(crate) fn set_peer(&mut self, peer: Peer) {
        self.address = match peer.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        self.port = peer.address.port();
        self.listener = peer.listener;
    }
}

/// A peer's address as the log has it.
pub(crate) struct PeerName(pub SocketAddr);

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.ip().is_unspecified() {
            true => write!(f, "a local socket"),
            false => write!(f, "{}:{}", self.0.ip(), self.0.port()),
        }
    }
}
