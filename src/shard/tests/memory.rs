//! Accounts of memory that have no room: who is let in, and who has to go.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use super::world::{Client, Plan, World, eventually};
use crate::budget::{self, Account, Rung};
use crate::limits;
use crate::shard::Metric;
use crate::transport::{self, tls, websocket};

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// With so many bytes in every account.
fn world(bytes: u64, transport: transport::Plan) -> World {
    World::new(Plan {
        memory: Some(budget::Plan::even(bytes)),
        transport,
        ..Plan::default()
    })
}

fn websockets(headers_bytes_max: usize) -> transport::Plan {
    let options = websocket::Options {
        headers_bytes_max,
        ..websocket::Options::default()
    };
    transport::Plan {
        websocket: Some(Arc::new(options)),
        ..transport::Plan::default()
    }
}

fn tls() -> transport::Plan {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let material = tls::Material {
        certificates: vec![tls::CertifiedFiles {
            chain: made.cert.pem().into_bytes(),
            key: made.signing_key.serialize_pem().into_bytes(),
        }],
        ..tls::Material::default()
    };
    transport::Plan {
        tls: Some(Arc::new(tls::Server::new(&material).unwrap())),
        ..transport::Plan::default()
    }
}

/// Text in a masked frame whose mask is zero.
fn frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    let head = [0x82, 0x80 | text.len() as u8, 0, 0, 0, 0];
    [&head[..], text.as_bytes()].concat()
}

fn upgraded(world: &World) -> Client {
    let mut client = world.connect();
    client.write(REQUEST.as_bytes());
    while !client.line().is_empty() {}
    client
}

fn leased(world: &World, account: Account) -> u64 {
    world.shared.pool().leased(account)
}

#[test]
fn a_connection_that_sockets_have_no_memory_for_is_closed_at_once() {
    let world = world(40 * limits::SOCKET_BYTES, transport::Plan::default());
    let mut clients = Vec::new();
    let mut refused = 0;
    for _ in 0..80 {
        let mut client = world.connect();
        client.say("hello\necho in");
        match client.line_if_alive() {
            Some(line) => {
                assert_eq!(line, "in");
                clients.push(client);
            }
            None => refused += 1,
        }
    }
    assert!((20..=40).contains(&clients.len()), "{}", clients.len());
    assert_eq!(world.metric(Metric::RefusedForMemory), refused);
    let line = world.log.try_recv().unwrap().text;
    assert!(line.contains("denied: memory_limit exceeded"), "{line}");
    assert!(leased(&world, Account::Sockets) >= clients.len() as u64 * limits::SOCKET_BYTES);
    clients.clear();
    eventually("closed", || world.shared.connections() == 0);
    // A shard keeps a little for the next ones.
    eventually("room", || {
        leased(&world, Account::Sockets) <= 5 * limits::SOCKET_BYTES
    });
    clients.extend((0..20).map(|_| world.established()));
    world.end();
}

#[test]
fn refusals_in_words_need_connections_and_the_last_rung_takes_none() {
    let plain = world(1 << 30, transport::Plan::default());
    plain.shared.pool().set_rung(Rung::Drop);
    drop(plain.established());
    plain.shared.pool().set_rung(Rung::Shed);
    assert!(plain.connect().is_dead());
    plain.shared.pool().set_rung(Rung::Calm);
    drop(plain.established());
    plain.end();

    let secret = world(1 << 30, tls());
    let mut client = secret.connect();
    assert!(!client.is_dead_within(Duration::from_millis(50)));
    eventually("counted", || leased(&secret, Account::Transports) > 0);
    secret.shared.pool().set_rung(Rung::Refuse);
    assert!(secret.connect().is_dead());
    assert_eq!(secret.metric(Metric::RefusedForMemory), 1);
    drop(client);
    eventually("closed", || secret.shared.connections() == 0);
    secret.end();
}

