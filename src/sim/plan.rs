//! What a world has little room for, by its seed: in some of them messages are dropped all the time, which must never reorder
//! others.

use std::sync::Arc;

use super::rng::Rng;
use crate::broker::{Broker, ListenerSettings, Quotas, Settings};
use crate::budget::{self, Account, Lease, Pool};
use crate::ids::ShardId;
use crate::routing::PageBounds;
use crate::session::SlowPolicy;

/// Bytes of each account: far more than these worlds need.
const POOL_BYTES: u64 = 1 << 30;

/// The same of what waits, where that is short: about what its tables take.
const BACKLOG_BYTES: u64 = 32 << 10;

/// See the module.
#[derive(Clone)]
pub(super) struct Plan {
    pub seed: u64,
    /// Messages that may wait for a session; 0 for no bound.
    queued: u32,
    /// What becomes of those that find no place.
    policy: Option<SlowPolicy>,
    /// Bytes that all that waits may take.
    backlog_bytes: u64,
    /// Whether shards hear of each other late.
    pub slow_mesh: bool,
    /// Whether there are rules, which change.
    pub has_rules: bool,
    /// Whether answers are held until a disk says that what they promise is durable.
    pub has_disk: bool,
    /// How slow that is: one of so many moves makes something durable.
    pub disk_one_in: usize,
    /// Whether everything ends at once now and then, and begins again.
    pub crashes: bool,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let none = [0, 0, 0];
        let queued = [none, [1, 2, 5]][usize::from(seed % 5 < 2)][(seed / 11 % 3) as usize];
        let policies = [
            None,
            None,
            Some(SlowPolicy::DropOldest),
            Some(SlowPolicy::Latest),
        ];
        Plan {
            seed,
            queued,
            policy: policies[(seed / 13 % 4) as usize],
            backlog_bytes: [POOL_BYTES, BACKLOG_BYTES][usize::from(seed % 7 == 3)],
            slow_mesh: seed.is_multiple_of(3),
            has_rules: (seed / 11).is_multiple_of(2),
            has_disk: (seed / 17).is_multiple_of(3),
            disk_one_in: 4,
            crashes: false,
        }
    }

    /// One with crashes: mostly with a disk that takes its time.
    pub(super) fn crashing(seed: u64) -> Self {
        Plan {
            has_disk: !(seed / 17).is_multiple_of(4),
            disk_one_in: [4, 25, 100][(seed / 2 % 3) as usize],
            crashes: true,
            ..Plan::of(seed)
        }
    }

    /// One in which a crash costs much, and nothing else does.
    pub(super) fn losing(seed: u64) -> Self {
        Plan {
            queued: 0,
            policy: None,
            backlog_bytes: POOL_BYTES,
            has_rules: false,
            has_disk: true,
            disk_one_in: 60,
            ..Plan::crashing(seed)
        }
    }

    /// Whether the members of the shared group have sessions that outlive a crash: all of them, and all may read everything. What a
    /// member has after a start is its own, and does not go to another one.
    pub(super) fn has_durable_members(&self) -> bool {
        self.crashes && !self.has_rules && (self.seed / 3).is_multiple_of(2)
    }

    /// Whether there is little room for what waits.
    pub(super) fn is_short(&self) -> bool {
        self.backlog_bytes < POOL_BYTES
    }

    /// Whether messages may find no place.
    pub(super) fn may_drop(&self) -> bool {
        self.queued > 0 || self.policy == Some(SlowPolicy::Latest) || self.may_drop_retained()
    }

    /// Whether retained ones may.
    pub(super) fn may_drop_retained(&self) -> bool {
        self.backlog_bytes < POOL_BYTES
    }

    /// One of these, by the part of the seed that `divisor` leaves.
    fn pick<T: Copy>(&self, divisor: u64, of: &[T]) -> T {
        of[(self.seed / divisor % of.len() as u64) as usize]
    }

    pub(super) fn settings(&self, rng: &mut Rng) -> Settings {
        let listener = ListenerSettings {
            slow_policy: self.policy,
            ..ListenerSettings::default()
        };
        Settings {
            listeners: vec![listener],
            max_inflight_messages: rng.pick(&[0, 1, 3, 20]),
            max_queued_messages: self.queued,
            quotas: Quotas {
                // In some worlds whoever publishes fast has to wait.
                publish_rate: self.pick(1, &[0, 0, 0, 20]),
                ..Quotas::default()
            },
            ..Settings::default()
        }
    }

    pub(super) fn memory(&self) -> budget::Plan {
        budget::Plan::even(POOL_BYTES).with(Account::Backlog, self.backlog_bytes)
    }

    pub(super) fn broker(
        &self,
        shard: u8,
        shards: u8,
        settings: &Arc<Settings>,
        pool: &Arc<Pool>,
    ) -> Broker {
        // In most worlds what is retained is more than a page.
        let page = PageBounds {
            messages: self.pick(3, &[1, 2, 3, 1000]),
            nodes: self.pick(7, &[2, 5, 1000]),
            slots: self.pick(5, &[1, 3]),
        };
        // In some worlds few messages may be under way by owners of topics.
        let (one, all) = self.pick(19, &[(1, 1), (2, 3), (1000, 1000)]);
        Broker::new(settings.clone(), ShardId(shard), shards, self.seed)
            .with_pages(page)
            // In most worlds publishers have to wait for the next turn now and then.
            .with_turns_of(self.pick(2, &[2, 10, 1000]))
            // In most worlds so few share packet identifiers that most messages have such.
            .with_shared_ids_from(self.pick(17, &[1, 2, 8]))
            .with_under_way(one, all)
            // In most worlds the images of a checkpoint take many turns.
            .with_slices_of(self.pick(23, &[1, 200, 1 << 16]))
            .with_lease(Lease::new(pool.clone()))
    }
}
