//! What is known of one connection.

use std::net::{IpAddr, SocketAddr};

use crate::broker::peers::partial::Partial;
use crate::broker::peers::peer::Peer;
use crate::broker::peers::quotas::Reading;
use crate::ids::NONE;
use crate::mqtt::Version;
use crate::session::{Aliases, SlowPolicy};

/// Where a connection stands.
///
/// ```text
///   Free ──accept──▶ Connecting ──CONNECT──▶ (Verifying) ──▶ Established ──┐
///     ▲                  │  └──not at home──▶ Moved  │                     ├──▶ Closing ──closed──▶ Free
///     └──────closed──────┴──────────────────────┴────┴─────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Free,
    /// Accepted; CONNECT has not been received whole.
    Connecting,
    /// CONNECT has come; its password is being checked.
    Verifying,
    /// CONNECT was accepted.
    Established,
    /// The broker has given it up; its last packets may still be on their way.
    Closing,
    /// On its way to another shard.
    Moved,
}

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
    pub stage: Stage,
    /// Whether its packets are handled as they come.
    pub reading: Reading,
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
            stage: Stage::Free,
            reading: Reading::On,
            policy: None,
            is_anonymous: true,
            wants_problems: true,
        }
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
