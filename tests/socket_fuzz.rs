//! Clients over all transports that end in every way while much is on its way to them, from a seed, for some seconds. After that
//! new plain clients are all answered: nothing of a connection is left to its number.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/stream.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod stream;
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use certificates::Certificates;
use stream::{Kind, Stream};
use support::client::Client;
use support::mqtt::{self, Connect, Publish, Version};
use support::{Program, Server, free_port};

/// How long the clients come and go.
const SECONDS: u64 = 7;
/// More than there are numbers in use at a time.
const NEW_CLIENTS: usize = 300;
/// Bytes of each message of the flood.
const MESSAGE: usize = 6000;

/// Where each kind of client connects to.
type Ports = [u16; 4];

fn start(certificates: &Certificates) -> (Server, Ports) {
    let ports: [u16; 3] = std::array::from_fn(|_| free_port());
    let (certificate, key) = (
        certificates.file("server.crt"),
        certificates.file("server.key"),
    );
    let tls = format!("certfile {certificate}\nkeyfile {key}");
    // So little memory that sends are short: what a socket takes is bounded.
    let lines = [
        "memory_limit 300M".to_owned(),
        "log_type error".to_owned(),
        "log_type warning".to_owned(),
        format!("listener {} 127.0.0.1\n{tls}", ports[0]),
        format!("listener {} 127.0.0.1\nprotocol websockets", ports[1]),
        format!(
            "listener {} 127.0.0.1\nprotocol websockets\n{tls}",
            ports[2]
        ),
    ];
    let server = Server::start(&Program::Firehose { shards: 2 }, &lines);
    let ports = [server.port, ports[0], ports[1], ports[2]];
    (server, ports)
}

/// Publishes to everybody for as long as it may.
fn flood(to: SocketAddr, ends: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut publisher = Client::connect(to, 4, "flood", true, None);
        let payload = vec![b'f'; MESSAGE];
        while !ends.load(Ordering::Relaxed) {
            publisher.publish_burst("f/x", &payload, 8);
            std::thread::sleep(Duration::from_millis(2));
        }
        publisher.disconnect();
    })
}

/// One client after another, several at a time, each of which ends in some way.
fn come_and_go(kind: Kind, to: SocketAddr, seed: u64, until: Instant, done: &AtomicU64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut open: Vec<Stream> = Vec::new();
    while Instant::now() < until {
        let receive_buffer = random.bool().then_some(4096);
        // One that is turned away or ends early is no concern of this test.
        if let Some(mut client) = Stream::connect(kind, to, receive_buffer) {
            let id = format!("{kind:?} {}", random.u32(..));
            let connect = Connect {
                id: &id,
                keep_alive: 60,
                ..Connect::default()
            };
            client.send(&connect.packet());
            client.send(&mqtt::subscribe(Version::V311, 1, &["f/#"], 0));
            open.push(client);
        }
        for client in &mut open {
            live(client, &mut random);
        }
        while open.len() > 6 || (!open.is_empty() && random.u8(..4) > 0) {
            let client = open.swap_remove(random.usize(..open.len()));
            end(client, &mut random);
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Reads fast, slowly or not, and sends something now and then.
fn live(client: &mut Stream, random: &mut fastrand::Rng) {
    match random.u8(..6) {
        0..=2 => client.read_for(Duration::from_millis(random.u64(..12)), 64 << 10),
        3 => client.read_for(Duration::from_millis(2), random.usize(1..3000)),
        4 => {
            let message = Publish {
                topic: "g",
                payload: &vec![b'g'; random.usize(..5000)],
                ..Publish::default()
            };
            client.send(&message.packet());
        }
        _ => {}
    }
}

fn end(mut client: Stream, random: &mut fastrand::Rng) {
    match random.u8(..7) {
        // What comes is read as fast as it can be, while the sending side is shut down: the broker ends in the middle.
        0..=2 => {
            client.half_close();
            client.read_for(Duration::from_millis(random.u64(..10)), 64 << 10);
        }
        3 => client.reset_on_close(),
        4 => {
            client.send(&mqtt::GOODBYE);
            client.read_for(Duration::from_millis(random.u64(..10)), 64 << 10);
        }
        // No packet of MQTT.
        5 => {
            client.send(&[0xff; 16]);
            client.read_for(Duration::from_millis(random.u64(..10)), 64 << 10);
        }
        _ => client.say_goodbye(),
    }
}

/// The seed that is asked for, or any.
fn seed() -> u64 {
    let asked = std::env::var("FIREHOSE_SOCKETS_SEED").ok();
    asked.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap())
}

#[test]
fn whoever_ends_however_new_clients_are_answered() {
    let seed = seed();
    println!("FIREHOSE_SOCKETS_SEED={seed}");
    let certificates = Certificates::new();
    let (mut server, ports) = start(&certificates);
    let ends = Arc::new(AtomicBool::new(false));
    let flood = flood(server.address(), ends.clone());
    let done = AtomicU64::new(0);
    let until = Instant::now() + Duration::from_secs(SECONDS);
    std::thread::scope(|scope| {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[index]));
            let (done, seed) = (&done, seed.wrapping_add(index as u64));
            scope.spawn(move || come_and_go(kind, to, seed, until, done));
        }
    });
    ends.store(true, Ordering::Relaxed);
    let flooded = flood.join();
    println!("{} clients came and went", done.load(Ordering::Relaxed));
    assert!(server.is_running(), "it ended:\n{}", server.log());
    flooded.unwrap();
    // All of them at once, so that every number comes up; each is answered, or `connect` fails.
    let mut clients: Vec<_> = (0..NEW_CLIENTS)
        .map(|n| Client::connect(server.address(), 4, &format!("new {n}"), true, None))
        .collect();
    clients.iter_mut().for_each(Client::ping);
    drop(clients);
    server.terminate();
    let status = server.wait().expect("it ends");
    assert!(status.success(), "{status}:\n{}", server.log());
}
