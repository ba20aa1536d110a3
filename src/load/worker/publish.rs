//! Publishing: which message is due, and who sends it. Open loop: the schedule does not wait for the broker.

use crate::limits;
use crate::load::arrivals::Arrivals;
use crate::load::job::{Group, Pace};
use crate::load::model::{Bus, Event};
use crate::mqtt::QoS;

use super::Worker;
use super::bus_feed::BusFeed;
use super::compose::InStream;
use super::link::Stage;
use super::publishing::{Publishing, Source, State};

/// How soon a worker looks again at what wakes nobody.
const GLANCE_NS: u64 = 20_000;

impl Worker {
    pub(super) fn begin_publishing(
        &mut self,
        pace: Pace,
        each_max: Option<u32>,
        (start_ns, end_ns): (u64, u64),
    ) {
        let range = self.own(Group::Publishers);
        let (worker, workers) = (u64::from(self.id), u64::from(self.job.publishing_workers()));
        let source = match pace {
            Pace::Constant(rate) => Source::Schedule(Arrivals::constant(rate, worker, workers)),
            Pace::Poisson(rate, seed) => {
                let seed = seed.wrapping_add(worker.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                Source::Schedule(Arrivals::poisson(rate / workers as f64, seed))
            }
            Pace::Window(messages) => Source::Window(messages),
            Pace::Bus => Source::Bus(start_ns),
        };
        self.protocol.credits.are_wanted = matches!(pace, Pace::Window(_));
        let publishers = range.clone().map(|index| State {
            credit_before: self
                .protocol
                .credits
                .of(self.protocol.connections[index as usize].number),
            ..State::default()
        });
        self.work.publishing = Some(Publishing {
            source,
            start_ns,
            end_ns,
            each_max: each_max.unwrap_or(u32::MAX),
            clears: false,
            next: 0,
            publishers: publishers.collect(),
            held: 0,
            holding: Vec::new(),
            left: range.end - range.start,
            blocked_until_ns: 0,
        });
        if matches!(pace, Pace::Bus) && self.work.bus.is_none() && worker == 0 {
            self.work.bus = self.bus_feed(start_ns);
        }
    }

    /// Each publisher empties its topics. They have as many each, but for the last.
    pub(super) fn begin_clearing(&mut self, times: (u64, u64)) {
        let most = self
            .job
            .publishers
            .iter()
            .map(|publisher| publisher.streams)
            .max();
        self.begin_publishing(Pace::Constant(limits::LOAD_CLEAR_RATE), most, times);
        if let Some(publishing) = &mut self.work.publishing {
            publishing.clears = true;
        }
    }

    fn bus_feed(&self, start_ns: u64) -> Option<BusFeed> {
        let spec = self.job.bus?;
        let count = |filter: u32| {
            let each = self.job.subscribers.iter();
            each.filter(|subscriber| subscriber.filter == Some(filter))
                .count() as u64
        };
        let filters = self.job.filters.iter().zip(0..);
        Some(BusFeed {
            bus: Bus::new(spec.seed, spec.scale, self.job.publishers.len() as u32)
                .with_time_lapse(spec.time_lapse),
            event: None,
            waits: false,
            start_ns,
            filters: filters
                .map(|(filter, at)| (filter.text.clone(), count(at)))
                .collect(),
            classes: Vec::new(),
        })
    }

    /// Publishes what is due; when the next message is.
    pub(super) fn publish_some(&mut self, now_ns: u64) -> u64 {
        let Some(mut publishing) = self.work.publishing.take() else {
            return u64::MAX;
        };
        if !publishing.holding.is_empty() {
            self.publish_held(&mut publishing);
        }
        let due_ns = if publishing.left == 0 || now_ns >= publishing.until_ns() {
            u64::MAX
        } else if now_ns < publishing.start_ns {
            publishing.start_ns
        } else {
            match publishing.source {
                Source::Schedule(_) => self.publish_scheduled(&mut publishing, now_ns),
                Source::Window(messages) => self.publish_windows(&mut publishing, messages, now_ns),
                Source::Bus(_) => self.publish_bus(&mut publishing, now_ns),
            }
        };
        self.work.publishing = Some(publishing);
        due_ns
    }

    fn publish_scheduled(&mut self, publishing: &mut Publishing, now_ns: u64) -> u64 {
        for _ in 0..limits::LOAD_PUBLISHES_PER_TURN {
            let Source::Schedule(schedule) = &mut publishing.source else {
                break;
            };
            let due_ns = publishing.start_ns + schedule.next_due_ns();
            if due_ns > now_ns || due_ns >= publishing.end_ns {
                return due_ns;
            }
            if publishing.held >= limits::LOAD_HELD_MAX {
                // Later than due, and not the tester's doing: it counts from when it was due.
                publishing.blocked_until_ns = now_ns;
                return u64::MAX;
            }
            schedule.advance();
            self.publish_next(publishing, due_ns);
            if publishing.left == 0 {
                return u64::MAX;
            }
        }
        now_ns
    }

    /// The next publisher in turn publishes a message, or holds it back.
    fn publish_next(&mut self, publishing: &mut Publishing, due_ns: u64) {
        let at = publishing.next;
        publishing.next = (at + 1) % publishing.publishers.len() as u32;
        let state = &mut publishing.publishers[at as usize];
        if state.count >= publishing.each_max {
            return;
        }
        let nth = state.count;
        state.count += 1;
        publishing.left -= u32::from(state.count == publishing.each_max);
        if state.held.is_empty() && self.takes(self.subscribers + at) {
            self.publish(publishing.clears, at, nth, due_ns);
            self.was_due(publishing, due_ns);
        } else {
            if state.held.is_empty() {
                publishing.holding.push(at);
            }
            state.held.push_back(due_ns);
            publishing.held += 1;
            self.work.step.throttled += 1;
        }
    }

    /// Sends what was held back, as far as the broker takes it.
    fn publish_held(&mut self, publishing: &mut Publishing) {
        let mut holding = std::mem::take(&mut publishing.holding);
        holding.retain(|&at| {
            let state = &mut publishing.publishers[at as usize];
            while !state.held.is_empty() && self.takes(self.subscribers + at) {
                if let Some(due_ns) = state.held.pop_front() {
                    let nth = state.count - 1 - state.held.len() as u32;
                    publishing.held -= 1;
                    self.publish(publishing.clears, at, nth, due_ns);
                }
            }
            if self.sockets.links[(self.subscribers + at) as usize].stage != Stage::Ready {
                // Its connection is gone, which is counted: nobody will take these any more.
                publishing.held -= state.held.len();
                self.work.step.unsent += state.held.len() as u64;
                state.held.clear();
            }
            !state.held.is_empty()
        });
        publishing.holding = holding;
    }

    /// Whether a publisher can be given another message.
    #[inline]
    fn takes(&self, index: u32) -> bool {
        let connection = &self.protocol.connections[index as usize];
        self.sockets.links[index as usize].stage == Stage::Ready
            && connection.out.len() < limits::LOAD_OUT_BYTES_MAX
            && (self.job.qos == QoS::AtMostOnce || connection.client.may_publish())
    }

    /// Publishes the `nth` message of a publisher of this worker.
    #[inline]
    fn publish(&mut self, clears: bool, at: u32, nth: u32, due_ns: u64) -> u32 {
        let index = self.subscribers + at;
        let publisher =
            self.job.publishers[self.protocol.connections[index as usize].number as usize];
        let stream = publisher.first_stream + nth % publisher.streams.max(1);
        if clears {
            self.protocol.append_empty(&self.job, index, stream, due_ns);
            return 0;
        }
        self.protocol.append(&self.job, index, stream, due_ns);
        self.work.step.done_ns = due_ns;
        self.job.streams[stream as usize].fanout
    }

    /// Every publisher publishes until so many of its messages are outstanding.
    fn publish_windows(&mut self, publishing: &mut Publishing, window: u32, now_ns: u64) -> u64 {
        let allowed = u64::from(window) * self.job.fanout_mean().ceil() as u64;
        let mut budget = limits::LOAD_PUBLISHES_PER_TURN;
        for at in 0..publishing.publishers.len() as u32 {
            let index = self.subscribers + at;
            let state = &mut publishing.publishers[at as usize];
            let delivered = self
                .protocol
                .credits
                .of(self.protocol.connections[index as usize].number)
                - state.credit_before;
            while budget > 0
                && state.count < publishing.each_max
                && state.owed.saturating_sub(delivered) < allowed.max(1)
                && self.takes(index)
                && (self.protocol.connections[index as usize].client.in_flight() as u32) < window
            {
                let nth = state.count;
                state.count += 1;
                budget -= 1;
                publishing.left -= u32::from(state.count == publishing.each_max);
                state.owed += u64::from(self.publish(false, at, nth, now_ns));
            }
        }
        match budget {
            0 => now_ns,
            // Deliveries to other workers' subscribers wake nobody here.
            _ if self.job.workers > 1 => now_ns + GLANCE_NS,
            _ => u64::MAX,
        }
    }

    /// A message that was sent in its turn: the tester's own lateness, or the broker's, is why it was not sent before.
    #[inline]
    fn was_due(&mut self, publishing: &Publishing, due_ns: u64) {
        match due_ns <= publishing.blocked_until_ns {
            true => self.work.step.throttled += 1,
            false => self.work.slips.push(due_ns),
        }
    }

    fn publish_bus(&mut self, publishing: &mut Publishing, now_ns: u64) -> u64 {
        let Some(mut feed) = self.work.bus.take() else {
            // It is another worker's.
            publishing.left = 0;
            return u64::MAX;
        };
        let mut next_ns = now_ns;
        for _ in 0..limits::LOAD_PUBLISHES_PER_TURN {
            let mut event = feed.next_event();
            let due_ns = feed.start_ns + event.at_ns;
            publishing.source = Source::Bus(due_ns);
            if due_ns > now_ns || due_ns >= publishing.end_ns {
                next_ns = due_ns;
                feed.event = Some(event);
                break;
            }
            let index = self.subscribers + event.publisher % self.publishers().max(1);
            let is_open = self.sockets.links[index as usize].stage == Stage::Ready;
            if is_open && !self.takes(index) {
                // The broker is slow: this message waits, and those behind it; all count from when they were due.
                feed.waits = true;
                feed.event = Some(event);
                next_ns = now_ns + GLANCE_NS;
                break;
            }
            if std::mem::take(&mut feed.waits) {
                publishing.blocked_until_ns = now_ns;
            }
            if is_open {
                self.publish_event(&mut feed, &mut event, index, due_ns);
                self.was_due(publishing, due_ns);
            } else {
                self.work.step.unsent += 1;
            }
            feed.bus.next(&mut event);
            feed.event = Some(event);
        }
        self.work.bus = Some(feed);
        next_ns
    }

    /// Ends the publishing of a step; what was due in it and has not been sent will not be.
    pub(super) fn end_publishing(&mut self) {
        let Some(publishing) = self.work.publishing.take() else {
            return;
        };
        let mut unsent = publishing.held as u64;
        if let Source::Schedule(mut schedule) = publishing.source
            && publishing.left > 0
        {
            let end_ns = publishing.end_ns.min(publishing.blocked_until_ns + 1);
            while publishing.start_ns + schedule.next_due_ns() < end_ns {
                schedule.advance();
                self.work.step.throttled += 1;
                unsent += 1;
            }
        }
        if let Some(feed) = self.work.bus.as_mut().filter(|feed| feed.waits) {
            let behind = feed.skip_until(publishing.end_ns);
            self.work.step.throttled += behind;
            unsent += behind;
        }
        self.work.step.unsent += unsent;
    }

    fn publish_event(&mut self, feed: &mut BusFeed, event: &mut Event, index: u32, due_ns: u64) {
        let (set, fanout) = feed.matching(&event.topic);
        let Some(class) = feed.class(set) else {
            let text = "the bus model has more classes of messages than fit";
            self.protocol.error(text.into());
            return;
        };
        let number = self.protocol.connections[index as usize].number;
        let stream = self.job.publishers[number as usize].first_stream + class;
        let place = InStream {
            stream,
            intended_ns: due_ns,
            fanout,
        };
        self.protocol.append_json(&self.job, index, place, event);
        self.work.step.done_ns = due_ns;
    }
}
