//! One pinned thread per shard: created first, let go when every one of them is there.
//!
//! A connection may move to any shard, so that none may accept before all have their rings.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use core_affinity::CoreId;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::{HostError, ServeError, chance, resources};
use crate::broker::{Broker, LogKind, Settings};
use crate::budget::Lease;
use crate::control::ShardEnd;
use crate::ids::ShardId;
use crate::journal::Scribe;
use crate::mesh::{self, Port};
use crate::shard::{
    self, Check, Checks, Entrance, Handshake, Handshakes, Kept, LogLine, Shard, ShardConfig,
    ShardError, ShardHandle, ShardMessage, Shared,
};
use crate::uring::IdleRing;

/// How often it is looked whether all shards have taken up what is kept.
pub(super) const RESTORED_POLL: Duration = Duration::from_millis(1);

/// What all shards are made from.
pub(super) struct Plan<'a> {
    pub settings: &'a Arc<Settings>,
    pub shared: &'a Arc<Shared>,
    /// At least one; shard `i` runs on `cpus[i % cpus.len()]`.
    pub cpus: &'a [u16],
    /// Connections that each shard is to have room for.
    pub descriptors: u32,
    pub log: &'a Sender<LogLine>,
    /// Where passwords are checked, if there are any.
    pub checks: Option<&'a Sender<Check>>,
    /// Where TLS handshakes are worked on.
    pub handshakes: &'a Entrance<Handshake>,
}

/// The shards' threads.
pub(super) struct Threads {
    /// For commands, by shard.
    pub handles: Vec<ShardHandle>,
    /// Each shard's end; disconnected when every shard has ended.
    pub ends: Receiver<ShardEnd>,
    gates: Vec<Sender<()>>,
    threads: Vec<JoinHandle<Result<(), ShardError>>>,
}

/// What a shard has said of its beginning.
type Report = Result<(), (ShardId, ShardError)>;

/// Creates all shards. They wait until `Threads::go`, and end when that never comes.
pub(super) fn create(
    plan: &Plan<'_>,
    rings: Vec<IdleRing>,
    kept: Vec<Kept>,
) -> Result<Threads, ServeError> {
    let (mut rings, mut kept) = (rings.into_iter(), kept.into_iter());
    let shards = plan.shared.shards();
    let slots = resources::mesh_slots(shards);
    let (created, reports) = bounded(shards.into());
    let (ended, ends) = bounded(shards.into());
    let mut all = Threads {
        handles: Vec::new(),
        ends,
        gates: Vec::new(),
        threads: Vec::new(),
    };
    for port in mesh::grid::<ShardMessage>(shards.into(), slots) {
        let alive = Alive::new(port.id(), ended.clone());
        let given = (rings.next(), kept.next());
        all.spawn(plan, port, given, (created.clone(), alive))?;
    }
    drop(created);
    for _ in 0..shards {
        match reports.recv() {
            Ok(Ok(())) => {}
            Ok(Err((id, source))) => {
                return Err(ServeError::Shard {
                    shard: id.0,
                    source: Box::new(source),
                });
            }
            // A thread is gone without a report.
            Err(_) => return Err(all.join().err().unwrap_or(ServeError::Lost(0))),
        }
    }
    Ok(all)
}

impl Threads {
    /// Starts the thread of one shard, which says on `created` what has become of it.
    fn spawn(
        &mut self,
        plan: &Plan<'_>,
        port: Port<ShardMessage>,
        (ring, store): (Option<IdleRing>, Option<Kept>),
        (created, alive): (Sender<Report>, Alive),
    ) -> Result<(), ServeError> {
        let id = port.id();
        let (handle, inbox) = shard::commands().map_err(HostError::Commands)?;
        let (gate, go) = bounded::<()>(1);
        let start = Start {
            config: ShardConfig {
                id,
                shared: plan.shared.clone(),
                port,
                inbox,
                log: plan.log.clone(),
                descriptors: plan.descriptors,
                checks: plan.checks.map(|queue| Checks {
                    queue: queue.clone(),
                    reply: handle.clone(),
                }),
                handshakes: Some(Handshakes {
                    queue: plan.handshakes.clone(),
                    reply: handle.clone(),
                }),
                ring,
                store,
            },
            settings: plan.settings.clone(),
            cpu: plan.cpus[id.index() % plan.cpus.len()],
            created,
            go,
            alive,
        };
        let thread = std::thread::Builder::new()
            .name(format!("shard-{}", id.0))
            .spawn(move || start.run())
            .map_err(HostError::Thread)?;
        self.handles.push(handle);
        self.gates.push(gate);
        self.threads.push(thread);
        Ok(())
    }
}

