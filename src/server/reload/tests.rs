//! Reloads with shards that answer, do not, or fall silent in the middle.

use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::budget::Pool;
use crate::config::{Listener, Memory, Persistence, Socket, SyncPolicy};
use crate::server::listen::{Purpose, bind};
use crate::shard::{ShardReport, commands};

/// Kinds of command that a shard does not answer any more.
#[derive(Default)]
struct Silence {
    report: AtomicBool,
    reload: AtomicBool,
    listen: AtomicBool,
    /// Reloads that it was told of.
    reloads: AtomicU32,
}

/// A shard that does nothing but answer.
fn shard(silence: Arc<Silence>) -> ShardHandle {
    let (handle, inbox) = commands().unwrap();
    std::thread::spawn(move || {
        let is_on = |silent: &AtomicBool| !silent.load(Ordering::SeqCst);
        while let Some(command) = inbox.next() {
            match command {
                ShardCommand::Report(to) if is_on(&silence.report) => {
                    to.give(ShardReport {
                        metrics: Default::default(),
                        turn_ns: hdrhistogram::Histogram::new(2).unwrap(),
                        delivery_us: hdrhistogram::Histogram::new(2).unwrap(),
                    });
                }
                ShardCommand::Reload(_, to) => {
                    silence.reloads.fetch_add(1, Ordering::SeqCst);
                    if is_on(&silence.reload) {
                        to.give(());
                    }
                }
                ShardCommand::Listen(to) if is_on(&silence.listen) => {
                    to.give(());
                }
                _ => {}
            }
        }
    });
    handle
}

/// A broker of two shards without anything behind its listeners.
struct World {
    reloader: Reloader,
    /// What the file says.
    file: Arc<Mutex<Config>>,
    silence: [Arc<Silence>; 2],
}

