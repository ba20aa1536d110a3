//! What memory may be used for: named accounts, what each may hold, what shards have leased of it, and the ladder of
//! measures as memory becomes short.
//!
//! Owns numbers only: nothing is allocated or freed here, nothing is measured. A shard compares numbers of its own;
//! what all shards share is touched when a lease of many kilobytes begins or ends.
//!
//! Invariants:
//! - what all leases hold of an account, and what is free of it, is what the plan gives it;
//! - `take` never passes an account's bound; `force`, for what cannot be refused, may, and then nothing is taken from that
//!   account until it has come down.

mod charge;
mod ladder;
mod lease;
mod plan;
mod pool;
mod shares;
#[cfg(test)]
mod tests;

pub use charge::Charge;
pub use ladder::{Ladder, Rung};
pub use lease::Lease;
pub use plan::{Plan, Wishes};
pub use pool::Pool;
pub use shares::{Cut, Holdings, Party};

macro_rules! accounts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// What memory is used for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Account { $($(#[$doc])* $variant),* }

        impl Account {
            /// All accounts.
            pub const ALL: [Account; Account::COUNT] = [$(Account::$variant),*];
            /// How many there are.
            pub const COUNT: usize = [$($name),*].len();
            /// Their names in `$SYS` and in the configuration, in the order of `ALL`.
            pub const NAMES: [&'static str; Account::COUNT] = [$($name),*];
        }
    };
}

accounts! {
    /// The program: code, stacks, threads, and what does not grow with clients.
    Program = "program",
    /// The kernel's memory for sockets: the sockets themselves, and what waits in them in both directions.
    Sockets = "sockets",
    /// Receive buffers, rings, send arenas.
    Buffers = "buffers",
    /// Connections and sessions at rest: tables, names, wills, aliases.
    Connections = "connections",
    /// TLS and WebSocket: their state, records that are not whole, output that waits.
    Transports = "transports",
    /// Packets that have not been received whole.
    Packets = "packets",
    /// The outbound log: segments, private copies, payloads that are referenced.
    Outbound = "outbound",
    /// Messages that wait, or are in flight, for sessions.
    Backlog = "backlog",
    /// Subscriptions, shared groups, remembered matches.
    Subscriptions = "subscriptions",
    /// Retained messages.
    Retained = "retained",
    /// The rings between shards and what waits in front of them.
    Mesh = "mesh",
    /// What waits to be written to the disk, and what is remembered of what was; nothing where nothing is kept there.
    Journal = "journal",
    /// What is held for those who ask over HTTP: connections, answers on their way; nothing where nobody can.
    Http = "http",
}

impl Account {
    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The account of this name.
    pub fn by_name(name: &str) -> Option<Account> {
        Self::ALL.into_iter().find(|account| account.name() == name)
    }
}
