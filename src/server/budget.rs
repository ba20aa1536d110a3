//! The memory of the process: how much there is, what each account has of it, and what is taken before the first client.
//!
//! Decides the sizes; who holds how much is counted by the leases, and how short memory is by the control thread.

use std::sync::Arc;

use super::{HostError, ServeError, resources};
use crate::budget::{Account, Lease, Plan, Pool, Wishes};
use crate::config::{Config, size_text};
use crate::control::memory::{self, Gift};
use crate::journal::Room;
use crate::limits;
use crate::shard::{self, ShardMessage};
use crate::uring::{Ring, Sizes};

/// How the memory is split.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Budget {
    /// What each account may hold.
    pub plan: Plan,
    /// Slots in the file table of each shard's ring.
    pub descriptors: u32,
    /// Bytes for TLS connections, at most what their account has.
    tls_bytes: u64,
    /// Bytes of buffers and rings of all shards, and of the mesh: taken from the start.
    buffers: u64,
    mesh: u64,
    /// Where the limit comes from, for people.
    origin: String,
    /// The limit that was asked for, where it was too low.
    raised_from: Option<u64>,
}

/// What the split depends on besides the configuration: it stays as it is while the broker runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Shards of the process.
    pub shards: u8,
    /// Whether receives share buffers (Linux 6.15): then there are few.
    pub few_buffers: bool,
    /// Slots in the file table of each ring, once they are decided.
    pub descriptors: Option<u32>,
    /// Whether anything is kept on the disk, once that is decided; before, the configuration says it.
    pub has_journal: Option<bool>,
}

impl Layout {
    /// Before the shards are created.
    pub(crate) fn new(shards: u8) -> Layout {
        let probe = Ring::new(Sizes {
            submissions: 1,
            completions: 2,
            files: 1,
            workers: 1,
        });
        Layout {
            shards,
            few_buffers: probe.is_ok_and(|ring| ring.has_ordered_buffers()),
            descriptors: None,
            has_journal: None,
        }
    }
}

impl Budget {
    /// What a configuration comes to on a host that gives so much.
    ///
    /// # Errors
    /// What the host gives does not suffice for so many shards and the accounts that somebody has given a size. A
    /// memory_limit below that is raised: in Mosquitto it bounds the heap only, and no broker is below any limit there.
    pub(crate) fn new(
        config: &Config,
        layout: Layout,
        given: Option<&Gift>,
    ) -> Result<Budget, ServeError> {
        let (asked, origin) = limit(config, given);
        let shards = layout.shards;
        let mut total = asked;
        let (plan, descriptors, wishes) = loop {
            let descriptors = layout
                .descriptors
                .unwrap_or_else(|| descriptors(config, total));
            let wishes = Wishes {
                shards,
                shard_bytes: shard::fixed_bytes(descriptors, layout.few_buffers),
                mesh_bytes: mesh_bytes(shards),
                has_journal: layout.has_journal.unwrap_or(config.persistence.is_some()),
                has_http: !config.http.is_empty(),
                sizes: config.memory.sizes,
            };
            match Plan::split(total, &wishes) {
                Ok(plan) => break (plan, descriptors, wishes),
                // With more memory the tables of connections are larger; they come to their end soon.
                Err(least) if config.memory.limit.is_some() => total = least,
                Err(least) => {
                    let error = HostError::Memory {
                        limit: total,
                        origin,
                        least,
                        shards,
                    };
                    return Err(error.into());
                }
            }
        };
        let transports = plan.limit(Account::Transports);
        Ok(Budget {
            tls_bytes: config.memory.tls.unwrap_or(transports).min(transports),
            plan,
            descriptors,
            buffers: wishes.shard_bytes * u64::from(shards),
            mesh: wishes.mesh_bytes,
            origin,
            raised_from: Some(asked).filter(|_| total > asked),
        })
    }

    /// Bytes of memory that may hold what is kept on the disk as well.
    pub(crate) fn kept_max(&self) -> u64 {
        self.plan.limit(Account::Backlog) + self.plan.limit(Account::Retained)
    }

    /// TLS connections at once.
    pub(crate) fn tls_connections(&self) -> u32 {
        u32::try_from(self.tls_bytes / limits::TLS_CONNECTION_BYTES).unwrap_or(u32::MAX)
    }

    /// What messages may have that are kept on the disk and read again. More would be dropped as soon as it is taken up.
    pub(crate) fn room(&self) -> Room {
        Room {
            sessions: self.plan.limit(Account::Backlog),
            retained: self.plan.limit(Account::Retained),
        }
    }