/// Two ports that nobody has.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn config(ports: &[u16], memory: u64) -> Config {
    let listener = |&port: &u16| Listener {
        socket: Socket {
            port,
            address: Some("127.0.0.1".into()),
            ..Socket::default()
        },
        ..Listener::default()
    };
    Config {
        listeners: ports.iter().map(listener).collect(),
        memory: Memory {
            limit: Some(memory),
            ..Memory::default()
        },
        is_empty: false,
        ..Config::default()
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

impl World {
    fn new(config: Config) -> World {
        let layout = Layout {
            shards: 2,
            few_buffers: true,
            descriptors: Some(100),
            has_journal: None,
        };
        let budget = Budget::new(&config, layout, None).unwrap();
        let mut bound = bind(&config, Buffers::default(), Purpose::Serve).unwrap();
        let listeners = Listeners::new(&config.listeners, bound.take_listeners());
        let pool = Arc::new(Pool::new(&budget.plan, 2));
        let shared = Shared::new(2, listeners.accepting(), None, pool);
        let silence = [(); 2].map(|()| Arc::new(Silence::default()));
        let shards = (0..2).map(|id: usize| shard(silence[id].clone()));
        let file = Arc::new(Mutex::new(config.clone()));
        let read = file.clone();
        let running = Running {
            config,
            budget,
            listeners,
        };
        let reloader = Reloader::new(
            Box::new(move |_| Ok((read.lock().unwrap().clone(), Vec::new()))),
            running,
            layout,
            shared,
            shards.collect(),
        );
        World {
            reloader,
            file,
            silence,
        }
    }

    /// Reloads with another file.
    fn reload(&mut self, config: Config) -> Result<Reloaded, String> {
        *self.file.lock().unwrap() = config;
        self.reloader.reload()
    }

    fn memory(&self) -> u64 {
        self.reloader.shared.pool().limit(Account::Retained)
    }
}

const SMALL: u64 = 256 << 20;
const LARGE: u64 = 512 << 20;

#[test]
fn a_reload_changes_what_holds() {
    let [old, new] = free_ports();
    let mut world = World::new(config(&[old], SMALL));
    let before = world.memory();
    let reloaded = world.reload(config(&[old, new], LARGE)).unwrap();
    assert_eq!(reloaded.missing, None);
    assert!(listens(old) && listens(new) && world.memory() > before);
    let reloaded = world.reload(config(&[new], LARGE)).unwrap();
    let wanted = format!("Listener 127.0.0.1:{old} is closed.");
    assert_eq!((reloaded.lines, reloaded.missing), (vec![wanted], None));
    assert!(!listens(old) && listens(new));
}

/// What is kept on the disk is decided at the start.
#[test]
fn a_reload_says_that_the_disk_waits_for_a_restart() {
    let [port, _] = free_ports();
    let kept = |sync| Persistence {
        location: "/".into(),
        import: "/mosquitto.db".into(),
        sync,
        max_bytes: 0,
    };
    let with = |persistence| Config {
        persistence,
        ..config(&[port], SMALL)
    };
    let group = Some(kept(SyncPolicy::Group));
    for (started, read) in [
        (None, group.clone()),
        (group.clone(), None),
        (group, Some(kept(SyncPolicy::None))),
    ] {
        let has_journal = started.is_some();
        let mut world = World::new(with(started));
        let journal = |world: &World| world.reloader.shared.pool().limit(Account::Journal);
        let before = journal(&world);
        assert_eq!(before > 0, has_journal);
        let reloaded = world.reload(with(read)).unwrap();
        let told = "Takes effect with a restart: persistence and its options.";
        assert_eq!(reloaded.lines[0], told);
        assert_eq!(journal(&world), before);
    }
}

/// Nothing has changed when that is said.
#[test]
fn a_shard_that_does_not_answer_keeps_everything_as_it_was() {
    let [old, new] = free_ports();
    let mut world = World::new(config(&[old], SMALL));
    let before = world.memory();
    world.silence[1].report.store(true, Ordering::SeqCst);
    let patience = std::mem::replace(&mut world.reloader.patience, Duration::from_millis(500));
    let error = world.reload(config(&[new], LARGE)).unwrap_err();
    assert!(error.contains("not answer"), "{error}");
    assert!(listens(old) && !listens(new));
    assert_eq!(world.memory(), before);
    for silence in &world.silence {
        assert_eq!(silence.reloads.load(Ordering::SeqCst), 0);
    }
    world.silence[1].report.store(false, Ordering::SeqCst);
    world.reloader.patience = patience;
    let reloaded = world.reload(config(&[new], LARGE)).unwrap();
    assert_eq!(reloaded.missing, None);
    assert!(!listens(old) && listens(new) && world.memory() > before);
}

/// What holds then is told as it is, and the next reload does the rest.
#[test]
fn a_shard_that_falls_silent_leaves_listeners_unopened_and_that_is_said() {
    let [old, new] = free_ports();
    let mut world = World::new(config(&[old], SMALL));
    let before = world.memory();
    world.silence[1].reload.store(true, Ordering::SeqCst);
    let patience = std::mem::replace(&mut world.reloader.patience, Duration::from_secs(2));
    let reloaded = world.reload(config(&[new], LARGE)).unwrap();
    let missing = reloaded.missing.unwrap();
    for words in [
        "not answer and may go on by the settings from before",
        &format!("not opened for that reason: listener 127.0.0.1:{new}"),
        "everything else holds",
    ] {
        assert!(missing.contains(words), "{words}: {missing}");
    }
    let closed = format!("Listener 127.0.0.1:{old} is closed.");
    assert!(reloaded.lines.contains(&closed), "{:?}", reloaded.lines);
    assert!(!reloaded.lines.iter().any(|line| line.contains("opened")));
    assert!(!listens(old) && !listens(new) && world.memory() > before);
    world.silence[1].reload.store(false, Ordering::SeqCst);
    world.reloader.patience = patience;
    let reloaded = world.reload(config(&[new], LARGE)).unwrap();
    assert_eq!(reloaded.missing, None);
    assert!(listens(new));
}

#[test]
fn a_shard_that_does_not_listen_is_told_of() {
    let [old, new] = free_ports();
    let mut world = World::new(config(&[old], SMALL));
    world.silence[0].listen.store(true, Ordering::SeqCst);
    world.reloader.patience = Duration::from_secs(2);
    let reloaded = world.reload(config(&[old, new], SMALL)).unwrap();
    let missing = reloaded.missing.unwrap();
    assert!(
        missing.contains("from the listeners from before only"),
        "{missing}"
    );
}
