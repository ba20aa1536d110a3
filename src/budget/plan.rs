//! How the limit on memory is split: what is fixed first, the rest by shares.

use super::Account;
use crate::limits;

/// What the split depends on, besides the limit.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Shards of the process.
    pub shards: u8,
    /// Bytes of receive buffers, rings and arenas of one shard; lines of the log that wait come on top.
    pub shard_bytes: u64,
    /// Bytes of the mesh's rings, over all shards.
    pub mesh_bytes: u64,
    /// Whether anything is kept on the disk.
    pub has_journal: bool,
    /// Whether anybody can ask over HTTP.
    pub has_http: bool,
    /// Accounts that somebody has given a size.
    pub sizes: [Option<u64>; Account::COUNT],
}

impl Wishes {
    /// Shards that have others to send to.
    fn meshed(&self) -> u64 {
        match self.shards {
            1 => 0,
            shards => u64::from(shards),
        }
    }

    /// Bytes of an account that shares what is left, at least.
    fn least(&self, account: Account) -> u64 {
        let bytes = match account {
            // Each shard has one segment in hand and may need another before that is free.
            Account::Outbound => 2 * limits::SEGMENT_BYTES as u64 * u64::from(self.shards),
            Account::Journal => {
                limits::JOURNAL_ACCOUNT_BYTES_MIN
                    + limits::JOURNAL_ACCOUNT_SHARD_BYTES_MIN * u64::from(self.shards)
            }
            _ => 0,
        };
        bytes.max(limits::BUDGET_ACCOUNT_BYTES_MIN)
    }

    /// Whether an account has a share of what is left.
    fn shares(&self, account: Account) -> bool {
        self.sizes[account as usize].is_none() && self.has(account)
    }

    /// Whether there is anything that an account is for.
    fn has(&self, account: Account) -> bool {
        match account {
            Account::Journal => self.has_journal,
            Account::Http => self.has_http,
            _ => true,
        }
    }

    /// What accounts have whatever the limit is: those that somebody has given a size, and those that do not grow.
    fn fixed(&self) -> [u64; Account::COUNT] {
        let mut limits = [0; Account::COUNT];
        limits[Account::Program as usize] = limits::PROGRAM_BYTES;
        limits[Account::Buffers as usize] =
            self.shard_bytes * u64::from(self.shards) + limits::LOG_WAITING_BYTES_MAX;
        limits[Account::Mesh as usize] =
            self.mesh_bytes + limits::MESH_WAITING_BYTES_MIN * self.meshed();
        for (limit, size) in limits.iter_mut().zip(self.sizes) {
            // What does not grow does not shrink either.
            *limit = size.unwrap_or(*limit).max(*limit);
        }
        for account in Account::ALL {
            if !self.has(account) {
                limits[account as usize] = 0;
            }
        }
        limits
    }
}

/// The limit, and what each account may hold of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of all accounts together.
    pub total: u64,
    limits: [u64; Account::COUNT],
}

/// Thousandths of what is left when the fixed accounts are served.
const SHARES: [(Account, u64); 10] = [
    (Account::Sockets, limits::BUDGET_SHARE_SOCKETS),
    (Account::Connections, limits::BUDGET_SHARE_CONNECTIONS),
    (Account::Transports, limits::BUDGET_SHARE_TRANSPORTS),
    (Account::Packets, limits::BUDGET_SHARE_PACKETS),
    (Account::Outbound, limits::BUDGET_SHARE_OUTBOUND),
    (Account::Backlog, limits::BUDGET_SHARE_BACKLOG),
    (Account::Subscriptions, limits::BUDGET_SHARE_SUBSCRIPTIONS),
    (Account::Retained, limits::BUDGET_SHARE_RETAINED),
    (Account::Journal, limits::BUDGET_SHARE_JOURNAL),
    (Account::Http, limits::BUDGET_SHARE_HTTP),
];

impl Plan {
    /// Splits a limit. `Err` has the least limit that these wishes need, if this one is below it.
    pub fn split(total: u64, wishes: &Wishes) -> Result<Plan, u64> {
        let mut limits = wishes.fixed();
        let shared: Vec<(Account, u64)> = SHARES
            .into_iter()
            .filter(|(account, _)| wishes.shares(*account))
            .collect();
        let least = |account| wishes.least(account);
        let all = shared.iter().map(|(account, _)| least(*account));
        let needed = limits.into_iter().chain(all).fold(0, u64::saturating_add);
        if total < needed {
            return Err(needed);
        }
        let mut rest = total - needed;
        if wishes.sizes[Account::Mesh as usize].is_none() {
            let span = limits::MESH_WAITING_BYTES_MAX - limits::MESH_WAITING_BYTES_MIN;
            let waiting = (span * wishes.meshed()).min(rest / limits::MESH_SHARE_DIVISOR);
            limits[Account::Mesh as usize] += waiting;
            rest -= waiting;
        }
        let shares: u64 = shared.iter().map(|(_, share)| share).sum();
        for (account, share) in shared {
            limits[account as usize] =
                least(account) + rest / shares * share + rest % shares * share / shares;
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

    /// The same, with another limit for one account.
    #[cfg(test)]
    pub fn with(mut self, account: Account, bytes: u64) -> Plan {
        self.limits[account as usize] = bytes;
        self
    }

    /// Bytes that an account may hold.
    pub fn limit(&self, account: Account) -> u64 {
        self.limits[account as usize]
    }
}
