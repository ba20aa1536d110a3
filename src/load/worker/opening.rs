//! An opening of a group: connections come into being at a rate, or as fast as they are taken.

use crate::limits;
use crate::load::arrivals::{self, Arrivals};
use crate::load::job::{Group, Open, Timed};
use crate::uring::RingError;

use super::network::Network;

/// An opening of a group that is under way.
pub(super) struct Opening {
    open: Open,
    start_ns: u64,
    /// From it on nothing more is opened.
    end_ns: u64,
    schedule: Option<Arrivals>,
    /// Connections that are still to be begun.
    next: u32,
    end: u32,
    /// Those begun and not open yet.
    under_way: usize,
    /// Whether it is over only when all have the messages that they wait for.
    awaits_goals: bool,
    /// Subscribers that still wait for messages.
    goals_left: u32,
}

impl Opening {
    /// To open all of a group from `start_ns` until `end_ns`; a worker's part of it.
    pub(super) fn new(
        open: Open,
        network: &Network,
        worker: u32,
        (start_ns, end_ns): (u64, u64),
    ) -> Self {
        let range = network.of(open.group);
        let (worker, workers) = (u64::from(worker), u64::from(network.job.workers));
        let constant = |rate| Arrivals::constant(rate, worker, workers);
        Opening {
            start_ns,
            end_ns,
            schedule: open.rate.map(constant),
            next: range.start,
            end: range.end,
            under_way: 0,
            awaits_goals: end_ns < u64::MAX && open.timed == Timed::Goal,
            goals_left: 0,
            open,
        }
    }

    /// Begins the connections that are due; when the next one is.
    pub(super) fn open_due(
        &mut self,
        network: &mut Network,
        now_ns: u64,
    ) -> Result<u64, RingError> {
        loop {
            if now_ns >= self.until_ns() {
                self.stop();
            }
            if self.next >= self.end {
                return Ok(u64::MAX);
            }
            let due_ns = match &self.schedule {
                Some(schedule) => self.start_ns + schedule.next_due_ns(),
                None if self.under_way >= limits::LOAD_OPENING_MAX => return Ok(u64::MAX),
                None => now_ns.max(self.start_ns),
            };
            if due_ns > now_ns {
                return Ok(due_ns);
            }
            let index = self.next;
            self.next += 1;
            self.under_way += 1;
            if let Some(schedule) = &mut self.schedule {
                schedule.advance();
            }
            let connection = &mut network.protocol.connections[index as usize];
            let is_subscriber = self.open.group == Group::Subscribers;
            connection.timed = Some(self.open.timed).filter(|&timed| timed != Timed::No);
            connection.goal_left = if is_subscriber { self.open.goal } else { 0 };
            self.goals_left += u32::from(self.awaits_goals && connection.goal_left > 0);
            network.forget = self.open.forget;
            network.connect(index, due_ns, now_ns)?;
        }
    }

    /// One that was begun is open, or has failed.
    pub(super) fn is_decided(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A subscriber has the messages that it waited for, or will not have them.
    pub(super) fn goal_is_decided(&mut self) {
        self.goals_left = self.goals_left.saturating_sub(1);
    }

    /// From when on nothing is begun.
    pub(super) fn end_ns(&mut self) -> &mut u64 {
        &mut self.end_ns
    }

    pub(super) fn is_busy(&self) -> bool {
        self.next < self.end || self.under_way > 0 || self.goals_left > 0
    }

    /// When no more are begun.
    fn until_ns(&self) -> u64 {
        match &self.schedule {
            Some(schedule) => {
                arrivals::over_ns(self.start_ns + schedule.next_due_ns(), self.end_ns)
            }
            None => self.end_ns,
        }
    }

    /// Nothing more is begun.
    fn stop(&mut self) {
        self.end = self.next;
    }
}
