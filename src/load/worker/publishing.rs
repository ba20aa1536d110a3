//! A step's publishing: whose turn it is, what is held back, when it is over.

use std::collections::VecDeque;

use crate::load::arrivals::{self, Arrivals};
use crate::load::job::{Group, Pace};

use super::network::Network;

/// A step's publishing.
pub(super) struct Publishing {
    pub(super) source: Source,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) each_max: u32,
    /// Nothing is published but what empties retained topics.
    pub(super) clears: bool,
    /// The publisher whose turn it is, among this worker's.
    pub(super) next: u32,
    /// By publisher of this worker.
    pub(super) publishers: Vec<State>,
    /// Messages held back in all.
    pub(super) held: usize,
    /// Publishers that hold messages back.
    pub(super) holding: Vec<u32>,
    /// Publishers that have not sent all that they are to send.
    pub(super) left: u32,
    /// What was due until then was late because of the broker: something in front of it was not taken.
    pub(super) blocked_until_ns: u64,
}

#[derive(Default)]
pub(super) struct State {
    /// Sent in this step, and held back.
    pub(super) count: u32,
    /// Intended times of messages that the broker's slowness holds back.
    pub(super) held: VecDeque<u64>,
    /// Deliveries that its messages of this step are to cause.
    pub(super) owed: u64,
    /// Deliveries that had been made before the step.
    pub(super) credit_before: u64,
}

/// What says when a message is due.
pub(super) enum Source {
    Schedule(Arrivals),
    /// So many messages outstanding.
    Window(u32),
    /// The bus model, and when its next message is due.
    Bus(u64),
}

impl Publishing {
    /// Publishing from `start_ns` until `end_ns`; a worker's part of it.
    pub(super) fn new(
        pace: Pace,
        each_max: Option<u32>,
        clears: bool,
        network: &mut Network,
        (worker, start_ns, end_ns): (u32, u64, u64),
    ) -> Self {
        let range = network.of(Group::Publishers);
        let worker = u64::from(worker);
        let workers = u64::from(network.job.publishing_workers());
        let source = match pace {
            Pace::Constant(rate) => Source::Schedule(Arrivals::constant(rate, worker, workers)),
            Pace::Poisson(rate, seed) => {
                let seed = seed.wrapping_add(worker.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                Source::Schedule(Arrivals::poisson(rate / workers as f64, seed))
            }
            Pace::Window(messages) => Source::Window(messages),
            Pace::Bus => Source::Bus(start_ns),
        };
        let protocol = &mut network.protocol;
        protocol.credits.are_wanted = matches!(pace, Pace::Window(_));
        let left = range.end - range.start;
        let publishers = range.map(|index| State {
            credit_before: protocol
                .credits
                .of(protocol.connections[index as usize].number),
            ..State::default()
        });
        Publishing {
            source,
            start_ns,
            end_ns,
            each_max: each_max.unwrap_or(u32::MAX),
            clears,
            next: 0,
            publishers: publishers.collect(),
            held: 0,
            holding: Vec::new(),
            left,
            blocked_until_ns: 0,
        }
    }

    /// From when on nothing is begun.
    pub(super) fn end_ns(&mut self) -> &mut u64 {
        &mut self.end_ns
    }

    pub(super) fn is_busy(&self, now_ns: u64) -> bool {
        self.held > 0 || (self.left > 0 && now_ns < self.until_ns())
    }

    /// When it is over.
    pub(super) fn until_ns(&self) -> u64 {
        match &self.source {
            Source::Schedule(schedule) => {
                arrivals::over_ns(self.start_ns + schedule.next_due_ns(), self.end_ns)
            }
            Source::Bus(due_ns) => arrivals::over_ns(*due_ns, self.end_ns),
            Source::Window(_) => self.end_ns,
        }
    }
}
