//! What is free of each account: the one place that shards share.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::{Account, Plan, Rung};
use crate::limits;

/// One account. On a line of its own, because shards write to different ones at the same time.
#[repr(align(128))]
struct Place {
    limit: AtomicU64,
    /// Below zero when more was forced than there was.
    free: AtomicI64,
}

/// See the module. Shared by all shards and the control thread.
pub struct Pool {
    places: [Place; Account::COUNT],
    total: AtomicU64,
    rung: AtomicU8,
    /// Thousandths of the limit that are used.
    level: AtomicU32,
    /// Sessions of all shards.
    sessions: AtomicU32,
    /// The least that is leased at once.
    pieces: [i64; Account::COUNT],
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} bytes)", self.total())
    }
}

impl Pool {
    /// Everything is free.
    pub fn new(plan: &Plan, shards: u8) -> Pool {
        let piece = |account| {
            let share = plan.limit(account) / (16 * u64::from(shards.max(1)));
            share.clamp(limits::LEASE_BYTES_MIN, limits::LEASE_BYTES_MAX) as i64
        };
        Pool {
            places: Account::ALL.map(|account| Place {
                limit: AtomicU64::new(plan.limit(account)),
                free: AtomicI64::new(plan.limit(account) as i64),
            }),
            total: AtomicU64::new(plan.total),
            rung: AtomicU8::new(Rung::Calm as u8),
            level: AtomicU32::new(0),
            sessions: AtomicU32::new(0),
            pieces: Account::ALL.map(piece),
        }
    }

    /// Goes by another plan from here on; what is held stays held.
    pub fn set_plan(&self, plan: &Plan) {
        self.total.store(plan.total, Ordering::Relaxed);
        for (place, account) in self.places.iter().zip(Account::ALL) {
            let limit = plan.limit(account);
            let before = place.limit.swap(limit, Ordering::Relaxed);
            place
                .free
                .fetch_add(limit as i64 - before as i64, Ordering::Relaxed);
        }
    }

    /// Bytes of all accounts together.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes that an account may hold.
    pub fn limit(&self, account: Account) -> u64 {
        self.places[account as usize].limit.load(Ordering::Relaxed)
    }

    /// Bytes of an account that are leased to nobody; below zero when more was forced than there was.
    pub fn free(&self, account: Account) -> i64 {
        self.places[account as usize].free.load(Ordering::Relaxed)
    }

    /// Bytes of an account that are leased: what is held, and at most some pieces for each shard more.
    pub fn leased(&self, account: Account) -> u64 {
        let leased = self.limit(account) as i64 - self.free(account);
        u64::try_from(leased).unwrap_or(0)
    }

    /// The step of the ladder that the process stands on.
    #[inline]
    pub fn rung(&self) -> Rung {
        Rung::from_number(self.rung.load(Ordering::Relaxed))
    }

    /// Sets it. The control thread does.
    pub fn set_rung(&self, rung: Rung) {
        self.rung.store(rung as u8, Ordering::Relaxed);
    }

    /// Thousandths of the limit that are used, as last measured: a step of the ladder is stood on a while longer than
    /// there is need for what it does.
    pub fn level(&self) -> u64 {
        self.level.load(Ordering::Relaxed).into()
    }

    /// Sets it. The control thread does.
    pub fn set_level(&self, permille: u64) {
        let permille = u32::try_from(permille).unwrap_or(u32::MAX);
        self.level.store(permille, Ordering::Relaxed);
    }

    /// Counts one session more, if there are fewer than `max` on all shards; 0 is no bound.
    pub(super) fn enter(&self, max: u32) -> bool {
        let enter = |sessions: u32| (max == 0 || sessions < max).then(|| sessions.wrapping_add(1));
        self.sessions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter)
            .is_ok()
    }

    /// Counts one session less.
    pub(super) fn leave(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// The least that is leased of an account at once.
    pub(super) fn piece(&self, account: Account) -> i64 {
        self.pieces[account as usize]
    }

    /// Leases so much, if it is there.
    pub(super) fn take(&self, account: Account, bytes: i64) -> bool {
        let free = &self.places[account as usize].free;
        let take = |free: i64| (free >= bytes).then(|| free - bytes);
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Leases so much, if it is there and so much beside. For what is no shard's; a shard has a lease.
    pub(super) fn take_beside(&self, account: Account, bytes: u64, spare: u64) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let least = bytes.saturating_add(i64::try_from(spare).unwrap_or(i64::MAX));
        let free = &self.places[account as usize].free;
        let take = |free: i64| (free >= least).then(|| free - bytes);
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Leases so much, whether it is there or not. For what is no shard's; a shard has a lease.
    pub fn force(&self, account: Account, bytes: i64) {
        self.places[account as usize]
            .free
            .fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes back what was leased.
    pub fn give(&self, account: Account, bytes: i64) {
        self.places[account as usize]
            .free
            .fetch_add(bytes, Ordering::Relaxed);
    }
}
