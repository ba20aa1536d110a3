//! What is known of one connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::broker::peers::partial::Partial;
use crate::broker::peers::peer::Peer;
use crate::broker::peers::state::{Stage, State};
use crate::ids::NONE;
use crate::mqtt::Version;
use crate::session::{Aliases, SlowPolicy};

/// A connection.
pub struct Conn {
    /// The start of a packet. In a box, because a connection without one should be small.
    pub partial: Option<Box<Partial>>,
    /// Topic aliases of both directions; absent while there are none.
    pub aliases: Option<Box<Aliases>>,
    /// Bytes of the largest packet that the client takes.
    pub packet_bytes_max: u32,
    pub session: u32,
    /// Tick of the last packet, or of the accept while connecting, or of the close.
    pub active_at: u32,
    /// The live deadline in the heap, in ticks; 0 for none.
    pub timer_at: u32,
    /// An IPv4 address as IPv6 maps it; real ones of that form are told as IPv4 when they are accepted.
    address: [u8; 16],
    port: u16,
    pub listener: u16,
    /// Seconds; 0 for none.
    pub keep_alive_s: u16,
    /// Messages with QoS above 0 that may be in flight to it.
    pub in_flight_max: u16,
    pub version: Version,
    pub state: State,
    /// What happens when it is too slow.
    pub policy: Option<SlowPolicy>,
    /// Whether nobody has vouched for who it is.
    pub is_anonymous: bool,
    /// Whether it wants reason strings and user properties with its answers (MQTT 5, 3.1.2.11.7).
    pub wants_problems: bool,
}

impl Conn {
    pub fn free() -> Self {
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
            is_anonymous: true,
            wants_problems: true,
        }
    }

    /// Where it stands.
    #[inline]
    pub fn stage(&self) -> Stage {
        self.state.stage()
    }

    /// Whether CONNECT was accepted, and nothing has ended it since.
    #[inline]
    pub fn is_established(&self) -> bool {
        self.state.is_established()
    }

    /// Who it is.
    pub fn peer(&self) -> Peer {
        let ip = IpAddr::from(self.address).to_canonical();
        Peer {
            address: SocketAddr::new(ip, self.port),
            listener: self.listener,
        }
    }

    pub fn set_peer(&mut self, peer: Peer) {
        self.address = match peer.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        self.port = peer.address.port();
        self.listener = peer.listener;
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
