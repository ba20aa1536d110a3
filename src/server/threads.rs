//! One pinned thread per shard.

use std::sync::Arc;
use std::thread::JoinHandle;

use core_affinity::CoreId;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::{ServeError, resources};
use crate::broker::{Broker, Settings};
use crate::ids::ShardId;
use crate::limits;
use crate::mesh;
use crate::shard::{
    self, LogLine, Shard, ShardConfig, ShardError, ShardHandle, ShardMessage, Shared,
};

/// The running shards.
pub struct Threads {
    /// For commands, by shard.
    pub handles: Vec<ShardHandle>,
    /// Disconnected when every shard has ended.
    pub running: Receiver<()>,
    threads: Vec<JoinHandle<Result<(), ShardError>>>,
}

/// Starts all shards: created first, let go when every one of them is there.
pub fn start(
    settings: &Arc<Settings>,
    shared: &Arc<Shared>,
    shards: u8,
    cpus: &[u16],
    log: &Sender<LogLine>,
) -> Result<Threads, ServeError> {
    let ports = mesh::grid::<ShardMessage>(usize::from(shards), limits::MESH_SLOTS);
    let (created, reports) = bounded(usize::from(shards));
    let (alive, running) = bounded::<()>(1);
    let (mut threads, mut handles, mut gates) = (Vec::new(), Vec::new(), Vec::new());
    for (index, port) in ports.into_iter().enumerate() {
        let id = ShardId(index as u8);
        let (handle, inbox) = shard::commands().map_err(ServeError::Thread)?;
        let (gate, go) = bounded::<()>(1);
        let config = ShardConfig {
            id,
            shared: shared.clone(),
            port,
            inbox,
            log: log.clone(),
            descriptors: resources::descriptors(),
        };
        let cpu = usize::from(cpus[index % cpus.len()]);
        let (settings, created, alive) = (settings.clone(), created.clone(), alive.clone());
        let body = move || {
            let _alive = alive;
            core_affinity::set_for_current(CoreId { id: cpu });
            let brain = Broker::new(settings, id, shards, seed(id));
            let shard = match Shard::new(config, brain) {
                Ok(shard) => shard,
                Err(error) => {
                    let _ = created.send((id, Err(error)));
                    return Ok(());
                }
            };
            let _ = created.send((id, Ok(())));
            match go.recv() {
                Ok(()) => shard.run(),
                // Another shard could not be created.
                Err(_) => Ok(()),
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(body)
            .map_err(ServeError::Thread)?;
        threads.push(thread);
        handles.push(handle);
        gates.push(gate);
    }
    for _ in 0..shards {
        match reports.recv() {
            Ok((_, Ok(()))) => {}
            Ok((id, Err(error))) => {
                return Err(ServeError::Shard {
                    shard: id.0,
                    source: Box::new(error),
                });
            }
            Err(_) => return Err(ServeError::Lost(0)),
        }
    }
    for gate in gates {
        // Fails only if the shard's thread is gone, and then `join` says so.
        let _ = gate.send(());
    }
    Ok(Threads {
        handles,
        running,
        threads,
    })
}

impl Threads {
    /// Waits for the end of all shards.
    pub fn join(self) -> Result<(), ServeError> {
        let mut result = Ok(());
        for (index, thread) in self.threads.into_iter().enumerate() {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    result = Err(ServeError::Shard {
                        shard: index as u8,
                        source: Box::new(error),
                    });
                }
                Err(_) => result = Err(ServeError::Lost(index as u8)),
            }
        }
        result
    }
}

/// A seed that nobody outside can guess, so that hash tables cannot be attacked, and client identifiers that the
/// broker assigns differ from one start to the next.
fn seed(shard: ShardId) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(shard.0)
}
