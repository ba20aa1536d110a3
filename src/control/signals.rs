//! Signals: SIGTERM and SIGINT end the broker (the second one at once), SIGHUP reopens log files,
//! SIGUSR2 asks for the slowest clients.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals as Registered};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// End in order, for the signal of this name.
    End(&'static str),
    /// Reopen log files.
    Reopen,
    /// Tell of the slowest clients.
    Slowest,
}

/// The signals that the broker handles, caught from here on.
pub(crate) struct Signals {
    registered: Registered,
    ending: bool,
}

impl Signals {
    /// Catches them. SIGUSR1, which Mosquitto uses, is caught so that it ends nothing.
    pub(crate) fn register() -> io::Result<Self> {
        let registered = Registered::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])?;
        Ok(Signals {
            registered,
            ending: false,
        })
    }

    /// Ends a wait from another thread.
    pub(crate) fn handle(&self) -> Handle {
        self.registered.handle()
    }

    /// Waits for a signal that asks for something; `None` when the handle was closed. A second request to end is not
    /// discussed: the program exits.
    pub(crate) fn wait(mut self) -> (Self, Option<Wanted>) {
        while let Some(signal) = self.registered.forever().next() {
            match signal {
                SIGTERM | SIGINT if self.ending => std::process::exit(128 + signal),
                SIGTERM | SIGINT => {
                    self.ending = true;
                    let name = match signal {
                        SIGTERM => "SIGTERM",
                        _ => "SIGINT",
                    };
                    return (self, Some(Wanted::End(name)));
                }
                SIGHUP => return (self, Some(Wanted::Reopen)),
                SIGUSR2 => return (self, Some(Wanted::Slowest)),
                _ => {}
            }
        }
        (self, None)
    }
}
