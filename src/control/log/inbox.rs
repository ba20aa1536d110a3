//! What waits for the writer, and in which order it is taken.

use std::time::Duration;

use crossbeam_channel::{Receiver, Select, TryRecvError, never};

use crate::shard::LogLine;

/// The ends at which lines and requests arrive.
pub(super) struct Inbox {
    lines: Receiver<LogLine>,
    own: Receiver<LogLine>,
    reopens: Receiver<()>,
    is_open: bool,
}

/// What the writer is to do next.
pub(super) enum Work {
    /// Open files anew.
    Reopen,
    /// Write a line.
    Line(LogLine),
}

impl Inbox {
    /// For the lines of shards, those of the control thread, and its requests to open files anew.
    pub(super) fn new(
        lines: Receiver<LogLine>,
        own: Receiver<LogLine>,
        reopens: Receiver<()>,
    ) -> Inbox {
        Inbox {
            lines,
            own,
            reopens,
            is_open: true,
        }
    }

    /// Waits until there is something to take, for so long at most; `false` when nothing will come any more.
    pub(super) fn wait(&self, most: Option<Duration>) -> bool {
        if !self.is_open {
            return false;
        }
        let mut select = Select::new();
        for lines in [&self.lines, &self.own] {
            select.recv(lines);
        }
        select.recv(&self.reopens);
        match most {
            Some(most) => drop(select.ready_timeout(most)),
            None => drop(select.ready()),
        }
        true
    }

    /// Takes what comes next, if anything waits. A request to reopen goes before lines: what is logged behind it is for the
    /// new file. The control thread's lines go after those of shards, so that its last one is the last.
    pub(super) fn take(&mut self) -> Option<Work> {
        if self.reopens.try_recv().is_ok() {
            return Some(Work::Reopen);
        }
        let line = match self.lines.try_recv() {
            // Its end is always ready.
            Err(TryRecvError::Disconnected) => {
                self.lines = never();
                self.own.try_recv()
            }
            Err(TryRecvError::Empty) => self.own.try_recv(),
            line => line,
        };
        self.is_open &= !matches!(line, Err(TryRecvError::Disconnected));
        line.ok().map(Work::Line)
    }
}
