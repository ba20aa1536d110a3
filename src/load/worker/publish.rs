//! Publishing: which message is due, and who sends it. Open loop: the schedule does not wait for the broker.

use crate::limits;
use crate::load::model::Event;

use super::bus_feed::BusFeed;
use super::compose::InStream;
use super::link::Stage;
use super::measured::StepState;
use super::network::Network;
use super::publishing::{Publishing, Source};

/// How soon a worker looks again at what wakes nobody.
const GLANCE_NS: u64 = 20_000;

impl Publishing {
    /// Publishes what is due; when the next message is.
    pub(super) fn publish_due(
        &mut self,
        network: &mut Network,
        step: &mut StepState,
        bus: &mut Option<BusFeed>,
        now_ns: u64,
    ) -> u64 {
        if !self.holding.is_empty() {
            self.publish_held(network, step);
        }
        if self.left == 0 || now_ns >= self.until_ns() {
            return u64::MAX;
        }
        if now_ns < self.start_ns {
            return self.start_ns;
        }
        match self.source {
            Source::Schedule(_) => self.publish_scheduled(network, step, now_ns),
            Source::Window(messages) => self.publish_windows(network, step, messages, now_ns),
            Source::Bus(_) => match bus {
                Some(feed) => self.publish_bus(network, step, feed, now_ns),
                None => {
                    // It is another worker's.
                    self.left = 0;
                    u64::MAX
                }
            },
        }
    }

    fn publish_scheduled(
        &mut self,
        network: &mut Network,
        step: &mut StepState,
        now_ns: u64,
    ) -> u64 {
        for _ in 0..limits::LOAD_PUBLISHES_PER_TURN {
            let Source::Schedule(schedule) = &mut self.source else {
                break;
            };
            let due_ns = self.start_ns + schedule.next_due_ns();
            if due_ns > now_ns || due_ns >= self.end_ns {
                return due_ns;
            }
            if self.held >= limits::LOAD_HELD_MAX {
                // Later than due, and not the tester's doing: it counts from when it was due.
                self.blocked_until_ns = now_ns;
                return u64::MAX;
            }
            schedule.advance();
            self.publish_next(network, step, due_ns);
            if self.left == 0 {
                return u64::MAX;
            }
        }
        now_ns
    }

    /// The next publisher in turn publishes a message, or holds it back.
    fn publish_next(&mut self, network: &mut Network, step: &mut StepState, due_ns: u64) {
        let at = self.next;
        self.next = (at + 1) % self.publishers.len() as u32;
        let state = &mut self.publishers[at as usize];
        if state.count >= self.each_max {
            return;
        }
        let nth = state.count;
        state.count += 1;
        self.left -= u32::from(state.count == self.each_max);
        if state.held.is_empty() && network.takes(network.subscribers + at) {
            publish(network, step, (at, nth), self.clears, due_ns);
            self.was_due(step, due_ns);
        } else {
            if state.held.is_empty() {
                self.holding.push(at);
            }
            state.held.push_back(due_ns);
            self.held += 1;
            step.throttled += 1;
        }
    }

    /// Sends what was held back, as far as the broker takes it.
    fn publish_held(&mut self, network: &mut Network, step: &mut StepState) {
        let mut holding = std::mem::take(&mut self.holding);
        holding.retain(|&at| {
            let state = &mut self.publishers[at as usize];
            while !state.held.is_empty() && network.takes(network.subscribers + at) {
                if let Some(due_ns) = state.held.pop_front() {
                    let nth = state.count - 1 - state.held.len() as u32;
                    self.held -= 1;
                    publish(network, step, (at, nth), self.clears, due_ns);
                }
            }
            if network.stage(network.subscribers + at) != Stage::Ready {
                // Its connection is gone, which is counted: nobody will take these any more.
                self.held -= state.held.len();
                step.unsent += state.held.len() as u64;
                state.held.clear();
            }
            !state.held.is_empty()
        });
        self.holding = holding;
    }

    /// Every publisher publishes until so many of its messages are outstanding.
    fn publish_windows(
        &mut self,
        network: &mut Network,
        step: &mut StepState,
        window: u32,
        now_ns: u64,
    ) -> u64 {
        let allowed = u64::from(window) * network.job.fanout_mean().ceil() as u64;
        let mut budget = limits::LOAD_PUBLISHES_PER_TURN;
        for at in 0..self.publishers.len() as u32 {
            let index = network.subscribers + at;
            let state = &mut self.publishers[at as usize];
            let number = network.protocol.connections[index as usize].number;
            let delivered = network.protocol.credits.of(number) - state.credit_before;
            while budget > 0
                && state.count < self.each_max
                && state.owed.saturating_sub(delivered) < allowed.max(1)
                && network.takes(index)
                && (network.protocol.connections[index as usize]
                    .client
                    .in_flight() as u32)
                    < window
            {
                let nth = state.count;
                state.count += 1;
                budget -= 1;
                self.left -= u32::from(state.count == self.each_max);
                let fanout = publish(network, step, (at, nth), false, now_ns);
                state.owed += u64::from(fanout);
            }
        }
        match budget {
            0 => now_ns,
            // Deliveries to other workers' subscribers wake nobody here.
            _ if network.job.workers > 1 => now_ns + GLANCE_NS,
            _ => u64::MAX,
        }
    }

