//! The limits of a public bus, over real sockets: who takes too much is held back, and the others feel nothing.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::client::Client;
use support::mqtt::{self, Connect, Publish, Version};
use support::{PATIENCE, Program, Server};

const GOOD: Ipv4Addr = Ipv4Addr::LOCALHOST;
const BAD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

fn start(config: &[&str]) -> Server {
    let config: Vec<String> = config.iter().map(|line| line.to_string()).collect();
    Server::start(&Program::Firehose { shards: 2 }, &config)
}

fn connect(server: &Server, from: Ipv4Addr, id: &str) -> Client {
    Client::connect_from(from, server.address(), 4, id, true, None)
}

/// A socket from this address, as far as the kernel has connected it.
fn socket(to: SocketAddr, from: Ipv4Addr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Ports of the many connections before it may be used again at once.
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// Whether the broker answers a CONNECT on this socket; if not, it has closed it.
fn is_let_in(stream: &mut TcpStream) -> bool {
    let connect = Connect::default().packet();
    let mut connack = [0; 4];
    if stream.write_all(&connect).is_err() {
        return false;
    }
    match stream.read_exact(&mut connack) {
        Ok(()) => connack == [0x20, 2, 0, 0],
        Err(error) => {
            let gone = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
            assert!(gone.contains(&error.kind()), "{error}");
            false
        }
    }
}

fn lines(server: &Server, text: &str) -> usize {
    let log = server.log();
    log.lines().filter(|line| line.contains(text)).count()
}

/// Waits until the log has so many such lines.
fn says(server: &Server, text: &str, count: usize) {
    let started = Instant::now();
    while lines(server, text) < count {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Round trips of PINGREQ until told to stop, sorted.
fn pings(client: &mut Client, stop: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        client.ping();
        times.push(started.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    times.sort();
    times
}

#[test]
fn a_flood_of_connects_from_one_address_is_bounded_and_the_others_feel_nothing() {
    let server = start(&[
        "max_connections_per_address 20",
        "max_connection_rate_per_address 0",
        "limit_local_addresses true",
        "connection_messages false",
    ]);
    let mut good = connect(&server, GOOD, "good");
    let stop = AtomicBool::new(false);
    let (times, refused) = std::thread::scope(|scope| {
        let times = scope.spawn(|| pings(&mut good, &stop));
        let flood = scope.spawn(|| {
            let mut kept: Vec<TcpStream> = (0..20).map(|_| socket(server.address(), BAD)).collect();
            assert!(kept.iter_mut().all(is_let_in));
            let (started, mut refused) = (Instant::now(), 0);
            while started.elapsed() < Duration::from_secs(2) {
                let mut wave: Vec<_> = (0..100).map(|_| socket(server.address(), BAD)).collect();
                assert!(!wave.iter_mut().any(is_let_in), "one too many");
                refused += wave.len();
            }
            refused
        });
        std::thread::sleep(Duration::from_secs(1));
        let mut other = connect(&server, OTHER, "other");
        other.ping();
        let refused = flood.join().unwrap();
        stop.store(true, Ordering::Relaxed);
        (times.join().unwrap(), refused)
    });
    let (half, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{refused} refused; PINGRESP half {half:?}, worst {worst:?}");
    assert!(half < Duration::from_millis(20), "{half:?}");
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    let said = lines(&server, "denied: max_connections_per_address exceeded");
    assert!((1..=10).contains(&said), "{said} lines about {refused}");
    drop(good);
    // The flood is over, and so is what it was refused.
    let again = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        is_let_in(&mut socket(server.address(), BAD))
    });
    assert!(again, "its connections were taken back");
}

#[test]
fn connections_that_come_too_fast_are_closed_before_they_say_anything() {
    let server = start(&[
        "max_connections_per_address 0",
        "max_connection_rate_per_address 3/s",
        "limit_local_addresses true",
    ]);
    let started = Instant::now();
    let let_in = |from, count| {
        let tries = 0..count;
        tries
            .filter(|_| is_let_in(&mut socket(server.address(), from)))
            .count()
    };
    let burst = let_in(BAD, 60);
    let most = 30 + 3 * (started.elapsed().as_secs() as usize + 1);
    assert!((30..=most).contains(&burst), "{burst}");
    assert_eq!(let_in(OTHER, 20), 20, "another address");
    std::thread::sleep(Duration::from_millis(1100));
    let later = let_in(BAD, 60);
    let most = 30 + 3 * (started.elapsed().as_secs() as usize + 1);
    assert!(later >= 3 && burst + later <= most, "{burst}, {later}");
    let said = lines(&server, "denied: max_connection_rate_per_address exceeded");
    assert!((1..=5).contains(&said), "{said}");
}

#[test]
fn some_of_those_that_come_too_fast_are_told_so() {
    let server = start(&[
        "max_connections_per_address 0",
        "max_connection_rate_per_address 1/s",
        "limit_local_addresses true",
    ]);
    let answer = |connect: &[u8]| {
        let mut stream = socket(server.address(), BAD);
        let mut answer = Vec::new();
        let sent = stream.write_all(connect);
        let read = sent.and_then(|()| stream.read_to_end(&mut answer));
        assert!(read.is_ok() || answer.is_empty(), "{read:?}");
        answer
    };
    let burst: Vec<TcpStream> = (0..30).map(|_| socket(server.address(), BAD)).collect();
    let [v311, v5] = [Version::V311, Version::V5].map(|version| {
        let connect = Connect {
            version,
            ..Connect::default()
        };
        connect.packet()
    });
    assert_eq!(answer(&v311), [0x20, 2, 0, 3]);
    assert_eq!(answer(&v5)[..4], [0x20, 3, 0, 0x9f]);
    // Those who say nothing are a bounded number; beyond it nobody is told.
    let silent: Vec<TcpStream> = (0..250).map(|_| socket(server.address(), BAD)).collect();
    let started = Instant::now();
    while !answer(&v5).is_empty() {
        assert!(started.elapsed() < PATIENCE, "everybody is let in");
    }
    drop((burst, silent));
}

#[test]
fn this_hosts_own_addresses_are_not_limited_unless_asked_for() {
    let server = start(&[
        "max_connections_per_address 1",
        "max_connection_rate_per_address 1",
    ]);
    let mut streams: Vec<_> = (0..100).map(|_| socket(server.address(), BAD)).collect();
    assert!(streams.iter_mut().all(is_let_in));
}

#[test]
fn behind_a_proxy_the_address_is_the_clients() {
    let server = start(&[
        "enable_proxy_protocol true",
        "max_connections_per_address 2",
    ]);
    let arrive = |address: &str| {
        let mut stream = socket(server.address(), GOOD);
        let header = format!("PROXY TCP4 {address} 192.0.2.200 40000 1883\r\n");
        stream.write_all(header.as_bytes()).unwrap();
        is_let_in(&mut stream).then_some(stream)
    };
    let first = arrive("192.0.2.1").expect("the first");
    let second = arrive("192.0.2.1").expect("the second");
    assert!(arrive("192.0.2.1").is_none());
    let other = arrive("192.0.2.2").expect("of another address");
    drop((first, other));
    let started = Instant::now();
    while arrive("192.0.2.1").is_none() {
        assert!(started.elapsed() < PATIENCE, "its place is not free");
    }
    drop(second);
    says(
        &server,
        "from 192.0.2.1 denied: max_connections_per_address",
        1,
    );
}

/// A PUBLISH of QoS 1 or 0 to `t`.
fn publish(id: u16, payload: usize) -> Vec<u8> {
    let message = Publish {
        topic: "t",
        payload: &vec![b'x'; payload],
        qos: u8::from(id > 0),
        id,
        ..Publish::default()
    };
    message.packet()
}

#[test]
fn who_publishes_too_fast_waits_loses_nothing_and_holds_nobody_up() {
    let server = start(&["max_publish_rate 100/s", "max_inflight_messages 0"]);
    let mut good = connect(&server, GOOD, "good");
    let mut fast = socket(server.address(), GOOD);
    assert!(is_let_in(&mut fast));
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let times = std::thread::scope(|scope| {
        let times = scope.spawn(|| pings(&mut good, &stop));
        let packets: Vec<u8> = (1..=300).flat_map(|id| publish(id, 200)).collect();
        fast.write_all(&packets).unwrap();
        let mut acks = vec![0; 300 * 4];
        fast.read_exact(&mut acks).unwrap();
        stop.store(true, Ordering::Relaxed);
        for (ack, id) in acks.chunks(4).zip(1u16..) {
            assert_eq!(ack, [0x40, 2, (id >> 8) as u8, id as u8]);
        }
        times.join().unwrap()
    });
    let took = started.elapsed();
    assert!(took > Duration::from_millis(1900), "{took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let half = times[times.len() / 2];
    assert!(half < Duration::from_millis(20), "{half:?}");
    assert_eq!(lines(&server, "publishes too fast"), 1);
}

/// What it sends stays with it: the broker keeps no more than what was on its way.
#[test]
fn tcp_makes_a_publisher_wait() {
    let server = start(&["max_publish_rate 10"]);
    let mut fast = socket(server.address(), GOOD);
    assert!(is_let_in(&mut fast));
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() / 1024
    };
    let before = memory();
    fast.set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let packets = publish(0, 10_000).repeat(10);
    let mut written = 0;
    while written < 500 << 20 {
        match fast.write(&packets) {
            Ok(count) => written += count,
            Err(_) => break,
        }
    }
    assert!(written < 100 << 20, "{written} bytes were taken");
    let more = memory().saturating_sub(before);
    assert!(more < 40, "{more} MiB more");
    let mut good = connect(&server, GOOD, "good");
    good.ping();
    drop(fast);
    good.ping();
}

#[test]
fn subscriptions_and_topics_have_bounds_that_answers_tell_of() {
    let server = start(&[
        "max_subscriptions_per_client 2",
        "max_topic_levels 4",
        "min_wildcard_depth 1",
    ]);
    let ask = |filters: &[&str]| {
        let mut stream = socket(server.address(), GOOD);
        assert!(is_let_in(&mut stream));
        let subscribe = mqtt::subscribe(Version::V311, 1, filters, 0);
        stream.write_all(&subscribe).unwrap();
        let mut suback = vec![0; 4 + filters.len()];
        stream.read_exact(&mut suback).unwrap();
        suback.split_off(4)
    };
    assert_eq!(ask(&["a", "b", "c", "a"]), [0, 0, 0x80, 0]);
    assert_eq!(ask(&["#", "a/#", "+/a"]), [0x80, 0, 0x80]);
    assert_eq!(ask(&["a/b/c/d", "a/b/c/d/e"]), [0, 0x80]);
    let mut stream = socket(server.address(), GOOD);
    assert!(is_let_in(&mut stream));
    let deep = Publish {
        topic: "a/b/c/d/e",
        ..Publish::default()
    };
    stream.write_all(&deep.packet()).unwrap();
    let closed = stream.read(&mut [0; 1]);
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    says(&server, "may not subscribe", 4);
}

/// CONNACK's code for a client of MQTT 3.1.1 or 5.
fn connack(server: &Server, version: u8, id: &str, clean: bool) -> (TcpStream, u8) {
    let mut stream = socket(server.address(), GOOD);
    let connect = Connect {
        version: Version::of_level(version),
        id,
        resumes: !clean,
        keep_alive: 60,
        ..Connect::default()
    };
    stream.write_all(&connect.packet()).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    (stream, answer[3])
}

/// Sessions of clients that are there and of those that are away count, on all shards together. Who has one may always
/// come back, and one that ends makes room.
#[test]
fn sessions_of_the_whole_broker_are_bounded() {
    let server = start(&["global_max_clients 6"]);
    let ids: Vec<String> = (0..6).map(|number| format!("client-{number}")).collect();
    let mut there: Vec<TcpStream> = ids[..4]
        .iter()
        .map(|id| {
            let (stream, code) = connack(&server, 4, id, true);
            assert_eq!(code, 0, "{id}");
            stream
        })
        .collect();
    for id in &ids[4..] {
        // Away, with a session that stays.
        let (mut stream, code) = connack(&server, 4, id, false);
        assert_eq!(code, 0, "{id}");
        stream.write_all(&mqtt::GOODBYE).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    for (version, busy) in [(4, 3), (5, 0x89)] {
        for number in 0..8 {
            let id = format!("more-{number}");
            assert_eq!(connack(&server, version, &id, true).1, busy, "{id}");
        }
    }
    // Each of the six, by takeover, by coming back and with a clean start.
    for id in &ids {
        for clean in [false, true] {
            assert_eq!(connack(&server, 4, id, clean).1, 0, "{id}");
        }
    }
    there.clear();
    let started = Instant::now();
    while connack(&server, 4, "room", true).1 != 0 {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = server.reconfigure(&["global_max_clients 1".into()]);
    assert!(log.contains("Settings of the broker have changed"), "{log}");
    let _held = loop {
        let (stream, code) = connack(&server, 4, "one", true);
        if code == 0 {
            break stream;
        }
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(connack(&server, 4, "two", true).1, 3);
}
