//! Connections of a group come into being.

use std::sync::atomic::Ordering;

use crate::limits;
use crate::load::arrivals::Arrivals;
use crate::load::job::{Group, Open, Timed};
use crate::uring::RingError;

use super::Worker;
use super::link::Stage;
use super::opening::Opening;
use super::protocol::Note;

impl Worker {
    /// Begins to open a group.
    pub(super) fn begin_opening(&mut self, open: Open, start_ns: u64, end_ns: u64) {
        let range = self.own(open.group);
        let (worker, workers) = (u64::from(self.id), u64::from(self.job.workers));
        self.work.opening = Some(Opening {
            start_ns,
            end_ns,
            schedule: open
                .rate
                .map(|rate| Arrivals::constant(rate, worker, workers)),
            next: range.start,
            end: range.end,
            under_way: 0,
            awaits_goals: end_ns < u64::MAX && open.timed == Timed::Goal,
            goals_left: 0,
            open,
        });
    }

    /// Begins the connections that are due; when the next one is.
    pub(super) fn open_some(&mut self, now_ns: u64) -> Result<u64, RingError> {
        let Some(mut opening) = self.work.opening.take() else {
            return Ok(u64::MAX);
        };
        let result = self.open_due(&mut opening, now_ns);
        // Those that failed at once found no opening.
        let failed = std::mem::take(&mut self.work.failed_at_once);
        opening.under_way = opening.under_way.saturating_sub(failed);
        if opening.awaits_goals && opening.open.goal > 0 {
            opening.goals_left = opening.goals_left.saturating_sub(failed as u32);
        }
        if opening.is_busy() {
            self.work.opening = Some(opening);
        }
        result
    }

    fn open_due(&mut self, opening: &mut Opening, now_ns: u64) -> Result<u64, RingError> {
        loop {
            if now_ns >= opening.until_ns() {
                opening.stop();
            }
            if opening.next >= opening.end {
                return Ok(u64::MAX);
            }
            let due_ns = match &opening.schedule {
                Some(schedule) => opening.start_ns + schedule.next_due_ns(),
                None if opening.under_way >= limits::LOAD_OPENING_MAX => return Ok(u64::MAX),
                None => now_ns.max(opening.start_ns),
            };
            if due_ns > now_ns {
                return Ok(due_ns);
            }
            let index = opening.next;
            opening.next += 1;
            opening.under_way += 1;
            if let Some(schedule) = &mut opening.schedule {
                schedule.advance();
            }
            let connection = &mut self.protocol.connections[index as usize];
            let is_subscriber = opening.open.group == Group::Subscribers;
            connection.timed = Some(opening.open.timed).filter(|&timed| timed != Timed::No);
            connection.goal_left = if is_subscriber { opening.open.goal } else { 0 };
            opening.goals_left += u32::from(opening.awaits_goals && connection.goal_left > 0);
            self.work.forget = opening.open.forget;
            self.connect(index, due_ns, now_ns)?;
        }
    }

    /// Queues CONNECT.
    pub(super) fn queue_connect(&mut self, index: u32) {
        let number = self.protocol.connections[index as usize].number;
        let (kind, durable) = if index < self.subscribers {
            ('s', self.job.subscribers[number as usize].durable)
        } else {
            ('p', false)
        };
        let id = format!("{}{kind}{number}", self.job.client_prefix);
        let durable = durable && !self.work.forget;
        let connection = self.protocol.output(index);
        let settings = &self.job.settings;
        connection
            .client
            .connect(settings, &id, durable, &mut connection.out);
    }

    /// Carries out what followed from the bytes of the last completions.
    pub(super) fn handle_notes(&mut self) -> Result<(), RingError> {
        let mut notes = std::mem::take(&mut self.protocol.notes);
        let now_ns = if notes.is_empty() {
            0
        } else {
            self.place.now_ns()
        };
        for (index, note) in notes.drain(..) {
            self.handle_note(index, note, now_ns)?;
        }
        if self.protocol.notes.is_empty() {
            self.protocol.notes = notes;
        }
        Ok(())
    }