/// The shard compares its sum with a fresh count in every turn of a test.
#[test]
fn what_transports_hold_is_counted_exactly() {
    let world = world(1 << 30, websockets(4096));
    let mut clients: Vec<_> = (0..20).map(|_| upgraded(&world)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.write(&frame("hello\n"));
        client.write(&frame(&format!("echo {number}\nblast {}\n", number * 1000)));
        // A ping that is not whole yet.
        client.write(&[0x89, 0x85, 0, 0, 0, 0, b'p', b'i']);
    }
    // Requests that are not whole yet.
    let halves: Vec<_> = (0..20)
        .map(|number| {
            let mut client = world.connect();
            client.write(&REQUEST.as_bytes()[..number * 5 + 1]);
            client
        })
        .collect();
    eventually("forty", || world.shared.connections() == 40);
    let before = world.metric(Metric::Receives);
    clients.truncate(10);
    drop(halves);
    eventually("ten", || world.shared.connections() == 10);
    assert!(world.metric(Metric::Receives) >= before);
    for client in &mut clients {
        client.write(b"ngg");
    }
    drop(clients);
    eventually("none", || world.shared.connections() == 0);
    eventually("a piece", || {
        leased(&world, Account::Transports) <= 2 * limits::LEASE_BYTES_MAX
    });
    world.end();
}

#[test]
fn requests_that_nobody_finishes_are_given_up_before_the_account_is_full() {
    const BYTES: u64 = 2 << 20;
    let world = world(BYTES, websockets(64 << 10));
    let mut healthy = upgraded(&world);
    healthy.write(&frame("hello\n"));
    let mut halves: Vec<_> = (0..80).map(|_| world.connect()).collect();
    for client in &mut halves {
        let start = format!("GET /mqtt HTTP/1.1\r\nX: {}", "x".repeat(60_000));
        let _ = client.socket().write_all(start.as_bytes());
    }
    eventually("given up", || world.metric(Metric::TransportsRefused) > 20);
    assert!(leased(&world, Account::Transports) <= BYTES);
    assert!(world.seen(|seen| seen.failures[0].contains("no memory is left"))[0]);
    // What is kept of the account lets the others go on.
    healthy.write(&frame("echo on\n"));
    let mut answer = [0; 5];
    healthy.socket().read_exact(&mut answer).unwrap();
    assert_eq!(&answer[2..], b"on\n");
    drop(halves);
    drop(healthy);
    eventually("none", || world.shared.connections() == 0);
    world.end();
}

/// A client of another address of this host.
fn neighbour(world: &World) -> std::net::TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let own: std::net::SocketAddr = "127.0.0.2:0".parse().unwrap();
    socket.bind(&own.into()).unwrap();
    socket.connect(&world.address.into()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    socket.into()
}

/// An address that begins requests and ends none has all of the account; its neighbours come in all the same, each of which
/// needs more than is left.
#[test]
fn neighbours_of_who_ends_no_request_come_in() {
    let world = world(2 << 20, websockets(64 << 10));
    let start = format!(
        "{}X: {}\r\n",
        &REQUEST[..REQUEST.len() - 2],
        "x".repeat(60_000)
    );
    let mut halves = Vec::new();
    while world.metric(Metric::TransportsRefused) == 0 {
        let client = world.connect();
        let _ = client.socket().write_all(start.as_bytes());
        halves.push(client);
    }
    let mut all: Vec<_> = (0..4).map(|_| neighbour(&world)).collect();
    let before = leased(&world, Account::Transports);
    for socket in &mut all {
        socket.write_all(start.as_bytes()).unwrap();
    }
    for socket in &mut all {
        socket.write_all(b"\r\n").unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
    }
    assert!(leased(&world, Account::Transports) <= 2 << 20, "{before}");
    let given_up = world.seen(|seen| seen.failures.iter().any(|why| why.contains("its address")));
    assert!(given_up[0]);
    drop((halves, all));
    eventually("none", || world.shared.connections() == 0);
    world.end();
}

