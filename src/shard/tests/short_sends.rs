//! Connections that end while the socket has taken a part of a send: nothing of them may be left to their number.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::brain::pattern;
use super::wires::{Kind, Wire};
use super::world::{PATIENCE, Plan, World, eventually};
use crate::shard::{Handshake, Metric, Taken};
use crate::transport::tls;

/// A send buffer so small that every larger send is short.
fn world(kind: Kind) -> World {
    World::new(Plan {
        send_buffer: 4096,
        transport: kind.plan(),
        ..Plan::default()
    })
}

fn established(world: &World, kind: Kind) -> Wire {
    let mut wire = Wire::connect(world, kind);
    wire.say("hello\necho in\n");
    assert_eq!(wire.line(), "in");
    wire
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The brain has it closed at once.
    Kill,
    /// The client shuts its sending side down.
    HalfClose,
    /// The client resets it.
    Reset,
    /// The brain has it closed when all is sent, and the client goes before.
    FlushAndGone,
}

/// A send waits for a full socket. The shard sleeps, the client reads what there is, so that the send goes on and is short, and
/// the shard finds both when it wakes: the end first, then the send.
fn end_in_a_short_send(world: &World, kind: Kind, end: End, nap_ms: u64) {
    let mut wire = established(world, kind);
    wire.say("blast 600000\n");
    assert!(wire.bytes(20_000).into_iter().eq(pattern(20_000)));
    std::thread::sleep(Duration::from_millis(2));
    let nap = Duration::from_millis(nap_ms);
    match end {
        End::Kill => wire.say(&format!("nap {nap_ms}\nkill\n")),
        End::FlushAndGone => wire.say(&format!("nap {nap_ms}\nbye 100000\n")),
        End::HalfClose | End::Reset => {
            wire.say(&format!("nap {nap_ms}\n"));
            std::thread::sleep(nap / 4);
        }
    }
    if let End::HalfClose = end {
        wire.socket.shutdown(Shutdown::Write).unwrap();
    }
    wire.read_for(nap * 2);
    if let End::Reset | End::FlushAndGone = end {
        let socket = socket2::SockRef::from(&wire.socket);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn ends_leave_nothing(kind: Kind) {
    let world = world(kind);
    let ends = [End::Kill, End::HalfClose, End::Reset, End::FlushAndGone];
    let mut closed = 0;
    for round in 0..3 {
        for end in ends {
            end_in_a_short_send(&world, kind, end, 20 + 10 * round);
            closed += 1;
            eventually("closed", || world.seen(|seen| seen.closed)[0] == closed);
        }
    }
    // The numbers are whole: who gets one is answered.
    let mut next: Vec<_> = (0..4).map(|_| established(&world, kind)).collect();
    for wire in &mut next {
        wire.say("blast 100000\necho after\n");
        assert!(wire.bytes(100_000).into_iter().eq(pattern(100_000)));
        assert_eq!(wire.line(), "after");
    }
    drop(next);
    world.end();
}

#[test]
fn plain() {
    ends_leave_nothing(Kind::ALL[0]);
}

#[test]
fn tls() {
    ends_leave_nothing(Kind::ALL[1]);
}

#[test]
fn websocket() {
    ends_leave_nothing(Kind::ALL[2]);
}

#[test]
fn tls_and_websocket() {
    ends_leave_nothing(Kind::ALL[3]);
}

/// Reads for a while what there is.
fn read_for(socket: &mut TcpStream, time: Duration, into: &mut Vec<u8>) {
    socket.set_read_timeout(Some(time)).unwrap();
    let mut bytes = [0; 4096];
    while let Ok(len @ 1..) = socket.read(&mut bytes) {
        into.extend_from_slice(&bytes[..len]);
    }
}

/// The server's answer is so long that its send is short, and goes on while a thread has the transport for the client's next
/// bytes: what the socket takes meanwhile is not sent again.
#[test]
fn a_send_goes_on_while_a_thread_has_the_transport() {
    let names: Vec<String> = (0..900).map(|n| format!("name-{n}.example.org")).collect();
    let (to_threads, threads) = crate::shard::fair(10);
    let world = World::new(Plan {
        send_buffer: 4096,
        transport: Kind::ALL[1].plan_for(&names),
        handshakes: Some(to_threads),
        ..Plan::default()
    });
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1024).unwrap();
    socket.connect(&world.address.into()).unwrap();
    let mut socket = TcpStream::from(socket);
    let verify = tls::Verify::Nothing;
    let plan = tls::ClientPlan::new("localhost", verify, tls::Minimum::V13, false).unwrap();
    let mut out = Vec::new();
    let mut client = tls::Client::new(&plan, &mut out).unwrap();
    socket.write_all(&out).unwrap();
    let step = || due(threads.take_within(PATIENCE));
    step().run().deliver();
    std::thread::sleep(Duration::from_millis(50));
    // ChangeCipherSpec, which means nothing in TLS 1.3.
    socket.write_all(&[0x14, 3, 3, 0, 1, 1]).unwrap();
    let away = step();
    let mut got = Vec::new();
    read_for(&mut socket, Duration::from_millis(100), &mut got);
    assert!(got.len() < 20_000, "{}", got.len());
    away.run().deliver();
    let mut plain = Vec::new();
    while client.is_handshaking() {
        let mut out = Vec::new();
        read_for(&mut socket, Duration::from_millis(50), &mut got);
        client.receive(&mut got, &mut out, &mut plain).unwrap();
        got.clear();
        socket.write_all(&out).unwrap();
    }
    let mut out = Vec::new();
    client.send(b"hello\necho in\n", &mut out).unwrap();
    socket.write_all(&out).unwrap();
    while let Some(Taken::Due(step)) = threads.take_within(Duration::from_millis(100)) {
        step.run().deliver();
    }
    while plain != b"in\n" {
        read_for(&mut socket, Duration::from_millis(50), &mut got);
        client
            .receive(&mut got, &mut Vec::new(), &mut plain)
            .unwrap();
        got.clear();
    }
    drop(socket);
    world.end();
}

fn due(taken: Option<Taken<Handshake>>) -> Handshake {
    match taken {
        Some(Taken::Due(handshake)) => handshake,
        _ => panic!("a handshake is due"),
    }
}

/// A handshake whose place in the queue is another address's now: its connection ends, and nothing of it is left.
#[test]
fn a_handshake_that_has_given_way_ends_its_connection() {
    let (to_threads, threads) = crate::shard::fair(10);
    let world = World::new(Plan {
        transport: Kind::ALL[1].plan_for(&["localhost".to_string()]),
        handshakes: Some(to_threads),
        ..Plan::default()
    });
    let mut socket = TcpStream::connect(world.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let verify = tls::Verify::Nothing;
    let plan = tls::ClientPlan::new("localhost", verify, tls::Minimum::V13, false).unwrap();
    let mut out = Vec::new();
    let _client = tls::Client::new(&plan, &mut out).unwrap();
    socket.write_all(&out).unwrap();
    due(threads.take_within(PATIENCE)).give_up().deliver();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    eventually("it is counted", || {
        world.metric(Metric::HandshakesRefused) == 1
    });
    let failures = world.seen(|seen| seen.failures.clone()).concat();
    assert_eq!(failures, ["too many TLS handshakes are waiting"]);
    drop(socket);
    world.end();
}

/// The socket takes the last of it when the client has read the most of it.
fn waiting_is_seen(kind: Kind) {
    const NAP: Duration = Duration::from_millis(150);
    const BYTES: usize = 600_000;
    let world = world(kind);
    let mut wire = established(&world, kind);
    wire.say(&format!("blast {BYTES}\n"));
    std::thread::sleep(NAP);
    assert!(wire.bytes(BYTES).into_iter().eq(pattern(BYTES)));
    eventually("the sends are over", || {
        world.report(0).delivery_us.max() >= NAP.as_micros() as u64
    });
    let delivery_us = world.report(0).delivery_us;
    assert!(delivery_us.max() < PATIENCE.as_micros() as u64);
    // The answer before that did not wait for the client.
    assert!(delivery_us.min() < NAP.as_micros() as u64 / 2);
    world.end();
}

#[test]
fn how_long_output_waits_is_seen_on_all_transports() {
    Kind::ALL.into_iter().for_each(waiting_is_seen);
}
