//! What deliveries go by.

use crate::ids::NONE;

/// What a delivery needs to know of a session, close together for fan-outs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    /// Its connection; `NONE` while the client is away.
    pub conn: u32,
    /// The bits below; 0 is a plain connected 3.x client.
    pub flags: u8,
    /// Questions about retained messages for it that other shards have not answered.
    pub asking: u8,
    /// Counts its connections, so that an answer to one of them is not given to the next.
    pub epoch: u16,
}

impl Hot {
    /// Of a session without a connection.
    pub(crate) const AWAY: Hot = Hot {
        conn: NONE,
        flags: 0,
        asking: 0,
        epoch: 0,
    };
}

/// The client speaks MQTT 5.
pub(crate) const HOT_V5: u8 = 1;
/// It cannot take the common encodings: topic aliases, a packet size limit, a mount point.
pub(crate) const HOT_PRIVATE: u8 = 2;
/// QoS 0 messages have to wait: behind retained ones, or behind others that wait.
pub(crate) const HOT_QOS0_WAITS: u8 = 4;
/// There are rules about what it may be sent; also while the client is away.
pub(crate) const HOT_GUARDED: u8 = 8;