    /// What a start may take of memory for as long as nobody has anything of it, where the program has so many bytes: all but its own,
    /// and what it has set aside.
    pub(crate) fn free(&self, resident: u64) -> u64 {
        let own = resident.max(limits::PROGRAM_BYTES_MIN);
        (self.plan.total).saturating_sub(own + self.buffers + self.mesh)
    }

    /// Charges what is there before the first client: the program, by what it has in memory but for so many `kept_bytes`, the buffers
    /// and the rings. What is returned holds it.
    #[must_use = "what is not held is not charged"]
    pub(crate) fn charge(&self, pool: &Arc<Pool>, kept_bytes: u64) -> Lease {
        let others = self.buffers + self.mesh + kept_bytes;
        let program = memory::resident().saturating_sub(others);
        let mut lease = Lease::new(pool.clone());
        lease.force(Account::Program, program.max(limits::PROGRAM_BYTES_MIN));
        lease.force(Account::Buffers, self.buffers);
        lease.force(Account::Mesh, self.mesh);
        lease
    }

    /// The limit and where it comes from, in a line.
    pub(crate) fn headline(&self) -> String {
        let total = size_text(self.plan.total);
        match self.raised_from {
            Some(asked) => format!(
                "Memory: {total}, the least: memory_limit is {}.",
                size_text(asked)
            ),
            None => format!("Memory: {total}, {}.", self.origin),
        }
    }

    /// A line for each account.
    pub(crate) fn lines(&self) -> Vec<String> {
        let width = Account::NAMES.iter().map(|name| name.len()).max();
        let line = |account: Account| {
            let (name, bytes) = (account.name(), self.plan.limit(account));
            let share = bytes as f64 * 100.0 / self.plan.total.max(1) as f64;
            let size = size_text(bytes);
            let width = width.unwrap_or(0);
            format!("Memory:   {name:<width$} {size:>10} {share:>5.1} %")
        };
        Account::ALL.into_iter().map(line).collect()
    }
}

/// The limit in bytes, and where it comes from.
fn limit(config: &Config, given: Option<&Gift>) -> (u64, String) {
    match (config.memory.limit, given) {
        (Some(limit), None) => (limit, "by memory_limit".into()),
        (Some(limit), Some(gift)) => (limit, format!("by memory_limit; {}", gift.giver)),
        (None, Some(gift)) => {
            let reserve = memory::reserve(gift.bytes);
            let (giver, left) = (&gift.giver, size_text(reserve));
            let origin = format!("as {giver}, {left} of it left to others");
            (gift.bytes - reserve, origin)
        }
        (None, None) => {
            let origin = "as nothing tells how much there is".into();
            (limits::MEMORY_UNKNOWN_BYTES, origin)
        }
    }
}

/// The most that the limit should be where so much is given.
pub(crate) fn most(given: u64) -> u64 {
    given - memory::reserve(given)
}

impl Budget {
    /// The limit that was asked for, where it was too low and the least was taken.
    pub(crate) fn raised_from(&self) -> Option<u64> {
        self.raised_from
    }

    /// What to warn of when a limit is configured.
    pub(crate) fn warnings(&self, config: &Config, given: Option<&Gift>) -> Vec<String> {
        let raised = self.raised_from.map(|asked| {
            format!(
                "memory_limit is {}, which is less than the accounts need; {} holds.",
                size_text(asked),
                size_text(self.plan.total)
            )
        });
        let above = config.memory.limit.zip(given).and_then(|(_, gift)| {
            let (limit, most) = (self.plan.total, most(gift.bytes));
            (limit > most).then(|| {
                format!(
                    "memory_limit is {}, and {}: with more than {} the kernel may end the broker.",
                    size_text(limit),
                    gift.giver,
                    size_text(most)
                )
            })
        });
        raised.into_iter().chain(above).collect()
    }
}

/// Slots in the file table of each shard's ring: any shard may come to hold all connections, but not more than memory
/// has room for.
fn descriptors(config: &Config, total: u64) -> u32 {
    let room = total / limits::SOCKET_BYTES + u64::from(limits::DESCRIPTORS_SPARE);
    resources::descriptors(config).min(u32::try_from(room).unwrap_or(u32::MAX))
}

