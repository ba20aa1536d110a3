//! Publishers of messages of mixed sizes make progress in every second, whatever buffers the broker has chosen: over loopback,
//! whose segments have 64 KiB, and over a link between network namespaces with the segments of Ethernet.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use support::mqtt::{self, Connect, Publish};
use support::{PATIENCE, Program, Server};

const PUBLISHERS: usize = 12;
const SECONDS: usize = 4;
/// One that stands still has some 60 KB a second: what its socket probes the window with.
const SLOW_BYTES: u64 = 200_000;

fn start(limit: &str, address: Option<Ipv4Addr>) -> (Server, u16) {
    let port = support::free_port();
    let address = address.unwrap_or(Ipv4Addr::LOCALHOST);
    let lines = [
        format!("memory_limit {limit}"),
        "log_type all".into(),
        format!("listener {port} {address}"),
    ];
    let server = Server::start(&Program::Firehose { shards: 2 }, &lines);
    (server, port)
}

/// A PUBLISH with QoS 0 of so many bytes, about.
fn publish(bytes: usize) -> Vec<u8> {
    let message = Publish {
        topic: "m/x",
        payload: &vec![7; bytes.saturating_sub(8).max(1)],
        ..Publish::default()
    };
    message.packet()
}

/// Some messages of one size, now and then a larger one, then many at once.
fn publish_mixed_sizes(to: SocketAddr, seed: u64, sent: &AtomicU64, ends: &AtomicBool) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let connect = Connect {
        id: &format!("s{seed}"),
        ..Connect::default()
    };
    stream.write_all(&connect.packet()).unwrap();
    let connack = mqtt::read_packet(&mut stream).unwrap();
    assert_eq!(connack, Some(mqtt::connack(0)));
    let mut random = fastrand::Rng::with_seed(seed);
    while !ends.load(Ordering::Relaxed) {
        let size = random.usize(100..1500);
        for number in 0..random.u32(3..33) {
            let more = if number % 5 == 4 {
                random.usize(..400)
            } else {
                0
            };
            let packet = publish(size + more);
            stream.write_all(&packet).unwrap();
            sent.fetch_add(packet.len() as u64, Ordering::Relaxed);
            std::thread::sleep(Duration::from_micros(random.u64(..200)));
        }
        let mut many = Vec::new();
        let most = random.usize(..300_000);
        while many.len() < most {
            many.extend_from_slice(&publish(random.usize(20..30_000)));
        }
        // In parts, so that a socket that takes little is seen to.
        for part in many.chunks(16 << 10) {
            stream.write_all(part).unwrap();
            sent.fetch_add(part.len() as u64, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(random.u64(..8)));
    }
}

/// Publishes for some seconds; from inside a network namespace where one is given.
fn run(to: SocketAddr, namespace: Option<&File>) {
    let ends = AtomicBool::new(false);
    let sent: Vec<_> = (0..PUBLISHERS).map(|_| AtomicU64::new(0)).collect();
    let mut slow = [0; PUBLISHERS];
    std::thread::scope(|scope| {
        for (seed, sent) in sent.iter().enumerate() {
            let ends = &ends;
            scope.spawn(move || {
                if let Some(namespace) = namespace {
                    enter(namespace);
                }
                publish_mixed_sizes(to, seed as u64, sent, ends);
            });
        }
        let mut before = [0; PUBLISHERS];
        for _ in 0..SECONDS {
            std::thread::sleep(Duration::from_secs(1));
            for (index, sent) in sent.iter().enumerate() {
                let now = sent.load(Ordering::Relaxed);
                slow[index] += usize::from(now - before[index] < SLOW_BYTES);
                before[index] = now;
            }
        }
        ends.store(true, Ordering::Relaxed);
    });
    // The machine may have other things to do for a second.
    assert!(slow.iter().all(|slow| *slow <= 1), "slow seconds: {slow:?}");
}

/// What the broker says about its sockets: soon after it is ready, for the log is written beside.
fn buffers(server: &Server) -> String {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("Memory: sockets "));
        if let Some(line) = line {
            return line.to_owned();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no line about sockets:\n{}", server.log());
}

/// A limit with which buffers are bounded on this machine: 1500M, unless few descriptors make that ample.
fn small(address: Option<Ipv4Addr>) -> (Server, u16) {
    let started = ["1500M", "300M", "100M"].map(|limit| move || start(limit, address));
    started
        .into_iter()
        .map(|start| start())
        .find(|(server, _)| buffers(server).contains("segments"))
        .expect("bounded buffers in 100 MB")
}

fn over_loopback_with_small_buffers() {
    let (_server, port) = small(None);
    run(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), None);
}

fn over_loopback_with_the_kernels_buffers() {
    let lines = ["max_connections 20".to_owned(), "log_type all".to_owned()];
    let server = Server::start(&Program::Firehose { shards: 2 }, &lines);
    assert!(!buffers(&server).contains("segments"));
    run(server.address(), None);
}

/// Two network namespaces with a link between them; removed when dropped.
struct Link {
    names: [String; 2],
}

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

impl Link {
    /// `None` where this is not allowed.
    fn new() -> Option<Link> {
        let names = ["a", "b"].map(|end| format!("firehose-{}-{end}", std::process::id()));
        let link = Link { names };
        let [a, b] = &link.names;
        for name in &link.names {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&[
            "-n", a, "link", "add", "v0", "mtu", "1500", "type", "veth", "peer", "name", "v0",
            "mtu", "1500", "netns", b,
        ])?;
        for (name, address) in link.names.iter().zip(ADDRESSES) {
            let address = format!("{address}/30");
            ip(&["-n", name, "address", "add", &address, "dev", "v0"])?;
            ip(&["-n", name, "link", "set", "v0", "up"])?;
        }
        Some(link)
    }

    fn end(&self, index: usize) -> File {
        File::open(format!("/run/netns/{}", self.names[index])).unwrap()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Option<()> {
    let output = Command::new("ip").args(arguments).output().ok()?;
    output.status.success().then_some(())
}

/// The calling thread, and what it starts, is in that network namespace from here on.
fn enter(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn over_a_link_with_small_buffers() {
    let Some(link) = Link::new() else {
        support::cannot("network namespaces cannot be made (root and `ip` are needed)");
    };
    let inside = link.end(0);
    let starter = std::thread::spawn(move || {
        enter(&inside);
        small(Some(ADDRESSES[0]))
    });
    let (_server, port) = starter.join().unwrap();
    run(SocketAddr::from((ADDRESSES[0], port)), Some(&link.end(1)));
}

cases![
    over_loopback_with_small_buffers,
    over_loopback_with_the_kernels_buffers,
    over_a_link_with_small_buffers,
];
