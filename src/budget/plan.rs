//! How the limit on memory is split: what is fixed first, the rest by shares.

use super::Account;
use crate::limits;

/// What the split depends on, besides the limit.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Shards of the process.
    pub shards: u8,
    /// Bytes of receive buffers, rings and arenas of one shard.
    pub shard_bytes: u64,
    /// Bytes of the mesh's rings, over all shards.
    pub mesh_bytes: u64,
    /// Accounts that somebody has given a size.
    pub sizes: [Option<u64>; Account::COUNT],
}

/// The limit, and what each account may hold of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of all accounts together.
    pub total: u64,
    limits: [u64; Account::COUNT],
}

/// Thousandths of what is left when the fixed accounts are served.
const SHARES: [(Account, u64); 8] = [
    (Account::Sockets, limits::BUDGET_SHARE_SOCKETS),
    (Account::Connections, limits::BUDGET_SHARE_CONNECTIONS),
    (Account::Transports, limits::BUDGET_SHARE_TRANSPORTS),
    (Account::Packets, limits::BUDGET_SHARE_PACKETS),
    (Account::Outbound, limits::BUDGET_SHARE_OUTBOUND),
    (Account::Backlog, limits::BUDGET_SHARE_BACKLOG),
    (Account::Subscriptions, limits::BUDGET_SHARE_SUBSCRIPTIONS),
    (Account::Retained, limits::BUDGET_SHARE_RETAINED),
];

impl Plan {
    /// Splits a limit. `Err` has the least limit that these wishes need, if this one is below it.
    pub fn split(total: u64, wishes: &Wishes) -> Result<Plan, u64> {
        let mut limits = [0; Account::COUNT];
        let fixed = [
            (Account::Program, limits::PROGRAM_BYTES),
            (
                Account::Buffers,
                wishes.shard_bytes * u64::from(wishes.shards),
            ),
            (
                Account::Mesh,
                wishes.mesh_bytes + limits::MESH_WAITING_BYTES_MAX * u64::from(wishes.shards),
            ),
        ];
        for (account, bytes) in fixed {
            limits[account as usize] = bytes;
        }
        for (limit, size) in limits.iter_mut().zip(wishes.sizes) {
            *limit = size.unwrap_or(*limit);
        }
        let taken: u64 = limits.iter().sum();
        let shared: Vec<(Account, u64)> = SHARES
            .into_iter()
            .filter(|(account, _)| wishes.sizes[*account as usize].is_none())
            .collect();
        let least = taken + shared.len() as u64 * limits::BUDGET_ACCOUNT_BYTES_MIN;
        if total < least {
            return Err(least);
        }
        let shares: u64 = shared.iter().map(|(_, share)| share).sum();
        let rest = total - least;
        for (account, share) in shared {
            limits[account as usize] = limits::BUDGET_ACCOUNT_BYTES_MIN
                + rest / shares * share
                + rest % shares * share / shares;
        }
        Ok(Plan { total, limits })
    }

    /// No bounds, for tests and tools.
    pub fn unbounded() -> Plan {
        Plan {
            total: u64::MAX >> 4,
            limits: [(u64::MAX >> 4) / Account::COUNT as u64; Account::COUNT],
        }
    }

    /// The same limit for every account.
    #[cfg(test)]
    pub fn even(bytes: u64) -> Plan {
        Plan {
            total: bytes * Account::COUNT as u64,
            limits: [bytes; Account::COUNT],
        }
    }

    /// Bytes that an account may hold.
    pub fn limit(&self, account: Account) -> u64 {
        self.limits[account as usize]
    }
}
