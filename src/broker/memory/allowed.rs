//! What of the memory and of a turn this shard may use.

use crate::broker::memory::shares::Shares;
use crate::broker::memory::turn::Turn;
use crate::budget::{Account, Lease, Party, Rung};
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

impl Allowed {
    /// Bytes of an account that are left to those who hold less than a share; ever more as memory becomes short.
    pub fn reserve(&self, account: Account) -> u64 {
        let limit = self.lease.pool().limit(account);
        match self.lease.rung() {
            Rung::Shrink | Rung::Refuse | Rung::Slow if account == Account::Backlog => limit / 4,
            Rung::Drop | Rung::Shed if account == Account::Backlog => limit / 2,
            _ => limit / limits::SHARES_RESERVE_DIVISOR,
        }
    }

    /// Whether so many bytes more leave the reserve of an account untouched.
    #[inline]
    pub fn is_within(&self, account: Account, wanted: u64) -> bool {
        self.lease.has_room(account, wanted + self.reserve(account))
    }

    /// Whether a holder of a party that has `held` bytes, of which so many are not there yet, may go on before others have given
    /// way: who holds less than its share until the account is overdrawn by half, and until it is by the reserve who holds more
    /// than that only of what this shard sees.
    pub fn may_go_beyond(&self, account: Account, party: Party, held: u64, wanted: u64) -> bool {
        let divisor = match self.shares.has_above(account, party, held) {
            true => limits::SHARES_RESERVE_DIVISOR,
            false => limits::SHARES_BEYOND_DIVISOR,
        };
        let beyond = (self.lease.pool().limit(account) / divisor) as i64;
        self.lease.balance(account).saturating_add(beyond) >= wanted as i64
    }
}
