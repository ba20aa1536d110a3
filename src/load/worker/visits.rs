//! Visits: clients that come, do something and go, again and again.

use std::collections::{HashMap, VecDeque};

use crate::load::arrivals::{self, Arrivals};
use crate::load::job::Group;

use super::command::Times;

/// A step's visits.
pub(super) struct Visits {
    pub(super) group: Group,
    pub(super) start_ns: u64,
    /// From it on no visit begins.
    pub(super) end_ns: u64,
    pub(super) schedule: Option<Arrivals>,
    pub(super) each_max: u32,
    /// Clients that are away and may come, each with when it is due; `None`: when the schedule says so.
    pub(super) waiting: VecDeque<u32>,
    /// Clients that are here.
    pub(super) here: u32,
    /// By client.
    pub(super) made: HashMap<u32, Made>,
}

/// What a client has done.
#[derive(Default)]
pub(super) struct Made {
    pub(super) times: Times,
    pub(super) due_ns: u64,
    pub(super) failed: bool,
}

impl Visits {
    /// From when on nothing is begun.
    pub(super) fn end_ns(&mut self) -> &mut u64 {
        &mut self.end_ns
    }

    pub(super) fn is_busy(&self, now_ns: u64) -> bool {
        self.here > 0 || (!self.waiting.is_empty() && now_ns < self.until_ns())
    }

    /// When no more begin.
    pub(super) fn until_ns(&self) -> u64 {
        match &self.schedule {
            Some(schedule) => {
                arrivals::over_ns(self.start_ns + schedule.next_due_ns(), self.end_ns)
            }
            None => self.end_ns,
        }
    }
}
