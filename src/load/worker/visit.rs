//! What a worker does for visits: it begins those that are due, and counts those that are over.

use std::collections::HashMap;

use crate::load::arrivals::Arrivals;
use crate::load::job::Group;
use crate::mqtt::QoS;
use crate::uring::RingError;

use super::Worker;
use super::link::Stage;
use super::visits::Visits;

impl Worker {
    pub(super) fn begin_visits(
        &mut self,
        group: Group,
        rate: Option<f64>,
        each_max: Option<u32>,
        (start_ns, end_ns): (u64, u64),
    ) {
        let (worker, workers) = (u64::from(self.id), u64::from(self.job.workers));
        if group == Group::Publishers {
            // A publisher's messages come by several connections: nobody promises their order.
            self.protocol.ledger.forget_order();
        }
        self.work.visits = Some(Visits {
            group,
            start_ns,
            end_ns,
            schedule: rate.map(|rate| Arrivals::constant(rate, worker, workers)),
            each_max: each_max.unwrap_or(u32::MAX),
            waiting: self.own(group).collect(),
            here: 0,
            made: HashMap::new(),
        });
    }

    /// Begins the visits that are due; when the next one is.
    pub(super) fn visit_some(&mut self, now_ns: u64) -> Result<u64, RingError> {
        loop {
            let Some(visits) = &mut self.work.visits else {
                return Ok(u64::MAX);
            };
            if visits.waiting.is_empty() || now_ns >= visits.until_ns() {
                return Ok(u64::MAX);
            }
            let due_ns = match &visits.schedule {
                Some(schedule) => visits.start_ns + schedule.next_due_ns(),
                None => visits.start_ns.max(now_ns),
            };
            if due_ns > now_ns {
                return Ok(due_ns);
            }
            if let Some(schedule) = &mut visits.schedule {
                schedule.advance();
            }
            let Some(index) = visits.waiting.pop_front() else {
                return Ok(u64::MAX);
            };
            visits.here += 1;
            let made = visits.made.entry(index).or_default();
            made.due_ns = due_ns;
            made.failed = false;
            if made.times.first_ns == 0 {
                made.times.first_ns = now_ns;
            }
            self.protocol.connections[index as usize].timed = None;
            self.connect(index, due_ns, now_ns)?;
        }
    }

    /// A visitor is connected, and subscribed if it subscribes.
    pub(super) fn on_visit_ready(&mut self, index: u32, now_ns: u64) -> Result<(), RingError> {
        let Some(visits) = &self.work.visits else {
            return Ok(());
        };
        if visits.group == Group::Publishers && index >= self.subscribers {
            let publisher =
                self.job.publishers[self.protocol.connections[index as usize].number as usize];
            let made = visits.made.get(&index);
            let nth = made.map_or(0, |made| made.times.messages) as u32;
            let stream = publisher.first_stream + nth % publisher.streams.max(1);
            self.protocol.append(&self.job, index, stream, now_ns);
            if self.job.qos != QoS::AtMostOnce {
                return Ok(());
            }
        }
        self.leave(index);
        Ok(())
    }

    /// A visitor's publish is acknowledged.
    pub(super) fn on_visit_acked(&mut self, index: u32) {
        if self.work.visits.is_some() {
            self.leave(index);
        }
    }

    /// A visit came to nothing; the connection is about to be closed.
    pub(super) fn on_visit_failed(&mut self, index: u32) {
        if let Some(made) = self
            .work
            .visits
            .as_mut()
            .and_then(|v| v.made.get_mut(&index))
        {
            self.work.step.operations_failed += 1;
            made.failed = true;
        }
    }

    /// A connection is closed.
    pub(super) fn on_closed(&mut self, index: u32) -> Result<(), RingError> {
        self.tally.moves += 1;
        debug_assert_eq!(self.sockets.links[index as usize].stage, Stage::Closed);
        let now_ns = self.place.now_ns();
        let Some(visits) = &mut self.work.visits else {
            return Ok(());
        };
        let Some(made) = visits.made.get_mut(&index).filter(|made| made.due_ns > 0) else {
            return Ok(());
        };
        let due_ns = std::mem::take(&mut made.due_ns);
        visits.here = visits.here.saturating_sub(1);
        made.times.last_ns = now_ns;
        made.times.messages += u64::from(!made.failed);
        made.times.complete = made.times.messages >= u64::from(visits.each_max);
        // Who failed comes again when the schedule says so; without one it would only spin.
        let again = !made.times.complete && (!made.failed || visits.schedule.is_some());
        if again {
            visits.waiting.push_back(index);
        }
        if !made.failed {
            self.operated(due_ns, now_ns);
        }
        Ok(())
    }

    /// Ends the visits; what each client has done.
    pub(super) fn end_visits(&mut self) {
        let Some(visits) = self.work.visits.take() else {
            return;
        };
        let list = match visits.group {
            Group::Subscribers => &mut self.tally.quit.subscribers,
            Group::Publishers => &mut self.tally.quit.publishers,
        };
        list.clear();
        for (index, made) in visits.made {
            list.push((self.protocol.connections[index as usize].number, made.times));
        }
    }
}
