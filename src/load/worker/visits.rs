//! Visits: clients that come, do something and go, again and again.

use std::collections::{HashMap, VecDeque};

use crate::load::arrivals::{self, Arrivals};
use crate::load::job::Group;
use crate::mqtt::QoS;
use crate::uring::RingError;

use super::command::Times;
use super::network::Network;

/// A step's visits.
pub(super) struct Visits {
    group: Group,
    start_ns: u64,
    /// From it on no visit begins.
    end_ns: u64,
    schedule: Option<Arrivals>,
    each_max: u32,
    /// Clients that are away and may come.
    waiting: VecDeque<u32>,
    /// Clients that are here.
    here: u32,
    /// By client.
    made: HashMap<u32, Made>,
}

/// What a client has done.
#[derive(Default)]
struct Made {
    times: Times,
    due_ns: u64,
    failed: bool,
}

impl Visits {
    /// Visits of a group from `start_ns` until `end_ns`; a worker's part of them.
    pub(super) fn new(
        group: Group,
        schedule: Option<Arrivals>,
        each_max: Option<u32>,
        waiting: std::ops::Range<u32>,
        (start_ns, end_ns): (u64, u64),
    ) -> Self {
        Visits {
            group,
            start_ns,
            end_ns,
            schedule,
            each_max: each_max.unwrap_or(u32::MAX),
            waiting: waiting.collect(),
            here: 0,
            made: HashMap::new(),
        }
    }

    /// Begins the visits that are due; when the next one is.
    pub(super) fn visit_due(
        &mut self,
        network: &mut Network,
        now_ns: u64,
    ) -> Result<u64, RingError> {
        loop {
            if self.waiting.is_empty() || now_ns >= self.until_ns() {
                return Ok(u64::MAX);
            }
            let due_ns = match &self.schedule {
                Some(schedule) => self.start_ns + schedule.next_due_ns(),
                None => self.start_ns.max(now_ns),
            };
            if due_ns > now_ns {
                return Ok(due_ns);
            }
            if let Some(schedule) = &mut self.schedule {
                schedule.advance();
            }
            let Some(index) = self.waiting.pop_front() else {
                return Ok(u64::MAX);
            };
            self.here += 1;
            let made = self.made.entry(index).or_default();
            made.due_ns = due_ns;
            made.failed = false;
            if made.times.first_ns == 0 {
                made.times.first_ns = now_ns;
            }
            network.protocol.connections[index as usize].timed = None;
            network.connect(index, due_ns, now_ns)?;
        }
    }

    /// A visitor is connected, and subscribed if it subscribes: it does what it came for.
    pub(super) fn on_ready(&self, network: &mut Network, index: u32, now_ns: u64) {
        if self.group == Group::Publishers && index >= network.subscribers {
            let number = network.protocol.connections[index as usize].number;
            let publisher = network.job.publishers[number as usize];
            let made = self.made.get(&index);
            let nth = made.map_or(0, |made| made.times.messages) as u32;
            let stream = publisher.first_stream + nth % publisher.streams.max(1);
            network.protocol.append(&network.job, index, stream, now_ns);
            if network.job.qos != QoS::AtMostOnce {
                return;
            }
        }
        network.leave(index);
    }

    /// A visit came to nothing; the connection is about to be closed. False if there was none.
    pub(super) fn on_failed(&mut self, index: u32) -> bool {
        let made = self.made.get_mut(&index);
        made.is_some_and(|made| {
            made.failed = true;
            true
        })
    }

    /// A connection is closed. If that was the end of a visit, and it was made: when it was due.
    pub(super) fn on_closed(&mut self, index: u32, now_ns: u64) -> Option<u64> {
        let made = self.made.get_mut(&index).filter(|made| made.due_ns > 0)?;
        let due_ns = std::mem::take(&mut made.due_ns);
        self.here = self.here.saturating_sub(1);
        made.times.last_ns = now_ns;
        made.times.messages += u64::from(!made.failed);
        made.times.complete = made.times.messages >= u64::from(self.each_max);
        // Who failed comes again when the schedule says so; without one it would only spin.
        let again = !made.times.complete && (!made.failed || self.schedule.is_some());
        if again {
            self.waiting.push_back(index);
        }
        (!made.failed).then_some(due_ns)
    }

    /// Whose visits they were.
    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// What each client has done, by its place.
    pub(super) fn into_times(self) -> impl Iterator<Item = (u32, Times)> {
        let made = self.made.into_iter();
        made.map(|(index, made)| (index, made.times))
    }

    /// From when on nothing is begun.
    pub(super) fn end_ns(&mut self) -> &mut u64 {
        &mut self.end_ns
    }

    pub(super) fn is_busy(&self, now_ns: u64) -> bool {
        self.here > 0 || (!self.waiting.is_empty() && now_ns < self.until_ns())
    }

    /// When no more begin.
    fn until_ns(&self) -> u64 {
        match &self.schedule {
            Some(schedule) => {
                arrivals::over_ns(self.start_ns + schedule.next_due_ns(), self.end_ns)
            }
            None => self.end_ns,
        }
    }
}
