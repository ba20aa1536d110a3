//! A worker: a pinned thread with a ring and a share of the clients. It publishes on time, verifies every delivery and
//! measures; what it does is told by commands, what it finds are its replies.
//!
//! The turn of a worker: take a command, begin the connections and visits that are due, publish what is due, send,
//! wait until something comes or is due, handle what came. The clock is read with every receive.

mod bus_feed;
mod command;
mod compose;
mod credits;
mod hints;
mod layer;
mod link;
mod measured;
mod network;
mod notes;
mod opening;
mod outbox;
mod output;
mod parts;
mod protocol;
mod publish;
mod publishing;
mod step;
mod traffic;
mod troubles;
mod visits;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::limits;
use crate::uring::RingError;

use super::distribution::new_histogram;
use super::job::Job;

pub use command::{
    Command, KeptOut, Place, Progress, QuitPart, Received, Reply, Sent, SetupPart, StepPart, Times,
    Trouble, WorkerProgress,
};

#[cfg(test)]
pub use hints::all as all_hints;
pub use layer::{OptionsOf, Wire};
use network::Network;
use opening::Opening;
use parts::{Line, Tally, Work};

/// One worker.
pub struct Worker {
    network: Network,
    id: u32,
    work: Work,
    tally: Tally,
    line: Line,
}

/// What a worker starts with.
pub struct Start {
    pub job: Arc<Job>,
    pub place: Place,
    /// Which of the workers it is.
    pub id: u32,
    pub commands: Receiver<Command>,
    pub replies: Sender<Reply>,
    pub progress: Arc<Progress>,
}