/// The same behind a proxy: who gives way is of the client's address that holds most, not of the proxy's, of which all are.
#[test]
fn behind_a_proxy_the_clients_address_gives_way() {
    let plan = transport::Plan {
        proxy: Some(transport::proxy::Rules::default()),
        ..websockets(64 << 10)
    };
    let world = world(2 << 20, plan);
    let known = || -> usize {
        let seen = world.seen(|seen| seen.identified.len());
        seen.iter().sum()
    };
    let refused = || world.metric(Metric::TransportsRefused);
    let begin = |address: &str, text: &str, may_be_refused: bool| {
        let before = (known(), refused());
        let client = world.connect();
        let header = format!("PROXY TCP4 {address} 192.0.2.200 40000 1883\r\n");
        client.socket().write_all(header.as_bytes()).unwrap();
        eventually("identified", || {
            known() > before.0 || may_be_refused && refused() > before.1
        });
        let _ = client.socket().write_all(text.as_bytes());
        client
    };
    let start = format!(
        "{}X: {}\r\n",
        &REQUEST[..REQUEST.len() - 2],
        "x".repeat(60_000)
    );
    // The oldest of all.
    let quiet = begin("192.0.2.2", &REQUEST[..REQUEST.len() - 2], false);
    let mut halves = Vec::new();
    while refused() < 5 {
        halves.push(begin("192.0.2.1", &start, true));
        assert!(halves.len() < 200);
    }
    let loud = begin("192.0.2.3", &start, false);
    for client in [quiet, loud] {
        let _ = client.socket().write_all(b"\r\n");
        let mut answer = [0; 12];
        client.socket().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
    }
    drop(halves);
    eventually("none", || world.shared.connections() == 0);
    world.end();
}

/// The same for TLS, which is refused at accept.
#[test]
fn neighbours_of_who_ends_no_handshake_come_in() {
    let world = world(1 << 20, tls());
    let mut halves = Vec::new();
    while world.metric(Metric::RefusedForMemory) == 0 {
        halves.push(world.connect());
        assert!(halves.len() < 1000);
    }
    let refused = world.metric(Metric::RefusedForMemory);
    let accepted = world.metric(Metric::Accepted);
    let all: Vec<_> = (0..4).map(|_| neighbour(&world)).collect();
    eventually("in", || world.metric(Metric::Accepted) == accepted + 4);
    assert_eq!(world.metric(Metric::RefusedForMemory), refused);
    drop((halves, all));
    eventually("none", || world.shared.connections() == 0);
    world.end();
}

/// Shard 1 sleeps; what is for it fills the mesh by bytes long before the number of messages would.
#[test]
fn messages_of_many_bytes_hold_up_those_who_send_them() {
    const MESSAGES: usize = 300;
    let world = World::new(Plan {
        shards: 2,
        memory: Some(budget::Plan::even(1 << 30)),
        ..Plan::default()
    });
    let at = |shard: usize| {
        let mut client = world.connect();
        client.say(&format!("go {shard}\nhello\necho in"));
        assert_eq!(client.line(), "in");
        client
    };
    let (mut sender, mut sleeper) = (at(0), at(1));
    sleeper.say("nap 500");
    let writer = std::thread::spawn(move || {
        for _ in 0..MESSAGES {
            // Each megabyte is asked for by 32 KiB, so that a buffer has one such wish at most.
            sender.say(&format!("load 1\necho {}", "x".repeat(32 << 10)));
        }
        sender
    });
    let mut most = 0;
    while world
        .shared
        .board(crate::ids::ShardId(0))
        .metrics()
        .get(Metric::MeshCongested)
        == 0
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..200 {
        most = most.max(leased(&world, Account::Mesh));
        std::thread::sleep(Duration::from_millis(1));
    }
    let bound = limits::MESH_WAITING_BYTES_MAX;
    // What the receive buffers had in them is still taken.
    let above = (2 * u64::from(limits::RECV_BUFFERS) + 2) << 20;
    assert!(most > bound && most < bound + above, "{most}");
    let mut sender = writer.join().unwrap();
    for _ in 0..MESSAGES {
        sender.line();
    }
    eventually("all there", || {
        world.seen(|seen| seen.publishes.len())[1] == MESSAGES
    });
    eventually("nothing left", || {
        leased(&world, Account::Mesh) <= 2 * limits::LEASE_BYTES_MAX
    });
    world.end();
}
