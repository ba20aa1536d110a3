//! The machine and the processes on it: what it is and allows, a broker started in a process and a memory budget of its
//! own, and looks at that broker while a run goes on.
//!
//! Everything here reads files of the kernel or starts processes; nothing touches the traffic. A look costs a few dozen
//! system calls on a thread of its own, never on a worker.

use std::fmt;
use std::path::Path;

mod broker;
mod cgroup;
mod command;
mod folder;
mod launch;
mod look;
mod machine;
mod mounts;
mod ports;
mod proc;
mod running;
mod sampler;
mod sources;
#[cfg(test)]
mod tests;
mod watched;

pub use broker::{BrokerCommand, BrokerSpec, start};
pub use cgroup::{CgroupUse, MemoryCgroup};
pub use look::{SampleTarget, broker_use};
pub use machine::{machine, own_pss_bytes, raise_nofile, rss_bytes};
pub use proc::ProcUse;
pub use running::{External, RunningBroker};
pub use sampler::Sampler;
pub use sources::{check_descriptors, resolve, sources};

/// Why a run cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostError {
    /// The machine does not allow it: exit code 3.
    Cannot(String),
    /// What was asked for makes no sense: exit code 2.
    Usage(String),
}

impl HostError {
    /// The exit code that it ends the program with.
    pub fn exit_code(&self) -> u8 {
        match self {
            HostError::Cannot(_) => 3,
            HostError::Usage(_) => 2,
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostError::Cannot(text) | HostError::Usage(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for HostError {}

/// A small file without the white space around it; `None` when it cannot be read.
fn read_trimmed(path: impl AsRef<Path>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// A file that holds one number.
fn read_number(path: impl AsRef<Path>) -> Option<u64> {
    read_trimmed(path)?.parse().ok()
}

/// The value of a line `name value` or `name: value kB`, as it stands.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let key = words.next()?;
        if key.strip_suffix(':').unwrap_or(key) != name {
            return None;
        }
        words.next()?.parse().ok()
    })
}
