//! The bus model as a worker publishes it: its next message, and the classes of messages by the filters that match.

use crate::load::job::{BUS_STREAMS, Job};
use crate::load::matcher;
use crate::load::model::{Bus, Event};

/// The bus model and what is known of its filters. It goes on from step to step.
pub(super) struct BusFeed {
    pub(super) bus: Bus,
    /// The next message; `None` before the first.
    pub(super) event: Option<Event>,
    /// Whether the broker did not take that message when it was due.
    pub(super) waits: bool,
    /// When the model's time began.
    pub(super) start_ns: u64,
    /// Filters, with the number of subscribers that have each.
    pub(super) filters: Vec<(String, u64)>,
    /// The sets of filters that messages matched so far; a set's place is its class.
    pub classes: Vec<u64>,
}

impl BusFeed {
    /// The model of a job, if it is played; its time begins at `start_ns`.
    pub(super) fn new(job: &Job, start_ns: u64) -> Option<BusFeed> {
        let spec = job.bus?;
        let count = |filter: u32| {
            let each = job.subscribers.iter();
            each.filter(|subscriber| subscriber.filter == Some(filter))
                .count() as u64
        };
        let filters = job.filters.iter().zip(0..);
        Some(BusFeed {
            bus: Bus::new(spec.seed, spec.scale, job.publishers.len() as u32)
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

    /// Takes the next message.
    pub(super) fn next_event(&mut self) -> Event {
        self.event.take().unwrap_or_else(|| {
            let mut event = Event::default();
            self.bus.next(&mut event);
            event
        })
    }

    /// Leaves out all that is due before a time; how many messages that are.
    pub(super) fn skip_until(&mut self, end_ns: u64) -> u64 {
        self.waits = false;
        let mut event = self.next_event();
        let mut skipped = 0;
        while self.start_ns + event.at_ns < end_ns {
            self.bus.next(&mut event);
            skipped += 1;
        }
        self.event = Some(event);
        skipped
    }

    /// The set of filters that match a topic, and how many subscribers have them.
    pub(super) fn matching(&self, topic: &str) -> (u64, u64) {
        let (mut set, mut fanout) = (0, 0);
        for (at, (filter, subscribers)) in self.filters.iter().enumerate().take(64) {
            if matcher::matches(filter, topic) {
                set |= 1 << at;
                fanout += subscribers;
            }
        }
        (set, fanout)
    }

    /// The class of messages that match a set of filters.
    pub(super) fn class(&mut self, set: u64) -> Option<u32> {
        if let Some(class) = self.classes.iter().position(|&known| known == set) {
            return Some(class as u32);
        }
        self.classes.push(set);
        let class = self.classes.len() as u32 - 1;
        (class < BUS_STREAMS).then_some(class)
    }
}
