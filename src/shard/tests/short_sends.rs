//! Connections that end while the socket has taken a part of a send: nothing of them may be left to their number.

use std::net::Shutdown;
use std::time::Duration;

use super::brain::pattern;
use super::wires::{Kind, Wire};
use super::world::{Plan, World, eventually};

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