    fn handle_note(&mut self, index: u32, note: Note, now_ns: u64) -> Result<(), RingError> {
        let stage = self.sockets.links[index as usize].stage;
        let since_ns = self.protocol.connections[index as usize].since_ns;
        match (note, stage) {
            (Note::Connected, Stage::Handshake) => {
                self.tally
                    .setup
                    .connect
                    .saturating_record(now_ns.saturating_sub(since_ns));
                self.protocol.connections[index as usize].since_ns = now_ns;
                if index < self.subscribers
                    && !self.work.forget
                    && self.protocol.subscribe(&self.job, index)
                {
                    self.sockets.links[index as usize].stage = Stage::Subscribing;
                    return Ok(());
                }
                self.opened(index, now_ns)
            }
            (Note::Subscribed, Stage::Subscribing) => {
                self.tally
                    .setup
                    .subscribe
                    .saturating_record(now_ns.saturating_sub(since_ns));
                self.opened(index, now_ns)
            }
            (Note::Goal, _) => {
                self.reached_goal(index, now_ns);
                Ok(())
            }
            (Note::Acked, Stage::Ready) => {
                self.on_visit_acked(index);
                Ok(())
            }
            (Note::Refused | Note::Dropped, Stage::Ready) => self.dropped(index),
            (Note::Refused, _) if self.sockets.links[index as usize].is_wanted() => {
                self.tally.setup.refused += 1;
                self.open_failed(index)
            }
            (Note::Dropped, _) if self.sockets.links[index as usize].is_wanted() => {
                self.open_failed(index)
            }
            // It is being closed: what was to be said of it has been said.
            _ => Ok(()),
        }
    }

    /// A connection is what it was to become.
    fn opened(&mut self, index: u32, now_ns: u64) -> Result<(), RingError> {
        self.sockets.links[index as usize].stage = Stage::Ready;
        self.tally.ready += 1;
        self.tally.setup.opened += 1;
        let progress = &self.line.progress.workers[self.id as usize];
        progress.opened.fetch_add(1, Ordering::Relaxed);
        self.tally.moves += 1;
        if self.work.visits.is_some() {
            return self.on_visit_ready(index, now_ns);
        }
        if let Some(opening) = &mut self.work.opening {
            opening.under_way = opening.under_way.saturating_sub(1);
        }
        let connection = &self.protocol.connections[index as usize];
        if connection.timed == Some(Timed::Ready) {
            let due_ns = connection.due_ns;
            self.operated(due_ns, now_ns);
        }
        Ok(())
    }

    fn reached_goal(&mut self, index: u32, now_ns: u64) {
        let connection = &self.protocol.connections[index as usize];
        if connection.timed == Some(Timed::Goal) {
            let due_ns = connection.due_ns;
            self.operated(due_ns, now_ns);
            if let Some(opening) = &mut self.work.opening {
                opening.goals_left = opening.goals_left.saturating_sub(1);
            }
        }
    }

    /// An operation of the workload's own is done.
    pub(super) fn operated(&mut self, due_ns: u64, now_ns: u64) {
        self.protocol.meter.at(now_ns);
        self.protocol.meter.operated(due_ns, now_ns);
        if self.protocol.meter.window.measures(now_ns) {
            self.work.step.operations += 1;
        }
        self.work.step.done_ns = now_ns;
    }

    /// A connection did not come about.
    #[cold]
    pub(super) fn open_failed(&mut self, index: u32) -> Result<(), RingError> {
        self.tally.setup.failed += 1;
        self.tally.moves += 1;
        if self.work.visits.is_some() {
            self.on_visit_failed(index);
        } else {
            self.work.step.operations_failed += 1;
            match &mut self.work.opening {
                Some(opening) => {
                    opening.under_way = opening.under_way.saturating_sub(1);
                    self.give_up_goal(index);
                }
                None => self.work.failed_at_once += 1,
            }
        }
        self.close(index)
    }

    /// Connections that are still on their way have failed: nobody waits for them any longer.
    pub(super) fn give_up_openings(&mut self) -> Result<(), RingError> {
        for index in 0..self.sockets.links.len() as u32 {
            let missing = match self.sockets.links[index as usize].stage {
                Stage::Connecting => "a connection",
                Stage::Handshake => "CONNACK",
                Stage::Subscribing => "SUBACK",
                _ => continue,
            };
            self.protocol.error(format!("waited in vain for {missing}"));
            self.open_failed(index)?;
        }
        Ok(())
    }

    /// A connection ended although nobody wanted that.
    #[cold]
    pub(super) fn dropped(&mut self, index: u32) -> Result<(), RingError> {
        self.protocol.received.disconnects += 1;
        if self.work.visits.is_some() {
            self.on_visit_failed(index);
        }
        self.give_up_goal(index);
        self.close(index)
    }

    fn give_up_goal(&mut self, index: u32) {
        let connection = &mut self.protocol.connections[index as usize];
        if connection.goal_left > 0
            && connection.timed == Some(Timed::Goal)
            && let Some(opening) = &mut self.work.opening
        {
            opening.goals_left = opening.goals_left.saturating_sub(1);
        }
        connection.goal_left = 0;
    }
}
