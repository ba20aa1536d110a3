//! The memory of the process: how much there is, what each account has of it, and what is taken before the first client.
//!
//! Decides the sizes; who holds how much is counted by the leases, and how short memory is by the control thread.

use std::sync::Arc;

use super::{ServeError, resources};
use crate::budget::{Account, Lease, Plan, Pool, Wishes};
use crate::config::{Config, size_text};
use crate::control::memory::{self, Gift};
use crate::limits;
use crate::shard::{self, ShardMessage};
use crate::uring::{Ring, Sizes};

/// How the memory is split.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
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
}

/// What the split depends on besides the configuration: it stays as it is while the broker runs.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Shards of the process.
    pub shards: u8,
    /// Whether receives share buffers (Linux 6.15): then there are few.
    pub few_buffers: bool,
    /// Slots in the file table of each ring, once they are decided.
    pub descriptors: Option<u32>,
}

impl Shape {
    /// Before the shards are created.
    pub fn new(shards: u8) -> Shape {
        let probe = Ring::new(Sizes {
            submissions: 1,
            completions: 2,
            files: 1,
            workers: 1,
        });
        Shape {
            shards,
            few_buffers: probe.is_ok_and(|ring| ring.has_ordered_buffers()),
            descriptors: None,
        }
    }
}

impl Budget {
    /// What a configuration comes to on a host that gives so much.
    ///
    /// # Errors
    /// The limit does not suffice for so many shards and the accounts that somebody has given a size.
    pub fn new(config: &Config, shape: Shape, given: Option<&Gift>) -> Result<Budget, ServeError> {
        let (total, origin) = limit(config, given);
        let descriptors = shape
            .descriptors
            .unwrap_or_else(|| descriptors(config, total));
        let shards = shape.shards;
        let wishes = Wishes {
            shards,
            shard_bytes: shard::fixed_bytes(descriptors, shape.few_buffers),
            mesh_bytes: mesh_bytes(shards),
            sizes: config.memory.sizes,
        };
        let plan = Plan::split(total, &wishes).map_err(|least| ServeError::Memory {
            limit: total,
            origin: origin.clone(),
            least,
            shards,
        })?;
        let transports = plan.limit(Account::Transports);
        Ok(Budget {
            tls_bytes: config.memory.tls.unwrap_or(transports).min(transports),
            plan,
            descriptors,
            buffers: wishes.shard_bytes * u64::from(shards),
            mesh: wishes.mesh_bytes,
            origin,
        })
    }

    /// TLS connections at once.
    pub fn tls_connections(&self) -> u32 {
        u32::try_from(self.tls_bytes / limits::TLS_CONNECTION_BYTES).unwrap_or(u32::MAX)
    }

    /// Charges what is there before the first client: the program, by what it has in memory, the buffers and the rings.
    /// What is returned holds it.
    #[must_use = "what is not held is not charged"]
    pub fn charge(&self, pool: &Arc<Pool>) -> Lease {
        let program = memory::resident().saturating_sub(self.buffers + self.mesh);
        let mut lease = Lease::new(pool.clone());
        lease.force(Account::Program, program.max(limits::PROGRAM_BYTES_MIN));
        lease.force(Account::Buffers, self.buffers);
        lease.force(Account::Mesh, self.mesh);
        lease
    }

    /// The limit and where it comes from, in a line.
    pub fn headline(&self) -> String {
        format!("Memory: {}, {}.", size_text(self.plan.total), self.origin)
    }

    /// A line for each account.
    pub fn lines(&self) -> Vec<String> {
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
pub fn most(given: u64) -> u64 {
    given - memory::reserve(given)
}

/// What to warn of when a limit is configured.
pub fn warning(config: &Config, given: Option<&Gift>) -> Option<String> {
    let (limit, gift) = (config.memory.limit?, given?);
    let most = most(gift.bytes);
    (limit > most).then(|| {
        format!(
            "memory_limit is {}, and {}: with more than {} the kernel may end the broker.",
            size_text(limit),
            gift.giver,
            size_text(most)
        )
    })
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

    fn shape(shards: u8) -> Shape {
        Shape {
            shards,
            few_buffers: false,
            descriptors: None,
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
        let budget = Budget::new(&config(Some(64 << 20)), shape(1), None).unwrap();
        assert_eq!(budget.plan.limit(Account::Mesh), 0);
        assert!(Budget::new(&config(Some(96 << 20)), shape(2), None).is_ok());
        let error = Budget::new(&config(Some(20 << 20)), shape(1), None).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("20.0 MiB") && text.contains("at least"),
            "{text}"
        );
    }

    #[test]
    fn the_limit_is_what_there_is_less_a_reserve() {
        for (has, limit) in [
            (2 << 30, (2 << 30) - (128 << 20)),
            (512 << 20, 448 << 20),
            (128 << 20, 96 << 20),
        ] {
            let budget = Budget::new(&config(None), shape(1), Some(&gift(has))).unwrap();
            assert_eq!(budget.plan.total, limit);
            assert_eq!(warning(&config(None), Some(&gift(has))), None);
            assert_eq!(warning(&config(Some(limit)), Some(&gift(has))), None);
            assert!(warning(&config(Some(limit + 1)), Some(&gift(has))).is_some());
        }
    }

    #[test]
    fn tls_has_what_its_account_has_or_less() {
        let mut config = config(Some(1 << 30));
        let all = Budget::new(&config, shape(1), None).unwrap();
        let most = all.plan.limit(Account::Transports) / limits::TLS_CONNECTION_BYTES;
        assert_eq!(u64::from(all.tls_connections()), most);
        for (asked, connections) in [(1 << 20, 102), (1 << 40, most)] {
            config.memory.tls = Some(asked);
            let budget = Budget::new(&config, shape(1), None).unwrap();
            assert_eq!(u64::from(budget.tls_connections()), connections);
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_account() {
        let budget = Budget::new(&config(Some(2 << 30)), shape(2), Some(&gift(4 << 30))).unwrap();
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
        let budget = Budget::new(&config(Some(2 << 30)), shape(2), None).unwrap();
        let pool = Arc::new(Pool::new(&budget.plan, 2));
        let lease = budget.charge(&pool);
        assert!(pool.leased(Account::Program) >= limits::PROGRAM_BYTES_MIN);
        let buffers = pool.limit(Account::Buffers);
        assert_eq!(pool.leased(Account::Buffers), buffers);
        assert!(pool.leased(Account::Mesh) >= budget.mesh);
        drop(lease);
        assert_eq!(pool.leased(Account::Buffers), 0);
    }
}
