//! What the machine gives: open files, CPUs, and how many shards that makes.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::{HostError, ServeError};
use crate::config::{Config, CpuList};
use crate::limits;

/// Raises the soft limit on open files to the hard one: tables of direct descriptors are bounded by it.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    // `None` is no limit.
    if limit.current.unwrap_or(u64::MAX) < limit.maximum.unwrap_or(u64::MAX) {
        limit.current = limit.maximum;
        // Where it cannot be raised, what is there has to do; `check_open_files` compares it with what is wanted.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// The most connections that the configuration allows, if it sets a bound.
pub(crate) fn connections_max(config: &Config) -> Option<u64> {
    let listeners: Option<u64> = config
        .listeners
        .iter()
        .map(|listener| listener.socket.max_connections.map(u64::from))
        .sum();
    let global = config.global_max_connections.map(u64::from);
    listeners.into_iter().chain(global).min()
}

/// The most connections that there can be: what the configuration allows, or what the limit on open files does.
pub(crate) fn connections_possible(config: &Config, shards: u8) -> u64 {
    connections_with(config, shards, open_files())
}

/// The same with this limit on open files; `None` for none.
pub(crate) fn connections_with(config: &Config, shards: u8, open_files: Option<u64>) -> u64 {
    let table = open_files.map_or(u64::from(limits::DIRECT_DESCRIPTORS_MAX), |limit| {
        limit.min(limits::DIRECT_DESCRIPTORS_MAX.into())
    });
    let most = table * u64::from(shards);
    connections_max(config).map_or(most, |wanted| wanted.min(most))
}

/// Whether the connections that the configuration asks for can be had.
pub(crate) fn check_open_files(config: &Config, shards: u8) -> Result<(), ServeError> {
    let Some(wanted) = connections_max(config) else {
        return Ok(());
    };
    let Some(limit) = open_files() else {
        return Ok(());
    };
    // Each shard's ring has a table of its own; the limit bounds each of them.
    if wanted > limit.saturating_mul(u64::from(shards)) {
        return Err(HostError::OpenFiles { limit, wanted }.into());
    }
    Ok(())
}

/// Room for connections that each shard asks for: any of them may come to hold all. The kernel pays for the table by
/// its size, so it is no larger than the configuration can use.
pub(crate) fn descriptors(config: &Config) -> u32 {
    let limit = open_files().unwrap_or(u64::MAX);
    let wanted =
        connections_max(config).map_or(limit, |most| most + u64::from(limits::DESCRIPTORS_SPARE));
    u32::try_from(wanted.min(limit))
        .unwrap_or(u32::MAX)
        .min(limits::DIRECT_DESCRIPTORS_MAX)
}

/// Slots of each ring of the mesh: fewer where there are many rings.
pub(crate) fn mesh_slots(shards: u8) -> usize {
    let shards = usize::from(shards);
    let rings = (shards * shards.saturating_sub(1)).max(1);
    // The largest power of two that fits: the rings' index masks need one.
    let share = 1 << (limits::MESH_SLOTS_TOTAL / rings).max(1).ilog2();
    limits::MESH_SLOTS.min(share)
}

/// The CPUs for shards: those of the list, or all that are allowed.
pub(crate) fn cpus(list: Option<&CpuList>) -> Result<Vec<u16>, ServeError> {
    let allowed: Vec<u16> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .iter()
        .map(|core| core.id as u16)
        .collect();
    match list {
        None if allowed.is_empty() => Ok(vec![0]),
        None => Ok(allowed),
        Some(CpuList(wanted)) => match wanted.iter().find(|cpu| !allowed.contains(cpu)) {
            Some(&cpu) => Err(HostError::Cpu(cpu).into()),
            None => Ok(wanted.clone()),
        },
    }
}

/// How many shards: as asked, or one per CPU.
pub(crate) fn shards(asked: Option<u8>, cpus: usize) -> u8 {
    asked.unwrap_or(cpus.min(limits::SHARDS_MAX) as u8).max(1)
}

/// The soft limit on open files; `None` without one.
fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
