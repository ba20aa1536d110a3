//! A step of a worker: its beginning and end, its use of the CPU, and the balance of what it has seen.

use rustix::time::{ClockId, clock_gettime};

use crate::limits;
use crate::load::arrivals::Arrivals;
use crate::load::job::{BUS_STREAMS, Group, Open, Pace, Traffic};
use crate::load::measure::{Meter, Spread, Window};

use super::Worker;
use super::bus_feed::BusFeed;
use super::command::{Reply, Sent, StepPart};
use super::measured::StepState;
use super::opening::Opening;
use super::publishing::Publishing;
use super::visits::Visits;

impl Worker {
    pub(super) fn begin_step(&mut self, window: Window, traffic: Traffic) {
        let is_opening = matches!(traffic, Traffic::Open(_));
        self.network.protocol.meter = Meter::new(window, !is_opening);
        self.network.protocol.spread = Spread::new(self.network.job.spread_every);
        self.work.step = StepState::default();
        let times = (window.start_ns, window.end_ns);
        match traffic {
            Traffic::Receive => self.work.step.receives_until_ns = window.end_ns,
            Traffic::Publish { pace, each_max } => {
                self.begin_publishing(pace, each_max, false, times);
            }
            Traffic::Clear => {
                // Each publisher empties its topics. They have as many each, but for the last.
                let each = self.network.job.publishers.iter();
                let most = each.map(|publisher| publisher.streams).max();
                let pace = Pace::Constant(limits::LOAD_CLEAR_RATE);
                self.begin_publishing(pace, most, true, times);
            }
            Traffic::Open(open) => self.begin_opening(open, times),
            Traffic::Visits {
                group,
                rate,
                each_max,
            } => self.begin_visits(group, rate, each_max, times),
        }
    }

    pub(super) fn begin_opening(&mut self, open: Open, times: (u64, u64)) {
        self.work.opening = Some(Opening::new(open, &self.network, self.id, times));
    }

    fn begin_publishing(
        &mut self,
        pace: Pace,
        each_max: Option<u32>,
        clears: bool,
        (start_ns, end_ns): (u64, u64),
    ) {
        let times = (self.id, start_ns, end_ns);
        let publishing = Publishing::new(pace, each_max, clears, &mut self.network, times);
        self.work.publishing = Some(publishing);
        if matches!(pace, Pace::Bus) && self.work.bus.is_none() && self.id == 0 {
            self.work.bus = BusFeed::new(&self.network.job, start_ns);
        }
    }

    fn begin_visits(
        &mut self,
        group: Group,
        rate: Option<f64>,
        each_max: Option<u32>,
        times: (u64, u64),
    ) {
        if group == Group::Publishers {
            // A publisher's messages come by several connections: nobody promises their order.
            self.network.protocol.ledger.forget_order();
        }
        let (worker, workers) = (u64::from(self.id), u64::from(self.network.job.workers));
        let schedule = rate.map(|rate| Arrivals::constant(rate, worker, workers));
        let waiting = self.network.of(group);
        self.work.visits = Some(Visits::new(group, schedule, each_max, waiting, times));
    }

    /// Ends the visits; what each client has done is told at the end.
    fn end_visits(&mut self) {
        let Some(visits) = self.work.visits.take() else {
            return;
        };
        let list = match visits.group() {
            Group::Subscribers => &mut self.tally.quit.subscribers,
            Group::Publishers => &mut self.tally.quit.publishers,
        };
        list.clear();
        let connections = &self.network.protocol.connections;
        let times = visits.into_times();
        list.extend(times.map(|(index, times)| (connections[index as usize].number, times)));
    }

    /// What is being done ends at a time before its end.
    pub(super) fn cease(&mut self, end_ns: u64) {
        self.network.protocol.meter.cease(end_ns);
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
        self.network.protocol.meter.at(now_ns);
        let window = &self.network.protocol.meter.window;
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
        let now_ns = self.network.place.now_ns();
        let meter = &mut self.network.protocol.meter;
        for due_ns in self.work.step.slips.drain(..) {
            if meter.window.measures(due_ns) {
                meter.slip.saturating_record(now_ns.saturating_sub(due_ns));
            }
        }
    }

    pub(super) fn end_step(&mut self) -> StepPart {
        self.end_visits();
        self.work.opening = None;
        if let Some(publishing) = self.work.publishing.take() {
            publishing.end(&mut self.work.step, self.work.bus.as_mut());
        }
        self.network.protocol.credits.are_wanted = false;
        let now_ns = self.network.place.now_ns();
        self.look_at_clock(now_ns);
        let mut meter = std::mem::replace(
            &mut self.network.protocol.meter,
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
            spread: std::mem::take(&mut self.network.protocol.spread),
            sent: self.network.protocol.published.by_stream.clone(),
            classes: self
                .work
                .bus
                .as_ref()
                .map_or_else(Vec::new, |bus| bus.classes.clone()),
            cpu_ns: ended.0.saturating_sub(began.0),
            wall_ns: ended.1.saturating_sub(began.1),
            connections: self.network.ready,
            operations: step.operations,
            operations_failed: step.operations_failed,
            throttled: step.throttled,
            unsent: step.unsent,
            done_ns: step.done_ns.max(self.network.protocol.heard_ns),
            unacknowledged: self.network.protocol.published.unacknowledged
                + self.network.protocol.published.unacknowledged_lost,
        }
    }

    /// Compares what its subscribers have seen with what was sent.
    pub(super) fn balance(&self, sent: &Sent) -> Reply {
        let ledger = &self.network.protocol.ledger;
        let streams = sent.classes.len() as u32;
        let balance = ledger.balance(&sent.messages, |view, stream| {
            if streams == 0 {
                return true;
            }
            let class = stream % BUS_STREAMS;
            let set = sent.classes.get(class as usize).copied().unwrap_or(0);
            set & 1 << view != 0
        });
        let mut received = self.network.protocol.received;
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
