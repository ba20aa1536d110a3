//! The image of a session: all that is to be known of it, told to the journal at once. It is told as it is, by no fact.

use std::ops::ControlFlow;

use crate::broker::checkpoint::Numbers;
use crate::broker::noted::text_of;
use crate::broker::wall_clock::WallClock;
use crate::ids::SessionId;
use crate::journal::{Frame, Scribe};
use crate::session::{Backlog, Flow, Progress, Queue, Session, Waiting, Way};

/// What an image is made of, and where it is written.
pub(crate) struct Imaged<'a> {
    pub id: SessionId,
    pub session: &'a Session,
    pub queue: Option<&'a Queue>,
    pub backlog: &'a mut Backlog,
    pub journal: &'a mut Scribe,
    pub clock: WallClock,
}

impl Imaged<'_> {
    /// Whether it is kept with all it has, and not for its will only.
    fn is_durable(&self) -> bool {
        self.journal.is_durable(self.id.0)
    }

    /// Writes messages that its image will refer to, until the journal has so many bytes; false if there are more. What comes while
    /// that goes on is not waited for.
    pub(crate) fn write_texts(&mut self, numbers: &mut Numbers, last_order: u64, end: u64) -> bool {
        if !self.is_durable() {
            return true;
        }
        self.write_waiting_texts(end) && self.write_sent_texts(numbers, last_order, end)
    }

    fn write_waiting_texts(&mut self, end: u64) -> bool {
        let (backlog, journal, clock) = (&*self.backlog, &mut *self.journal, self.clock);
        let Some(queue) = self.queue else {
            return true;
        };
        let all = queue.each_waiting(|waiting| {
            while let Some(number) = journal.first_missing(waiting.number, waiting.len) {
                let message = waiting.retained.or_else(|| backlog.get(number));
                let Some(message) = message else {
                    break;
                };
                if journal.written_bytes() >= end {
                    return ControlFlow::Break(());
                }
                journal.text(number, || text_of(message, clock));
            }
            ControlFlow::Continue(())
        });
        all.is_continue()
    }

    fn write_sent_texts(&mut self, numbers: &mut Numbers, last_order: u64, end: u64) -> bool {
        let in_flight = self
            .session
            .flow()
            .into_iter()
            .flat_map(Flow::all_in_flight);
        let before = in_flight.filter(|one| one.order <= last_order);
        for message in before.filter_map(|one| one.message.as_ref()) {
            if !numbers.has_room() || numbers.get(message).is_some() {
                continue;
            }
            if self.journal.written_bytes() >= end {
                return false;
            }
            let number = self.backlog.number(message);
            self.journal.text(number, || text_of(message, self.clock));
            numbers.note(message, number);
        }
        true
    }

    /// Writes what waits and is in flight, in both directions.
    pub(crate) fn write_messages(&mut self, numbers: &mut Numbers) {
        if !self.is_durable() {
            return;
        }
        let session = self.id.0;
        let inbound = self.session.inbound().into_iter();
        for &id in inbound.flat_map(|inbound| inbound.ids()) {
            self.journal.inbound_stored(session, id);
        }
        for one in self
            .session
            .flow()
            .into_iter()
            .flat_map(Flow::all_in_flight)
        {
            let number = one.message.as_ref().map(|message| {
                let known = numbers.get(message);
                let number = known.unwrap_or_else(|| self.backlog.number(message));
                self.journal.text(number, || text_of(message, self.clock));
                numbers.note(message, number);
                number
            });
            let (order, id) = (one.order, one.id);
            let way = Way {
                grant: one.grant,
                origin: one.origin,
            };
            let frame = Frame { order, id };
            self.journal.image_sent(session, frame, way, number);
            if one.progress == Progress::Pubcomp {
                self.journal.received(session, order);
            }
        }
        if let Some(queue) = self.queue {
            let journal = &mut *self.journal;
            let _all = queue.each_waiting(|waiting| {
                let Waiting {
                    number, len, way, ..
                } = waiting;
                journal.image_waiting(session, (number, len), way);
                ControlFlow::Continue(())
            });
        }
    }
}
