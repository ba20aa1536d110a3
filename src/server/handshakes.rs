//! Threads that work on TLS handshakes: behind the shards where both want the CPU, so that a storm of clients that
//! connect delays those that are connected as little as possible, and not so far behind that nobody gets in. Source addresses have
//! their turns (`shard::fair`).

use std::io;
use std::thread;

use crate::limits::{HANDSHAKE_NICENESS, HANDSHAKE_THREADS_MAX, HANDSHAKES_WAITING_MAX};
use crate::shard::{Entrance, Exit, Handshake, Taken, fair};

/// Starts the threads. They sleep while there is nothing to do, and end when every entrance is gone.
pub(super) fn start(shards: u8) -> io::Result<Entrance<Handshake>> {
    let (sender, handshakes) = fair(HANDSHAKES_WAITING_MAX);
    for index in 0..usize::from(shards).clamp(1, HANDSHAKE_THREADS_MAX) {
        let handshakes = handshakes.clone();
        thread::Builder::new()
            .name(format!("handshake-{index}"))
            .spawn(move || run(&handshakes))?;
    }
    Ok(sender)
}

fn run(handshakes: &Exit<Handshake>) {
    // On Linux this is about the calling thread. If it is refused, the work is done all the same.
    let this = Some(rustix::thread::gettid());
    let _ = rustix::process::setpriority_process(this, HANDSHAKE_NICENESS);
    while let Some(taken) = handshakes.take() {
        let answer = match taken {
            Taken::Due(handshake) => handshake.run(),
            Taken::GivenUp(handshake) => handshake.give_up(),
        };
        answer.deliver();
    }
}
