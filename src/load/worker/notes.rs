//! What happened to the connections, carried out: what each is to become, and what that means for what the worker has been
//! told to do.

use std::io;
use std::sync::atomic::Ordering;

use crate::load::job::Timed;
use crate::uring::RingError;

use super::Worker;
use super::command::KeptOut;
use super::hints;
use super::link::Stage;
use super::protocol::Note;

impl Worker {
    /// Carries out what has happened since this was done last. To be done before a connection is begun: a note is about
    /// the socket that its connection has.
    pub(super) fn handle_notes(&mut self) -> Result<(), RingError> {
        let network = &mut self.network;
        if network.protocol.notes.is_empty() && network.closed.is_empty() {
            return Ok(());
        }
        let now_ns = network.place.now_ns();
        let mut notes = std::mem::take(&mut network.protocol.notes);
        for (index, note) in notes.drain(..) {
            self.handle_note(index, note, now_ns)?;
        }
        debug_assert!(self.network.protocol.notes.is_empty(), "a note of a note");
        self.network.protocol.notes = notes;
        let mut closed = std::mem::take(&mut self.network.closed);
        for (index, at_ns) in closed.drain(..) {
            self.on_closed(index, at_ns);
        }
        self.network.closed = closed;
        Ok(())
    }

    fn handle_note(&mut self, index: u32, note: Note, now_ns: u64) -> Result<(), RingError> {
        let link = &self.network.sockets.links[index as usize];
        let (stage, is_wanted) = (link.stage, link.is_wanted());
        let since_ns = self.network.protocol.connections[index as usize].since_ns;
        match (note, stage) {
            (Note::Connected, Stage::Handshake) => {
                self.tally
                    .setup
                    .connect
                    .saturating_record(now_ns.saturating_sub(since_ns));
                self.network.protocol.connections[index as usize].since_ns = now_ns;
                if index < self.network.subscribers
                    && !self.network.forget
                    && self.network.protocol.subscribe(&self.network.job, index)
                {
                    self.network.sockets.links[index as usize].stage = Stage::Subscribing;
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
                if self.work.visits.is_some() {
                    self.network.leave(index);
                }
                Ok(())
            }
            (Note::Refused | Note::Dropped | Note::Failed, Stage::Ready) => self.dropped(index),
            (Note::Refused, _) if is_wanted => {
                self.tally.setup.refused += 1;
                self.open_failed(index)
            }
            (Note::Dropped | Note::Failed, _) if is_wanted => self.open_failed(index),
            (Note::Broken(errno), _) if is_wanted => self.on_broken(index, errno),
            (Note::Broken(_) | Note::Failed, _) => self.network.close(index),
            // It is being closed: what was to be said of it has been said.
            _ => Ok(()),
        }
    }

    /// The broker has closed the connection (errno 0), or it is broken.
    #[cold]
    fn on_broken(&mut self, index: u32, errno: i32) -> Result<(), RingError> {
        let network = &mut self.network;
        let stage = network.stage(index);
        let what = match errno {
            0 => "closed by the broker".into(),
            errno => io::Error::from_raw_os_error(errno).to_string(),
        };
        // What it may be that it ended before the broker said anything.
        let hint = match (errno, network.layer(index)) {
            _ if stage != Stage::Handshake => "",
            (0 | libc::ECONNRESET | libc::EPIPE, Some(layer)) => {
                hints::of_layer(layer, &network.place.wire)
            }
            (0 | libc::ECONNRESET | libc::EPIPE, None) => {
                hints::before_connack(network.place.wire.options)
            }
            _ => "",
        };
        let text = format!("connection: {what}{hint}");
        match hint.is_empty() {
            true => network.protocol.error(text),
            false => network.protocol.keeps_out(KeptOut::Wire, text),
        }
        match stage {
            Stage::Ready => self.dropped(index),
            _ => self.open_failed(index),
        }
    }

    /// A connection is closed.
    fn on_closed(&mut self, index: u32, at_ns: u64) {
        self.tally.moves += 1;
        let visits = self.work.visits.as_mut();
        if let Some(due_ns) = visits.and_then(|visits| visits.on_closed(index, at_ns)) {
            self.operated(due_ns, at_ns);
        }
    }

    /// A connection is what it was to become.
    fn opened(&mut self, index: u32, now_ns: u64) -> Result<(), RingError> {
        self.network.sockets.links[index as usize].stage = Stage::Ready;
        self.network.ready += 1;
        self.tally.setup.opened += 1;
        let progress = &self.line.progress.workers[self.id as usize];
        progress.opened.fetch_add(1, Ordering::Relaxed);
        self.tally.moves += 1;
        if let Some(visits) = &self.work.visits {
            visits.on_ready(&mut self.network, index, now_ns);
            return Ok(());
        }
        if let Some(opening) = &mut self.work.opening {
            opening.is_decided();
        }
        let connection = &self.network.protocol.connections[index as usize];
        if connection.timed == Some(Timed::Ready) {
            let due_ns = connection.due_ns;
            self.operated(due_ns, now_ns);
        }
        Ok(())
    }

    fn reached_goal(&mut self, index: u32, now_ns: u64) {
        let connection = &self.network.protocol.connections[index as usize];
        if connection.timed == Some(Timed::Goal) {
            let due_ns = connection.due_ns;
            self.operated(due_ns, now_ns);
            if let Some(opening) = &mut self.work.opening {
                opening.goal_is_decided();
            }
        }
    }

    /// An operation of the workload's own is done.
    fn operated(&mut self, due_ns: u64, now_ns: u64) {
        self.network.protocol.meter.at(now_ns);
        self.network.protocol.meter.operated(due_ns, now_ns);
        if self.network.protocol.meter.window.measures(now_ns) {
            self.work.step.operations += 1;
        }
        self.work.step.done_ns = now_ns;
    }

    /// A connection did not come about.
    #[cold]
    fn open_failed(&mut self, index: u32) -> Result<(), RingError> {
        self.tally.setup.failed += 1;
        self.tally.moves += 1;
        if self.work.visits.is_some() {
            self.visit_failed(index);
        } else {
            self.work.step.operations_failed += 1;
            if let Some(opening) = &mut self.work.opening {
                opening.is_decided();
            }
            self.give_up_goal(index);
        }
        self.network.close(index)
    }

    /// Connections that are still on their way have failed: nobody waits for them any longer.
    pub(super) fn give_up_openings(&mut self) -> Result<(), RingError> {
        for index in 0..self.network.sockets.links.len() as u32 {
            let missing = match self.network.stage(index) {
                Stage::Connecting => "a connection",
                Stage::Handshake => "CONNACK",
                Stage::Subscribing => "SUBACK",
                _ => continue,
            };
            self.network
                .protocol
                .error(format!("waited in vain for {missing}"));
            self.open_failed(index)?;
        }
        Ok(())
    }

    /// A connection ended although nobody wanted that.
    #[cold]
    fn dropped(&mut self, index: u32) -> Result<(), RingError> {
        self.network.protocol.received.disconnects += 1;
        self.visit_failed(index);
        self.give_up_goal(index);
        self.network.close(index)
    }

    /// A visit came to nothing, if there was one.
    fn visit_failed(&mut self, index: u32) {
        let visits = self.work.visits.as_mut();
        if visits.is_some_and(|visits| visits.on_failed(index)) {
            self.work.step.operations_failed += 1;
        }
    }

    fn give_up_goal(&mut self, index: u32) {
        let connection = &mut self.network.protocol.connections[index as usize];
        if connection.goal_left > 0
            && connection.timed == Some(Timed::Goal)
            && let Some(opening) = &mut self.work.opening
        {
            opening.goal_is_decided();
        }
        connection.goal_left = 0;
    }
}