/// Bytes of all rings between shards.
fn mesh_bytes(shards: u8) -> u64 {
    let count = u64::from(shards);
    let rings = count * count.saturating_sub(1);
    let slot = size_of::<ShardMessage>().next_multiple_of(size_of::<u64>());
    rings * (resources::mesh_slots(shards) * slot) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Persistence, SyncPolicy};

    fn layout(shards: u8) -> Layout {
        Layout {
            shards,
            few_buffers: false,
            descriptors: None,
            has_journal: None,
        }
    }

    fn config(limit: Option<u64>) -> Config {
        let mut config = Config::default();
        config.memory.limit = limit;
        config
    }

    fn gift(bytes: u64) -> Gift {
        Gift {
            bytes,
            giver: "somebody has some".into(),
        }
    }

    #[test]
    fn a_small_broker_starts() {
        let budget = Budget::new(&config(Some(64 << 20)), layout(1), None).unwrap();
        assert_eq!(budget.plan.limit(Account::Mesh), 0);
        assert!(Budget::new(&config(Some(96 << 20)), layout(2), None).is_ok());
        let error = Budget::new(&config(None), layout(1), Some(&gift(20 << 20))).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("15.0 MiB") && text.contains("at least"),
            "{text}"
        );
    }

    /// A reload does not take the account away from a broker that keeps something, nor give it to one that does not.
    #[test]
    fn the_journal_has_its_account_as_long_as_the_broker_runs() {
        let mut config = config(Some(1 << 30));
        let journal = |config: &Config, layout| {
            let budget = Budget::new(config, layout, None).unwrap();
            budget.plan.limit(Account::Journal)
        };
        assert_eq!(journal(&config, layout(2)), 0);
        let running = |has_journal| Layout {
            has_journal: Some(has_journal),
            ..layout(2)
        };
        assert!(journal(&config, running(true)) >= 16 << 20);
        config.persistence = Some(Persistence {
            location: "/".into(),
            import: "/mosquitto.db".into(),
            sync: SyncPolicy::Group,
            max_bytes: 0,
        });
        assert!(journal(&config, layout(2)) >= 16 << 20);
        assert_eq!(journal(&config, running(false)), 0);
    }

    #[test]
    fn a_limit_below_the_least_is_the_least() {
        let asked = config(Some(1 << 20));
        let budget = Budget::new(&asked, layout(2), None).unwrap();
        let least = budget.plan.total;
        assert_eq!(budget.raised_from(), Some(1 << 20));
        let warnings = budget.warnings(&asked, None);
        assert!(warnings[0].contains("1.0 MiB") && warnings[0].contains(&size_text(least)));
        let exact = Budget::new(&config(Some(least)), layout(2), None).unwrap();
        assert_eq!((exact.plan, exact.raised_from()), (budget.plan, None));
    }

    #[test]
    fn the_limit_is_what_there_is_less_a_reserve() {
        for (has, limit) in [
            (2 << 30, (2 << 30) - (128 << 20)),
            (512 << 20, 448 << 20),
            (128 << 20, 96 << 20),
        ] {
            let budget = Budget::new(&config(None), layout(1), Some(&gift(has))).unwrap();
            assert_eq!(budget.plan.total, limit);
            let warned = |limit| {
                let budget = Budget::new(&config(limit), layout(1), Some(&gift(has))).unwrap();
                budget.warnings(&config(limit), Some(&gift(has))).len()
            };
            assert_eq!([None, Some(limit), Some(limit + 1)].map(warned), [0, 0, 1]);
        }
    }

    #[test]
    fn tls_has_what_its_account_has_or_less() {
        let mut config = config(Some(1 << 30));
        let all = Budget::new(&config, layout(1), None).unwrap();
        let most = all.plan.limit(Account::Transports) / limits::TLS_CONNECTION_BYTES;
        assert_eq!(u64::from(all.tls_connections()), most);
        for (asked, connections) in [(1 << 20, 102), (1 << 40, most)] {
            config.memory.tls = Some(asked);
            let budget = Budget::new(&config, layout(1), None).unwrap();
            assert_eq!(u64::from(budget.tls_connections()), connections);
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_account() {
        let budget = Budget::new(&config(Some(2 << 30)), layout(2), Some(&gift(4 << 30))).unwrap();
        assert_eq!(
            budget.headline(),
            "Memory: 2.0 GiB, by memory_limit; somebody has some."
        );
        let lines = budget.lines();
        assert_eq!(lines.len(), Account::COUNT);
        assert!(
            lines[0].starts_with("Memory:   program         24.0 MiB   1.2 %"),
            "{lines:?}"
        );
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    }

    #[test]
    fn what_is_fixed_is_charged() {
        let budget = Budget::new(&config(Some(2 << 30)), layout(2), None).unwrap();
        let pool = Arc::new(Pool::new(&budget.plan, 2));
        let lease = budget.charge(&pool, 0);
        assert!(pool.leased(Account::Program) >= limits::PROGRAM_BYTES_MIN);
        // But for lines of the log, of which none waits.
        let buffers = pool.limit(Account::Buffers) - limits::LOG_WAITING_BYTES_MAX;
        assert_eq!(pool.leased(Account::Buffers), buffers);
        assert!(pool.leased(Account::Mesh) >= budget.mesh);
        drop(lease);
        assert_eq!(pool.leased(Account::Buffers), 0);
    }
}
