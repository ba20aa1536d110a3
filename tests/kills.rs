//! The broker is killed at random moments (SIGKILL) while clients publish and receive with QoS 1 and 2, and starts again with what it has
//! kept: nothing that was acknowledged is lost, nothing of QoS 2 comes twice, all in order.
//!
//! `FIREHOSE_KILLS` is the number of kills for each mode of `persistence_sync`, `FIREHOSE_SEED` what chance begins with, `FIREHOSE_KEEP` a
//! folder into which the store is copied when a test fails.

mod support;

#[path = "kills/client.rs"]
mod client;
#[path = "kills/record.rs"]
mod record;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use client::{Around, Client, Plan};
use fastrand::Rng;
use record::Record;
use rustix::process::{Pid, Signal, kill_process};
use support::mqtt::{self, Connect, Version};
use support::{Folder, PATIENCE, Program, Server};

/// Kills of each mode, where nothing else is said.
const KILLS: u32 = 10;

/// The reader that a shared subscription is: its members are one.
const GROUP: usize = 100;

const DURABLE: Plan = Plan {
    id: "",
    version: Version::V5,
    is_durable: true,
    publishes: false,
    filters: &[],
    reader: None,
    will: None,
    is_fickle: false,
};

const MEMBER: Plan = Plan {
    filters: &[("$share/g/s/#", 2)],
    reader: Some(GROUP),
    ..DURABLE
};

const PLANS: [Plan; 11] = [
    Plan {
        id: "alice",
        publishes: true,
        will: Some((2, 0)),
        ..DURABLE
    },
    Plan {
        id: "bob",
        version: Version::V311,
        publishes: true,
        filters: &[("k/+", 2)],
        ..DURABLE
    },
    Plan {
        id: "carol",
        is_durable: false,
        publishes: true,
        will: Some((1, 0)),
        ..DURABLE
    },
    Plan {
        id: "dave",
        filters: &[("k/#", 2), ("w/#", 2)],
        ..DURABLE
    },
    Plan {
        id: "erin",
        version: Version::V311,
        filters: &[("k/+", 1), ("r/#", 1)],
        will: Some((1, 0)),
        ..DURABLE
    },
    Plan {
        id: "frank",
        publishes: true,
        filters: &[("k/0", 1), ("k/#", 2)],
        will: Some((1, 3000)),
        ..DURABLE
    },
    Plan {
        id: "member-1",
        ..MEMBER
    },
    Plan {
        id: "member-2",
        version: Version::V311,
        ..MEMBER
    },
    Plan {
        id: "member-3",
        ..MEMBER
    },
    Plan {
        id: "grace",
        filters: &[("k/1", 1), ("k/2", 1)],
        is_fickle: true,
        ..DURABLE
    },
    Plan {
        id: "heidi",
        version: Version::V311,
        is_durable: false,
        publishes: true,
        ..DURABLE
    },
];

/// Who has no order: the group, and who subscribes between a message and its repetition.
const UNORDERED: [usize; 2] = [GROUP, 9];

/// A broker with its clients.
struct World {
    server: Server,
    store: Folder,
    clients: Vec<Client>,
    record: Record,
    rng: Rng,
    seed: u64,
    /// How often it was started.
    run: u32,
    is_ending: bool,
}

