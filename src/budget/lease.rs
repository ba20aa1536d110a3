//! A shard's part of the accounts: what it holds, and what it has leased for that.

use std::sync::Arc;

use super::{Account, Plan, Pool, Rung};
use crate::limits;

/// See the module. What one shard takes another may give back (a message that was kept here first and dropped there
/// last): a lease may hold less than nothing, and the sum over all shards is right.
pub struct Lease {
    pool: Arc<Pool>,
    held: [i64; Account::COUNT],
    leased: [i64; Account::COUNT],
}

impl Lease {
    /// Nothing held, nothing leased.
    pub fn new(pool: Arc<Pool>) -> Lease {
        Lease {
            pool,
            held: [0; Account::COUNT],
            leased: [0; Account::COUNT],
        }
    }

    /// Of a pool without bounds.
    pub fn unbounded() -> Lease {
        Lease::new(Arc::new(Pool::new(&Plan::unbounded(), 1)))
    }

    /// Charges so many bytes more, if the account has room for them; false if not, and then nothing is charged.
    #[inline]
    pub fn take(&mut self, account: Account, bytes: u64) -> bool {
        let held = self.held[account as usize] + bytes as i64;
        if held <= self.leased[account as usize] || self.lease(account, held) {
            self.held[account as usize] = held;
            return true;
        }
        false
    }

    /// Charges so many bytes more that are there already: whether there was room or not.
    #[inline]
    pub fn force(&mut self, account: Account, bytes: u64) {
        let held = self.held[account as usize] + bytes as i64;
        self.held[account as usize] = held;
        let missing = held - self.leased[account as usize];
        if missing > 0 && !self.lease(account, held) {
            self.pool.force(account, missing);
            self.leased[account as usize] += missing;
        }
    }

    /// Counts a session that is to be, unless all shards together have `max` of them; 0 is no bound.
    #[must_use = "a session that is not counted must not be"]
    pub fn enter(&self, max: u32) -> bool {
        self.pool.enter(max)
    }

    /// A session that was counted is no more.
    pub fn leave(&self) {
        self.pool.leave();
    }

    /// So many bytes are no longer held.
    #[inline]
    pub fn give(&mut self, account: Account, bytes: u64) {
        let held = self.held[account as usize] - bytes as i64;
        self.held[account as usize] = held;
        let piece = self.pool.piece(account);
        let spare = self.leased[account as usize] - held;
        if spare > 2 * piece {
            self.leased[account as usize] -= spare - piece;
            self.pool.give(account, spare - piece);
        }
    }

    /// Says what is held now of an account that is told by its level.
    #[inline]
    pub fn set(&mut self, account: Account, level: u64) {
        let held = self.held[account as usize];
        match level as i64 - held {
            0 => {}
            more @ 1.. => self.force(account, more as u64),
            less => self.give(account, less.unsigned_abs()),
        }
    }

    /// What takes memory of an account has changed its size.
    #[inline]
    pub fn change(&mut self, account: Account, before: usize, after: usize) {
        if after > before {
            self.force(account, (after - before) as u64);
        } else if after < before {
            self.give(account, (before - after) as u64);
        }
    }

    /// Whether an account has room for so many bytes more.
    #[inline]
    pub fn has_room(&self, account: Account, bytes: u64) -> bool {
        self.room(account) >= bytes
    }

    /// Bytes that an account has room for: leased here, or free.
    #[inline]
    pub fn room(&self, account: Account) -> u64 {
        u64::try_from(self.balance(account)).unwrap_or(0)
    }

    /// The same; below zero by what is held beyond the account.
    #[inline]
    pub fn balance(&self, account: Account) -> i64 {
        let spare = self.leased[account as usize] - self.held[account as usize];
        self.pool.free(account).saturating_add(spare)
    }

    /// Bytes that one holder may have of an account now: a share of what is free, so that the bound falls for all as the
    /// account fills, and the heaviest meet it first. After Choudhury and Hahne, "Dynamic queue length thresholds for
    /// shared-memory packet switches" (1998).
    #[inline]
    pub fn threshold(&self, account: Account) -> u64 {
        self.room(account) / limits::THRESHOLD_DIVISOR
    }

    /// Bytes that this shard holds of an account; below zero where it has given back what another one took.
    pub fn held(&self, account: Account) -> i64 {
        self.held[account as usize]
    }

    /// The step of the ladder that the process stands on.
    #[inline]
    pub fn rung(&self) -> Rung {
        self.pool.rung()
    }

    /// The pool that it leases from.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Leases what is missing to hold so much: a piece, or just that where no piece is left.
    #[cold]
    fn lease(&mut self, account: Account, held: i64) -> bool {
        let missing = held - self.leased[account as usize];
        let piece = missing.max(self.pool.piece(account));
        for bytes in [piece, missing] {
            if self.pool.take(account, bytes) {
                self.leased[account as usize] += bytes;
                return true;
            }
        }
        false
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        for account in Account::ALL {
            self.pool.give(account, self.leased[account as usize]);
        }
    }
}
