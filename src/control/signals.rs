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
    /// One to end has come.
    ending: bool,
    /// What was asked for besides the end while nobody could do it, each once.
    kept: Vec<Wanted>,
}

impl Signals {
    /// Catches them. SIGUSR1, which Mosquitto uses, is caught so that it ends nothing.
    pub(crate) fn register() -> io::Result<Self> {
        let registered = Registered::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])?;
        Ok(Signals {
            registered,
            ending: false,
            kept: Vec::new(),
        })
    }

    /// Ends a wait from another thread.
    pub(crate) fn handle(&self) -> Handle {
        self.registered.handle()
    }

    /// The name of the signal to end, if one has come by now. What else was asked for is kept for `wait`.
    pub(crate) fn end_asked(&mut self) -> Option<&'static str> {
        let came: Vec<i32> = self.registered.pending().collect();
        let mut end = None;
        for signal in came {
            match self.wanted(signal) {
                Some(Wanted::End(name)) => end = Some(name),
                Some(other) if !self.kept.contains(&other) => self.kept.push(other),
                _ => {}
            }
        }
        end
    }

    /// Waits for a signal that asks for something; `None` when the handle was closed. A second request to end is not
    /// discussed: the program exits.
    pub(crate) fn wait(mut self) -> (Self, Option<Wanted>) {
        if !self.kept.is_empty() {
            let first = self.kept.remove(0);
            return (self, Some(first));
        }
        while let Some(signal) = self.registered.forever().next() {
            if let Some(wanted) = self.wanted(signal) {
                return (self, Some(wanted));
            }
        }
        (self, None)
    }

    fn wanted(&mut self, signal: i32) -> Option<Wanted> {
        match signal {
            SIGTERM | SIGINT if self.ending => std::process::exit(128 + signal),
            SIGTERM | SIGINT => {
                self.ending = true;
                let name = match signal {
                    SIGTERM => "SIGTERM",
                    _ => "SIGINT",
                };
                Some(Wanted::End(name))
            }
            SIGHUP => Some(Wanted::Reopen),
            SIGUSR2 => Some(Wanted::Slowest),
            _ => None,
        }
    }
}
