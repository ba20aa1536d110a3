//! An opening of a group: connections come into being at a rate, or as fast as they are taken.

use crate::load::arrivals::{self, Arrivals};
use crate::load::job::Open;

/// An opening of a group that is under way.
pub(super) struct Opening {
    pub(super) open: Open,
    pub(super) start_ns: u64,
    /// From it on nothing more is opened.
    pub(super) end_ns: u64,
    pub(super) schedule: Option<Arrivals>,
    /// Connections that are still to be begun.
    pub(super) next: u32,
    pub(super) end: u32,
    /// Those begun and not open yet.
    pub(super) under_way: usize,
    /// Whether it is over only when all have the messages that they wait for.
    pub(super) awaits_goals: bool,
    /// Subscribers that still wait for messages.
    pub(super) goals_left: u32,
}

impl Opening {
    /// From when on nothing is begun.
    pub(super) fn end_ns(&mut self) -> &mut u64 {
        &mut self.end_ns
    }

    pub(super) fn is_busy(&self) -> bool {
        self.next < self.end || self.under_way > 0 || self.goals_left > 0
    }

    /// When no more are begun.
    pub(super) fn until_ns(&self) -> u64 {
        match &self.schedule {
            Some(schedule) => {
                arrivals::over_ns(self.start_ns + schedule.next_due_ns(), self.end_ns)
            }
            None => self.end_ns,
        }
    }

    /// Nothing more is begun.
    pub(super) fn stop(&mut self) {
        self.end = self.next;
    }
}
