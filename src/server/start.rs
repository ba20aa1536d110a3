//! The steps of a start, up to the moment when the first connection is accepted. `serve` goes on from there, a test of the
//! configuration undoes them: what keeps the one from its end keeps the other from success.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::budget::{Budget, Layout};
use super::identity::{self, Identity};
use super::import::Means;
use super::listen::{self, Bound, Purpose};
use super::listeners::Listeners;
use super::store::{Store, TakenUp};
use super::waiting::Waiting;
use super::{HostError, ServeError, handshakes, passwords, resources, sockets, threads};
use crate::broker::LogMask;
use crate::budget::{Account, Pool};
use crate::config::Config;
use crate::control::{Early, Executor, LogWriter, PidFile, memory};
use crate::shard::{self, Check, LogLine, Shared};
use crate::storage;
use crate::uring::IdleRing;

/// All that root may be needed for.
pub(super) struct Opened {
    pub cpus: Vec<u16>,
    pub layout: Layout,
    pub given: Option<memory::Gift>,
    pub budget: Budget,
    pub bound: Bound,
    /// What listening sockets are set to, for the log.
    pub sockets: String,
    pub writer: LogWriter,
    pub pid_file: PidFile,
    /// By shard; none where they need nobody's rights.
    pub rings: Vec<IdleRing>,
    /// The control thread's, which is the calling one.
    pub executor: Executor,
    /// What answers over HTTP until the broker serves.
    pub early: Option<Early>,
    /// What is kept on the disk.
    pub store: Option<Store>,
    /// Bytes of memory that reading it took: until the shards have taken it up it is nobody's.
    pub kept_bytes: u64,
    /// Who the broker is from now on.
    pub user: String,
    pub warnings: Warnings,
}

/// What there is to warn of: for the log, and for who starts the broker or tries to.
#[derive(Default)]
pub struct Warnings {
    /// Listeners that were not tried, and memory.
    pub resources: Vec<String>,
    /// Destinations of the log that take no lines.
    pub log: Vec<String>,
    /// Who the broker is, and what it may not read as that.
    pub identity: Vec<String>,
    /// Who has the store, so that a start ends while he has it.
    pub store: Option<String>,
    /// What of Mosquitto's database is not taken up.
    pub import: Vec<String>,
}

impl Opened {
    /// Opens everything, and gives root up.
    ///
    /// # Errors
    /// Why the broker cannot start.
    pub(super) fn open(config: &Config, purpose: Purpose<'_>) -> Result<Opened, ServeError> {
        resources::raise_open_files();
        let identity = Identity::find(config.user.as_deref())?;
        let cpus = resources::cpus(config.cpu_list.as_ref())?;
        let shards = resources::shards(config.shards, cpus.len());
        let layout = Layout::new(shards);
        let given = memory::given();
        let budget = Budget::new(config, layout, given.as_ref())?;
        let connections = resources::connections_possible(config, shards);
        let buffers = sockets::Buffers::choose(budget.plan.limit(Account::Sockets), connections);
        let bound = listen::bind(config, buffers, purpose)?;
        resources::check_open_files(config, shards)?;
        let writer = LogWriter::open(&config.log).map_err(ServeError::Log)?;
        let pid_file = PidFile::open(config.pid_file.as_deref()).map_err(ServeError::PidFile)?;
        let mut warnings = Warnings {
            store: None,
            import: Vec::new(),
            resources: bound.notes().to_vec(),
            log: writer.unopened().to_vec(),
            identity: identity.warning().map(String::from).into_iter().collect(),
        };
        let pid_file = match purpose {
            Purpose::Serve => {
                let made = writer.made().iter().map(|path| path.as_path());
                let made = made.chain(pid_file.made()).chain(bound.paths());
                made.for_each(|path| identity.give(path));
                pid_file
            }
            Purpose::Try(_) => take_back(&writer, pid_file),
        };
        let rings = match identity.is_becoming() {
            true => rings(shards, budget.descriptors)?,
            false => Vec::new(),
        };
        let executor = Executor::new().map_err(HostError::Control)?;
        identity.assume()?;
        let closed = identity.closed(&config.files);
        warnings.identity.extend(closed);
        Ok(Opened {
            rings,
            executor,
            early: None,
            cpus,
            layout,
            given,
            budget,
            bound,
            sockets: buffers.line(connections),
            writer,
            pid_file,
            kept_bytes: 0,
            store: None,
            user: identity::name(),
            warnings,
        })
    }