impl Worker {
    /// Sets up the ring; in the thread that is to run.
    pub fn new(start: Start) -> Result<Self, RingError> {
        let progress = Arc::clone(&start.progress);
        let network = Network::new(start.job, start.place, start.id, progress)?;
        // The clock decides when a message is due, not the tick of the timers.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        Ok(Worker {
            network,
            id: start.id,
            work: Work::default(),
            tally: Tally {
                setup: new_setup(),
                moves: 0,
                quit: QuitPart::default(),
            },
            line: Line {
                commands: start.commands,
                replies: start.replies,
                progress: start.progress,
                seen: 0,
            },
        })
    }

    /// Works until it is told to quit, or its coordinator is gone.
    pub fn run(mut self) -> Result<(), RingError> {
        while self.turn()? {}
        Ok(())
    }

    /// One turn; false at the end.
    fn turn(&mut self) -> Result<bool, RingError> {
        if !self.take_commands()? {
            return Ok(false);
        }
        self.handle_notes()?;
        let now_ns = self.network.place.now_ns();
        self.look_at_clock(now_ns);
        let due_ns = self
            .do_due(now_ns)?
            .min(now_ns + limits::LOAD_SLEEP_MS_MAX * 1_000_000);
        self.handle_notes()?;
        self.network.start_sends()?;
        self.network.arm_receives()?;
        let ring = &mut self.network.sockets.ring;
        if !self.work.step.slips.is_empty() {
            ring.submit()?;
            self.record_slips();
        }
        self.tell(now_ns);
        let ring = &mut self.network.sockets.ring;
        match due_ns.saturating_sub(self.network.place.now_ns()) {
            0 => ring.poll()?,
            wait_ns => ring.wait(Some(Duration::from_nanos(wait_ns)))?,
        }
        self.network.collect()?;
        self.handle_notes()?;
        Ok(true)
    }

    /// Does what it has been told to do, as far as it is due; when more is.
    fn do_due(&mut self, now_ns: u64) -> Result<u64, RingError> {
        let Worker { network, work, .. } = self;
        let mut due_ns = u64::MAX;
        if let Some(opening) = &mut work.opening {
            due_ns = opening.open_due(network, now_ns)?;
            if !opening.is_busy() {
                work.opening = None;
            }
        }
        if let Some(visits) = &mut work.visits {
            due_ns = due_ns.min(visits.visit_due(network, now_ns)?);
        }
        if let Some(publishing) = &mut work.publishing {
            let next_ns = publishing.publish_due(network, &mut work.step, &mut work.bus, now_ns);
            due_ns = due_ns.min(next_ns);
        }
        Ok(due_ns)
    }

    /// Takes the commands that are there; false at the end.
    fn take_commands(&mut self) -> Result<bool, RingError> {
        loop {
            match self.line.commands.try_recv() {
                Ok(Command::Quit) => {
                    let mut quit = std::mem::take(&mut self.tally.quit);
                    quit.errors = std::mem::take(&mut self.network.protocol.troubles.by_text);
                    let times = std::mem::take(&mut self.network.protocol.times);
                    if quit.subscribers.is_empty() {
                        quit.subscribers = times.into_iter().collect();
                    }
                    let _ = self.line.replies.send(Reply::Quit(Box::new(quit)));
                    return Ok(false);
                }
                Ok(command) => self.obey(command)?,
                Err(TryRecvError::Empty) => return Ok(true),
                Err(TryRecvError::Disconnected) => return Ok(false),
            }
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), RingError> {
        match command {
            Command::Open(open, start_ns) => self.begin_opening(open, (start_ns, u64::MAX)),
            Command::Close(group) => self.network.close_group(group)?,
            Command::Begin(window, traffic) => self.begin_step(window, traffic),
            Command::Cease(end_ns) => self.cease(end_ns),
            Command::End => {
                self.give_up_openings()?;
                let part = Reply::Ended(Box::new(self.end_step()));
                let _ = self.line.replies.send(part);
            }
            Command::Balance(sent) => {
                let reply = self.balance(&sent);
                let _ = self.line.replies.send(reply);
            }
            Command::Setup => {
                let setup = std::mem::replace(&mut self.tally.setup, new_setup());
                let _ = self.line.replies.send(Reply::Setup(Box::new(setup)));
            }
            Command::Quit => {}
        }
        self.line.seen += 1;
        self.tell(self.network.place.now_ns());
        Ok(())
    }

    /// Whether what it was told to do goes on.
    fn is_busy(&self, now_ns: u64) -> bool {
        let opening = self.work.opening.as_ref().is_some_and(Opening::is_busy);
        let visits = self.work.visits.as_ref().is_some_and(|v| v.is_busy(now_ns));
        let publishing = self
            .work
            .publishing
            .as_ref()
            .is_some_and(|p| p.is_busy(now_ns));
        self.network.leaving > 0
            || opening
            || visits
            || publishing
            || self.work.step.is_receiving(now_ns)
    }

    /// Writes its progress for others to read.
    fn tell(&mut self, now_ns: u64) {
        let busy = self.is_busy(now_ns);
        let mine = &self.line.progress.workers[self.id as usize];
        let protocol = &self.network.protocol;
        for (counter, value) in [
            (&mine.published, protocol.published.messages),
            (&mine.expected, protocol.published.deliveries),
            (&mine.delivered, protocol.received.delivered),
            (&mine.unacknowledged, protocol.published.unacknowledged),
            (&mine.ready, self.network.ready),
            (&mine.failed, self.tally.setup.failed),
            (&mine.unreachable, protocol.troubles.unreachable),
            (&mine.kept_out, protocol.troubles.kept_out),
            (&mine.disconnects, protocol.received.disconnects),
            (&mine.p99_ns, protocol.meter.last_p99_ns),
            (&mine.moves, self.tally.moves),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
        mine.busy.store(busy, Ordering::Release);
        mine.seen.store(self.line.seen, Ordering::Release);
    }
}

fn new_setup() -> SetupPart {
    SetupPart {
        connect: new_histogram(),
        subscribe: new_histogram(),
        opened: 0,
        refused: 0,
        failed: 0,
    }
}