/// What the thread of a shard starts with.
struct Start {
    config: ShardConfig,
    settings: Arc<Settings>,
    cpu: u16,
    created: Sender<Report>,
    go: Receiver<()>,
    alive: Alive,
}

impl Start {
    fn run(mut self) -> Result<(), ShardError> {
        let (id, shards) = (self.config.id, self.config.shared.shards());
        if !core_affinity::set_for_current(CoreId {
            id: self.cpu.into(),
        }) {
            self.warn_unpinned();
        }
        let lease = Lease::new(self.config.shared.pool().clone());
        let mut brain = Broker::new(self.settings, id, shards, chance::seed()).with_lease(lease);
        if self.config.store.is_some() {
            brain.on_wall_clock(self.config.shared.now_ms(), shard::unix_now());
            brain.write_down(Scribe::new(chance::seed()));
        }
        let shard = match Shard::new(self.config, brain) {
            Ok(shard) => shard,
            Err(error) => {
                let _ = self.created.send(Err((id, error)));
                return Ok(());
            }
        };
        let _ = self.created.send(Ok(()));
        drop(self.created);
        let result = match self.go.recv() {
            Ok(()) => shard.run(),
            // Something else kept the broker from starting.
            Err(_) => Ok(()),
        };
        self.alive.failure = result.as_ref().err().map(ToString::to_string);
        result
    }

    fn warn_unpinned(&self) {
        if self.settings.log.has(LogKind::Warning) {
            let text = format!(
                "Shard {} could not be pinned to CPU {} and runs where the kernel puts it.",
                self.config.id.0, self.cpu
            );
            let kind = LogKind::Warning;
            let _ = self.config.log.try_send(LogLine::free(kind, text));
        }
    }
}

/// Tells of the end of a shard's thread, however it comes.
struct Alive {
    shard: ShardId,
    ended: Sender<ShardEnd>,
    failure: Option<String>,
}

impl Alive {
    fn new(shard: ShardId, ended: Sender<ShardEnd>) -> Self {
        Alive {
            shard,
            ended,
            failure: Some("it ended unexpectedly".into()),
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // There is room for one from each shard.
        let _ = self.ended.try_send(ShardEnd {
            shard: self.shard,
            failure: self.failure.take(),
        });
    }
}

impl Threads {
    /// Lets the shards accept connections.
    pub(super) fn go(&mut self) {
        for gate in self.gates.drain(..) {
            // Fails only if the shard's thread is gone, and then its end is reported.
            let _ = gate.send(());
        }
    }

    /// Waits until all shards have taken up what is kept on the disk, or one of them has ended. Returns the signal for which the
    /// broker is to end before that, if `ends` names one; that lets some time pass.
    pub(super) fn wait_restored(
        &self,
        shared: &Shared,
        mut ends: impl FnMut() -> Option<&'static str>,
    ) -> Option<&'static str> {
        while !shared.is_restored() && !self.threads.iter().any(JoinHandle::is_finished) {
            let signal = ends();
            if signal.is_some() {
                return signal;
            }
        }
        None
    }

    /// Waits for the end of all shards; the first failure is the answer.
    pub(super) fn join(self) -> Result<(), ServeError> {
        drop(self.gates);
        let mut result = Ok(());
        for (index, thread) in self.threads.into_iter().enumerate() {
            let shard = index as u8;
            let ended = match thread.join() {
                Ok(Ok(())) => continue,
                Ok(Err(source)) => ServeError::Failed {
                    shard,
                    source: Box::new(source),
                },
                Err(_) => ServeError::Lost(shard),
            };
            result = result.and(Err(ended));
        }
        result
    }
}
