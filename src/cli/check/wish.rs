//! What is wished for, and the measures that several checks take of a host.

use super::facts::Host;
use super::report::Severity;
use crate::server::budget::Layout;

/// What is wished for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub connections: u64,
    pub shards: u8,
    /// What memory is split for.
    pub layout: Layout,
    /// Slots of each ring's file table.
    pub files: u32,
}

pub(super) fn grade(good: bool, otherwise: Severity) -> Severity {
    if good { Severity::Ok } else { otherwise }
}

/// The soft and hard limit of a line of /proc/self/limits; `u64::MAX` for none.
pub(super) fn limit(host: &dyn Host, name: &str) -> Option<(u64, u64)> {
    let text = host.read("/proc/self/limits")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = line.split_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        word => word.parse().ok(),
    });
    Some((words.next()??, words.next()??))
}

/// Bytes that the smallest buffers of a connection take, both directions.
pub(super) fn buffer_bytes(host: &dyn Host) -> u64 {
    let least = |name: &str| {
        let text = host.read(&format!("/proc/sys/net/ipv4/{name}"));
        text.and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap_or(4096)
    };
    least("tcp_rmem") + least("tcp_wmem")
}
