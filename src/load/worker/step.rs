//! A step of a worker: its beginning and end, its use of the CPU, and the balance of what it has seen.

use rustix::time::{ClockId, clock_gettime};

use crate::load::job::{BUS_STREAMS, Traffic};
use crate::load::measure::{Meter, Spread, Window};

use super::Worker;
use super::command::{Reply, Sent, StepPart};
use super::measured::StepState;
use super::opening::Opening;
use super::publishing::Publishing;
use super::visits::Visits;

impl Worker {
    pub(super) fn begin_step(&mut self, window: Window, traffic: Traffic) {
        let is_opening = matches!(traffic, Traffic::Open(_));
        self.protocol.meter = Meter::new(window, !is_opening);
        self.protocol.spread = Spread::new(self.job.spread_every);
        self.work.step = StepState::default();
        let times = (window.start_ns, window.end_ns);
        match traffic {
            Traffic::Receive => self.work.step.receives_until_ns = window.end_ns,
            Traffic::Publish { pace, each_max } => self.begin_publishing(pace, each_max, times),
            Traffic::Clear => self.begin_clearing(times),
            Traffic::Open(open) => self.begin_opening(open, window.start_ns, window.end_ns),
            Traffic::Visits {
                group,
                rate,
                each_max,
            } => self.begin_visits(group, rate, each_max, times),
        }
    }

    /// What is being done ends at a time before its end.
    pub(super) fn cease(&mut self, end_ns: u64) {
        self.protocol.meter.cease(end_ns);
        self.work.step.receives_until_ns = self.work.step.receives_until_ns.min(end_ns);
        let publishing = self.work.publishing.as_mut().map(Publishing::end_ns);
        let visits = self.work.visits.as_mut().map(Visits::end_ns);
        let opening = self.work.opening.as_mut().map(Opening::end_ns);
        for until_ns in [publishing, visits, opening].into_iter().flatten() {
            *until_ns = (*until_ns).min(end_ns);
        }
    }

    /// To be called with every turn's clock.
    pub(super) fn look_at_clock(&mut self, now_ns: u64) {
        self.protocol.meter.at(now_ns);
        let window = &self.protocol.meter.window;
        if now_ns < window.measure_ns || self.work.step.ended.is_some() {
            return;
        }
        if self.work.step.began.is_none() {
            self.work.step.began = Some((thread_cpu_ns(), now_ns));
        } else if now_ns >= window.end_ns {
            self.work.step.ended = Some((thread_cpu_ns(), now_ns));
        }
    }

    /// The messages of this turn are on their way: how late they are.
    pub(super) fn record_slips(&mut self) {
        let now_ns = self.place.now_ns();
        let meter = &mut self.protocol.meter;
        for due_ns in self.work.slips.drain(..) {
            if meter.window.measures(due_ns) {
                meter.slip.saturating_record(now_ns.saturating_sub(due_ns));
            }
        }
    }

    pub(super) fn end_step(&mut self) -> StepPart {
        self.end_visits();
        self.work.opening = None;
        self.end_publishing();
        self.protocol.credits.are_wanted = false;
        let now_ns = self.place.now_ns();
        self.look_at_clock(now_ns);
        let mut meter = std::mem::replace(
            &mut self.protocol.meter,
            Meter::new(Window::endless(0), false),
        );
        meter.finish();
        let step = std::mem::take(&mut self.work.step);
        let began = step.began.unwrap_or((0, 0));
        let ended = match step.ended {
            Some(ended) => ended,
            None if step.began.is_some() => (thread_cpu_ns(), now_ns),
            None => began,
        };
        StepPart {
            meter,
            spread: std::mem::take(&mut self.protocol.spread),
            sent: self.protocol.published.by_stream.clone(),
            classes: self
                .work
                .bus
                .as_ref()
                .map_or_else(Vec::new, |bus| bus.classes.clone()),
            cpu_ns: ended.0.saturating_sub(began.0),
            wall_ns: ended.1.saturating_sub(began.1),
            connections: self.tally.ready,
            operations: step.operations,
            operations_failed: step.operations_failed,
            throttled: step.throttled,
            unsent: step.unsent,
            done_ns: step.done_ns.max(self.protocol.heard_ns),
            unacknowledged: self.protocol.published.unacknowledged
                + self.protocol.published.unacknowledged_lost,
        }
    }

    /// Compares what its subscribers have seen with what was sent.
    pub(super) fn balance(&self, sent: &Sent) -> Reply {
        let ledger = &self.protocol.ledger;
        let streams = sent.classes.len() as u32;
        let balance = ledger.balance(&sent.messages, |view, stream| {
            if streams == 0 {
                return true;
            }
            let class = stream % BUS_STREAMS;
            let set = sent.classes.get(class as usize).copied().unwrap_or(0);
            set & 1 << view != 0
        });
        let mut received = self.protocol.received;
        received.duplicated += ledger.duplicated;
        received.reordered += ledger.reordered;
        received.unexpected += ledger.unexpected + balance.unexpected;
        Reply::Balanced(balance, received)
    }
}

/// CPU time of the calling thread.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