    /// Reads what is kept on the disk, unless it `ends` before. Not for a trial: a broker that runs has it.
    ///
    /// # Errors
    /// Why it cannot be taken up, or that reading was broken off.
    pub(super) fn read_store(
        &mut self,
        config: &Config,
        ends: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<(), ServeError> {
        if config.persistence.is_some() {
            let early = Early::open(&self.executor, self.bound.http());
            self.early = early.map_err(HostError::Control)?;
        }
        let before = memory::resident();
        let means = self.means(before);
        let mut read = || Store::open(config, means, ends);
        let store = match &self.early {
            Some(_) => self.executor.beside(read).map_err(HostError::Thread)?,
            None => read(),
        };
        self.store = store.map_err(ServeError::Store)?;
        self.kept_bytes = memory::resident().saturating_sub(before);
        if let Some(store) = &mut self.store {
            self.warnings.resources.append(&mut store.warnings);
        }
        Ok(())
    }

    /// The memory that there is for what is kept, where the program has so many bytes of it.
    pub(super) fn means(&self, resident: u64) -> Means {
        Means {
            room: self.budget.room(),
            free: self.budget.free(resident),
        }
    }

    /// What there is to warn of, with what the configuration makes of memory.
    pub(super) fn warnings(&mut self, config: &Config) -> Warnings {
        let memory = self.budget.warnings(config, self.given.as_ref());
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.resources.extend(memory);
        warnings
    }

    /// Shards, as many as there are to be.
    pub(super) fn shards(&self) -> u8 {
        self.layout.shards
    }
}

/// Rings of shards. What they take of locked memory is bounded for an ordinary user, all its processes together.
fn rings(shards: u8, descriptors: u32) -> Result<Vec<IdleRing>, ServeError> {
    let rings = (0..shards).map(|shard| {
        shard::idle_ring(descriptors).map_err(|source| ServeError::Shard {
            shard,
            source: Box::new(source),
        })
    });
    rings.collect()
}

/// Removes the files that were made for a trial: whoever starts the broker in earnest makes them.
fn take_back(writer: &LogWriter, pid_file: PidFile) -> PidFile {
    for path in writer.made() {
        let _ = std::fs::remove_file(path);
    }
    drop(pid_file);
    PidFile::none()
}

/// What is kept on the disk, while it is taken up and then; nothing without `persistence true`.
#[derive(Default)]
pub(super) struct Keeping {
    /// The thread that has the disk.
    pub storage: Option<storage::Running>,
    /// Looks whether the start waits for it.
    pub waiting: Option<Waiting>,
    /// What was there before.
    pub taken_up: Option<TakenUp>,
}

impl Keeping {
    /// Where the storage thread shows what it has done.
    pub(super) fn board(&self) -> Option<Arc<storage::Board>> {
        self.storage.as_ref().map(|storage| storage.board())
    }

    /// Whether nothing was kept before.
    pub(super) fn is_new(&self) -> bool {
        self.storage.is_some() && self.taken_up.is_none()
    }
}

/// Every thread that serves, waiting to be let go.
pub(super) struct Created {
    pub threads: threads::Threads,
    pub shared: Arc<Shared>,
    /// What the shards were made with, and accept from.
    pub listeners: Listeners,
    /// The lines that are wanted.
    pub log: LogMask,
    /// What is kept on the disk.
    pub keeping: Keeping,
    /// Where passwords are checked.
    pub checks: Sender<Check>,
}

impl Created {
    /// Creates all threads.
    ///
    /// # Errors
    /// Why the broker cannot start.
    pub(super) fn create(
        config: &Config,
        opened: &mut Opened,
        log: &Sender<LogLine>,
    ) -> Result<Created, ServeError> {
        let listeners = Listeners::new(&config.listeners, opened.bound.take_listeners());
        let settings = Arc::new(listeners.settings(config));
        let shared = Shared::new(
            opened.shards(),
            listeners.accepting(),
            config.global_max_connections,
            Arc::new(Pool::new(&opened.budget.plan, opened.shards())),
        );
        shared.sources().set(config.sources);
        shared.set_tls_max(opened.budget.tls_connections());
        let checks = passwords::start().map_err(HostError::Thread)?;
        let handshakes = handshakes::start(opened.shards()).map_err(HostError::Thread)?;
        let mut keeping = Keeping::default();
        let mut kept = Vec::new();
        if let Some(mut store) = opened.store.take() {
            let (location, needed) = (store.location.clone(), store.needed());
            keeping.taken_up = store.taken_up.take();
            let started = store.start(opened.shards(), log, settings.log);
            let (of_shards, running) = started.map_err(ServeError::Store)?;
            keeping.waiting = Some(Waiting::new(running.board(), &location, needed));
            (kept, keeping.storage) = (of_shards, Some(running));
            shared.begin_restoring();
        }
        let rings = std::mem::take(&mut opened.rings);
        let plan = threads::Plan {
            settings: &settings,
            shared: &shared,
            cpus: &opened.cpus,
            descriptors: opened.budget.descriptors,
            log,
            checks: Some(&checks),
            handshakes: &handshakes,
        };
        let threads = threads::create(&plan, rings, kept)?;
        Ok(Created {
            keeping,
            threads,
            shared,
            listeners,
            log: settings.log,
            checks,
        })
    }
}