    /// A message that was sent in its turn: the tester's own lateness, or the broker's, is why it was not sent before.
    #[inline]
    fn was_due(&self, step: &mut StepState, due_ns: u64) {
        match due_ns <= self.blocked_until_ns {
            true => step.throttled += 1,
            false => step.slips.push(due_ns),
        }
    }

    fn publish_bus(
        &mut self,
        network: &mut Network,
        step: &mut StepState,
        feed: &mut BusFeed,
        now_ns: u64,
    ) -> u64 {
        let mut next_ns = now_ns;
        for _ in 0..limits::LOAD_PUBLISHES_PER_TURN {
            let mut event = feed.next_event();
            let due_ns = feed.start_ns + event.at_ns;
            self.source = Source::Bus(due_ns);
            if due_ns > now_ns || due_ns >= self.end_ns {
                next_ns = due_ns;
                feed.event = Some(event);
                break;
            }
            let index = network.subscribers + event.publisher % network.publishers().max(1);
            let is_open = network.stage(index) == Stage::Ready;
            if is_open && !network.takes(index) {
                // The broker is slow: this message waits, and those behind it; all count from when they were due.
                feed.waits = true;
                feed.event = Some(event);
                next_ns = now_ns + GLANCE_NS;
                break;
            }
            if std::mem::take(&mut feed.waits) {
                self.blocked_until_ns = now_ns;
            }
            if is_open {
                publish_event(network, step, feed, &mut event, index);
                self.was_due(step, due_ns);
            } else {
                step.unsent += 1;
            }
            feed.bus.next(&mut event);
            feed.event = Some(event);
        }
        next_ns
    }

    /// Ends the publishing of a step; what was due in it and has not been sent will not be.
    pub(super) fn end(self, step: &mut StepState, bus: Option<&mut BusFeed>) {
        let mut unsent = self.held as u64;
        if let Source::Schedule(mut schedule) = self.source
            && self.left > 0
        {
            let end_ns = self.end_ns.min(self.blocked_until_ns + 1);
            while self.start_ns + schedule.next_due_ns() < end_ns {
                schedule.advance();
                step.throttled += 1;
                unsent += 1;
            }
        }
        if let Some(feed) = bus.filter(|feed| feed.waits) {
            let behind = feed.skip_until(self.end_ns);
            step.throttled += behind;
            unsent += behind;
        }
        step.unsent += unsent;
    }
}

/// Publishes a message of a publisher of this worker: which of the publishers, and the how manieth of its messages. Returns
/// how many deliveries it is to cause.
#[inline]
fn publish(
    network: &mut Network,
    step: &mut StepState,
    (at, nth): (u32, u32),
    clears: bool,
    due_ns: u64,
) -> u32 {
    let index = network.subscribers + at;
    let number = network.protocol.connections[index as usize].number;
    let publisher = network.job.publishers[number as usize];
    let stream = publisher.first_stream + nth % publisher.streams.max(1);
    if clears {
        network
            .protocol
            .append_empty(&network.job, index, stream, due_ns);
        return 0;
    }
    network.protocol.append(&network.job, index, stream, due_ns);
    step.done_ns = due_ns;
    network.job.streams[stream as usize].fanout
}

/// Publishes a message of the bus model.
fn publish_event(
    network: &mut Network,
    step: &mut StepState,
    feed: &mut BusFeed,
    event: &mut Event,
    index: u32,
) {
    let due_ns = feed.start_ns + event.at_ns;
    let (set, fanout) = feed.matching(&event.topic);
    let Some(class) = feed.class(set) else {
        let text = "the bus model has more classes of messages than fit";
        network.protocol.error(text.into());
        return;
    };
    let number = network.protocol.connections[index as usize].number;
    let place = InStream {
        stream: network.job.publishers[number as usize].first_stream + class,
        intended_ns: due_ns,
        fanout,
    };
    network
        .protocol
        .append_json(&network.job, index, place, event);
    step.done_ns = due_ns;
}
