//! Threads that check passwords: few, and only when nobody else wants the CPU, so that however many passwords have to
//! be checked, no message waits for them.

use std::io;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::limits::{PASSWORD_THREADS, PASSWORDS_WAITING_MAX};
use crate::shard::Check;

/// The least that a thread can ask of the CPU.
const NICEST: i32 = 19;

/// Starts the threads. They sleep while there is nothing to check, and end when every sender is gone.
pub(super) fn start() -> io::Result<Sender<Check>> {
    let (sender, checks) = bounded(PASSWORDS_WAITING_MAX);
    for index in 0..PASSWORD_THREADS {
        let checks = checks.clone();
        thread::Builder::new()
            .name(format!("password-{index}"))
            .spawn(move || run(&checks))?;
    }
    Ok(sender)
}

fn run(checks: &Receiver<Check>) {
    // On Linux this is about the calling thread. If it is refused, the passwords are checked all the same.
    let this = Some(rustix::thread::gettid());
    let _ = rustix::process::setpriority_process(this, NICEST);
    while let Ok(check) = checks.recv() {
        check.settle();
    }
}
