//! What the machine gives: open files, CPUs, and how many shards that makes.

use super::ServeError;
use crate::config::{Config, CpuList};
use crate::limits;

/// Raises the soft limit on open files to the hard one: tables of direct descriptors are bounded by it.
pub fn raise_open_files() {
    // Where it cannot be raised, what is there has to do; `check_open_files` compares it with what is wanted.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// Whether the connections that the configuration asks for can be had.
pub fn check_open_files(config: &Config, shards: u8) -> Result<(), ServeError> {
    let listeners: Option<u64> = config
        .sockets
        .iter()
        .map(|socket| socket.max_connections.map(u64::from))
        .sum();
    let global = config.global_max_connections.map(u64::from);
    let Some(wanted) = listeners.into_iter().chain(global).min() else {
        return Ok(());
    };
    let Some(limit) = open_files() else {
        return Ok(());
    };
    // Each shard's ring has a table of its own; the limit bounds each of them.
    if wanted > limit.saturating_mul(u64::from(shards)) {
        return Err(ServeError::OpenFiles { limit, wanted });
    }
    Ok(())
}

/// Room for connections that each shard asks for.
pub fn descriptors() -> u32 {
    let limit = open_files().unwrap_or(1024);
    u32::try_from(limit)
        .unwrap_or(u32::MAX)
        .min(limits::DIRECT_DESCRIPTORS_MAX)
}

/// The CPUs for shards: those of the list, or all that are allowed.
pub fn cpus(list: Option<&CpuList>) -> Result<Vec<u16>, ServeError> {
    let allowed: Vec<u16> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .iter()
        .map(|core| core.id as u16)
        .collect();
    match list {
        None if allowed.is_empty() => Ok(vec![0]),
        None => Ok(allowed),
        Some(CpuList(wanted)) => match wanted.iter().find(|cpu| !allowed.contains(cpu)) {
            Some(&cpu) => Err(ServeError::Cpu(cpu)),
            None => Ok(wanted.clone()),
        },
    }
}

/// How many shards: as asked, or one per CPU.
pub fn shards(asked: Option<u8>, cpus: usize) -> u8 {
    asked.unwrap_or(cpus.min(limits::SHARDS_MAX) as u8).max(1)
}

/// The soft limit on open files.
fn open_files() -> Option<u64> {
    rlimit::Resource::NOFILE.get_soft().ok()
}