impl World {
    fn new(sync: &str) -> World {
        let seed = variable("FIREHOSE_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
        let store = Folder::new("kills");
        let config = [
            "persistence true".to_owned(),
            format!("persistence_location {}/", store.0.display()),
            format!("persistence_sync {sync}"),
            "max_queued_messages 0".to_owned(),
        ];
        let plans = PLANS.iter().enumerate();
        let clients = plans.map(|(index, plan)| Client::new(index, *plan, seed));
        World {
            server: Server::start(&Program::Firehose { shards: 1 }, &config),
            store,
            clients: clients.collect(),
            record: Record::new(&UNORDERED),
            rng: Rng::with_seed(seed),
            seed,
            run: 0,
            is_ending: false,
        }
    }

    /// A turn of all clients.
    fn turn(&mut self, is_begun: bool) {
        let around = Around {
            broker: self.server.address(),
            run: self.run,
            is_begun,
            is_ending: self.is_ending,
        };
        for client in &mut self.clients {
            client.turn(around, &mut self.record);
        }
        std::thread::sleep(Duration::from_millis(1));
    }

    /// Until this holds. The broker runs meanwhile.
    fn until(&mut self, what: &str, is_begun: bool, holds: impl Fn(&World) -> bool) {
        let since = Instant::now();
        while !holds(self) {
            self.turn(is_begun);
            assert!(self.server.is_running(), "the broker runs");
            if since.elapsed() > PATIENCE {
                let states: Vec<String> = self.clients.iter().map(Client::state).collect();
                panic!("in time: {what}\n{}", states.join("\n"));
            }
        }
    }

    /// The broker is killed at a moment of its own, whatever the clients do, and starts again.
    fn kill(&mut self) {
        let micros = match self.rng.u8(..5) {
            0 => self.rng.u64(..60_000), // in its start
            _ => self.rng.u64(100_000..700_000),
        };
        if self.rng.u8(..4) == 0 {
            self.until("it is ready", true, |world| world.server.is_ready());
            for _ in 0..self.rng.u8(20..200) {
                self.turn(true);
            }
            self.check_retained();
        }
        // Now and then it ends in order, under load as well.
        let signal = match self.rng.u8(..6) {
            0 => Signal::TERM,
            _ => Signal::KILL,
        };
        let pid = Pid::from_raw(self.server.pid() as i32).unwrap();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(micros));
            kill_process(pid, signal).unwrap();
        });
        while !killer.is_finished() || self.server.is_running() {
            self.turn(true);
        }
        killer.join().unwrap();
        let status = self.server.wait().expect("its end");
        match signal {
            // Before it has begun to listen for signals it ends at once.
            Signal::TERM if status.signal() == Some(15) => {}
            Signal::TERM => assert_eq!(status.code(), Some(0), "{status}"),
            _ => assert_eq!(status.signal(), Some(9), "{status}"),
        }
        self.start();
    }

    fn start(&mut self) {
        self.turn(true); // all see the end
        self.run += 1;
        self.record.begin_run();
        let shards = 1 + self.run % 3;
        self.server.launch_again(&Program::Firehose { shards });
    }

    fn end(&mut self) {
        let all = |world: &World| {
            let quiet = world.clients.iter().all(Client::is_quiet);
            quiet && world.record.missing().is_empty()
        };
        self.is_ending = true;
        let since = Instant::now();
        while !all(self) {
            for _ in 0..100 {
                self.turn(true);
            }
            assert!(self.server.is_running(), "the broker runs");
            if since.elapsed() > 2 * PATIENCE {
                let states: Vec<String> = self.clients.iter().map(Client::state).collect();
                let missing = self.record.missing();
                let some = &missing[..missing.len().min(10)];
                panic!(
                    "{} missing: {some:#?}\n{}",
                    missing.len(),
                    states.join("\n")
                );
            }
        }
        self.check_retained();
    }

    /// What is retained, while no client does anything.
    fn check_retained(&mut self) {
        // A broker that is slow has not said all when it has said nothing for a while.
        for attempt in 1.. {
            let found = retained(&self.server);
            let checked = PLANS.iter().enumerate().map(|(author, plan)| {
                let topic = format!("r/{}", plan.id);
                let found = found.iter().find(|(one, _)| *one == topic);
                let payload = found.map(|(_, payload)| &payload[..]);
                self.record.check_retained(author, &topic, payload)
            });
            match checked.collect::<Result<(), String>>() {
                Ok(()) => return,
                Err(wrong) if attempt == 5 => panic!("{wrong}"),
                Err(_) => {}
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.server.kill();
        eprintln!(
            "seed {}, run {}; the run before:\n{}\nthis run:\n{}",
            self.seed,
            self.run,
            self.server.log_before(),
            self.server.log()
        );
        if let Some(to) = std::env::var_os("FIREHOSE_KEEP") {
            let to = Path::new(&to).join(self.seed.to_string());
            let copied = Command::new("cp")
                .arg("-a")
                .arg(&self.store.0)
                .arg(&to)
                .status();
            eprintln!("the store is in {}: {copied:?}", to.display());
        }
    }
}

/// What is retained below `r/`, as a client without a past finds it.
fn retained(server: &Server) -> Vec<(String, Vec<u8>)> {
    let mut client = std::net::TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let connect = Connect {
        version: Version::V5,
        id: "looks",
        ..Connect::default()
    };
    let mut packets = connect.packet();
    packets.extend(mqtt::subscribe(Version::V5, 1, &["r/#"], 0));
    std::io::Write::write_all(&mut client, &packets).unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut found = Vec::new();
    // What is retained follows SUBACK; then nothing comes.
    while let Ok(Some(packet)) = mqtt::read_packet(&mut client) {
        let packet = mqtt::decode(Version::V5, &packet).unwrap();
        if packet.kind == mqtt::PUBLISH {
            let topic = String::from_utf8(packet.topic).unwrap();
            found.retain(|(one, _)| *one != topic);
            if !packet.payload.is_empty() {
                found.push((topic, packet.payload));
            }
        }
    }
    found
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

fn killed(sync: &str) {
    let kills = variable("FIREHOSE_KILLS").map_or(KILLS, |kills| kills as u32);
    let began = Instant::now();
    let mut world = World::new(sync);
    world.until("all subscribe", false, |world| {
        world.clients.iter().all(Client::is_quiet)
    });
    for _ in 0..kills {
        world.kill();
    }
    world.end();
    // What has ended in order is there as well, and nothing comes again.
    let came = world.record.came;
    world.server.terminate();
    let status = world.server.wait().expect("its end");
    assert_eq!(status.code(), Some(0));
    world.start();
    world.until("all are back", true, |world| {
        world.clients.iter().all(Client::is_quiet)
    });
    world.end();
    let record = &world.record;
    println!(
        "{sync}: {kills} kills in {:?}, seed {}: {} messages acknowledged, {} came, {} of them again",
        began.elapsed(),
        world.seed,
        record.owed(),
        record.came,
        record.again
    );
    assert!(record.came - came < 20, "only wills come");
    assert!(record.owed() > 20 * kills as usize, "there is load");
}

#[test]
fn nothing_acknowledged_is_lost_with_group() {
    killed("group");
}

#[test]
fn nothing_acknowledged_is_lost_with_interval() {
    killed("interval 50");
}

#[test]
fn nothing_acknowledged_is_lost_with_none() {
    killed("none");
}
