//! What of the memory and of a turn this shard may use.

use crate::broker::memory::shares::Shares;
use crate::broker::memory::turn::Turn;
use crate::budget::Lease;
use crate::limits;

/// See the module.
pub struct Allowed {
    /// What this shard may hold, and holds, in memory.
    pub lease: Lease,
    /// Bytes that may be pending for a connection: fewer as memory becomes short.
    pub outbound_max: u32,
    /// Up to so many nobody is near a bound of that kind.
    pub outbound_near: u32,
    /// Bytes that one packet may take.
    pub packet_memory: u32,
    /// Who holds what of an account that is short.
    pub shares: Shares,
    /// What the turn may deliver.
    pub turn: Turn,
    /// Whether publishers have to wait, because memory is short.
    pub slows: bool,
}

impl Default for Allowed {
    fn default() -> Self {
        Allowed {
            lease: Lease::unbounded(),
            outbound_max: limits::OUTBOUND_BYTES_MAX,
            outbound_near: limits::OUTBOUND_BYTES_MAX / 4 * 3,
            packet_memory: u32::MAX,
            shares: Shares::default(),
            turn: Turn::default(),
            slows: false,
        }
    }
}
