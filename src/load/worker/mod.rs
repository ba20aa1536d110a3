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
mod open;
mod opening;
mod outbox;
mod output;
mod parts;
mod protocol;
mod publish;
mod publishing;
mod step;
mod troubles;
mod visit;
mod visits;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use socket2::SockAddr;

use crate::limits;
use crate::uring::{BufferPlan, Completion, Op, ReceiveBuffers, Ring, RingError, Sizes};

use super::distribution::new_histogram;
use super::job::{Group, Job};

pub use command::{
    Command, KeptOut, Place, Progress, QuitPart, Received, Reply, Sent, SetupPart, StepPart, Times,
    Trouble, WorkerProgress,
};

pub use layer::Wire;
use protocol::{Connection, Protocol};

use layer::Layer;
use link::{CANCELLING_RECEIVE, CANCELLING_SEND, Link};
use opening::Opening;
use parts::{Line, Sockets, Tally, Work};

/// The group of a worker's receive buffers.
const RECEIVE_GROUP: u16 = 1;

/// One worker.
pub struct Worker {
    sockets: Sockets,
    job: Arc<Job>,
    place: Place,
    id: u32,
    protocol: Protocol,
    /// How many of its connections are subscribers.
    subscribers: u32,
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
        let job = start.job;
        let (subscribers, publishers) = clients(&job, start.id);
        let connections = (subscribers.len() + publishers.len()) as u32;
        let ring = Ring::new(Sizes {
            submissions: limits::RING_SUBMISSIONS,
            completions: limits::RING_COMPLETIONS,
            files: connections.max(1),
            workers: limits::RING_WORKERS_MAX,
        })?;
        let buffers = ReceiveBuffers::register(&ring, RECEIVE_GROUP, buffer_plan(&ring))?;
        let mut protocol = Protocol::new(&job, &start.place, Arc::clone(&start.progress));
        protocol.connections = subscribers
            .iter()
            .chain(&publishers)
            .map(|&number| Connection::new(number))
            .collect();
        // The clock decides when a message is due, not the tick of the timers.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        Ok(Worker {
            sockets: Sockets {
                ring,
                buffers,
                links: (0..connections).map(|_| Link::default()).collect(),
                layers: layers(&start.place.wire, connections),
                address: Box::new(SockAddr::from(start.place.target)),
                to_arm: Vec::new(),
                completions: Vec::new(),
            },
            id: start.id,
            protocol,
            subscribers: subscribers.len() as u32,
            work: Work::default(),
            tally: Tally {
                setup: new_setup(),
                ready: 0,
                leaving: 0,
                moves: 0,
                quit: QuitPart::default(),
            },
            line: Line {
                commands: start.commands,
                replies: start.replies,
                progress: start.progress,
                seen: 0,
            },
            place: start.place,
            job,
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
        let now_ns = self.place.now_ns();
        self.look_at_clock(now_ns);
        let mut due_ns = now_ns + limits::LOAD_SLEEP_MS_MAX * 1_000_000;
        due_ns = due_ns.min(self.open_some(now_ns)?);
        due_ns = due_ns.min(self.visit_some(now_ns)?);
        due_ns = due_ns.min(self.publish_some(now_ns));
        self.start_sends()?;
        self.arm_receives()?;
        if !self.work.slips.is_empty() {
            self.sockets.ring.submit()?;
            self.record_slips();
        }
        self.tell(now_ns);
        match due_ns.saturating_sub(self.place.now_ns()) {
            0 => self.sockets.ring.poll()?,
            wait_ns => self
                .sockets
                .ring
                .wait(Some(Duration::from_nanos(wait_ns)))?,
        }
        self.collect()?;
        Ok(true)
    }

    fn collect(&mut self) -> Result<(), RingError> {
        let mut completions = std::mem::take(&mut self.sockets.completions);
        self.sockets
            .ring
            .collect(&mut completions, limits::LOAD_COMPLETIONS_PER_TURN)?;
        let result = completions
            .drain(..)
            .try_for_each(|completion| self.handle(completion));
        self.sockets.completions = completions;
        self.sockets.buffers.publish();
        result?;
        self.handle_notes()
    }

    #[inline]
    fn handle(&mut self, completion: Completion) -> Result<(), RingError> {
        match completion.user_data.op() {
            Some(Op::Receive) => self.on_receive(completion),
            Some(Op::Send) => self.on_send(completion),
            Some(Op::Connect) => self.on_connect(completion),
            Some(Op::CancelReceive) => self.on_ending(completion, CANCELLING_RECEIVE),
            Some(Op::CancelSend) => self.on_ending(completion, CANCELLING_SEND),
            Some(Op::Close) => self.on_ending(completion, 0),
            _ => Ok(()),
        }
    }

    /// This worker's clients of a group, by their places.
    fn own(&self, group: Group) -> Range<u32> {
        match group {
            Group::Subscribers => 0..self.subscribers,
            Group::Publishers => self.subscribers..self.sockets.links.len() as u32,
        }
    }

    /// How many publishers it has.
    fn publishers(&self) -> u32 {
        self.sockets.links.len() as u32 - self.subscribers
    }

    /// Takes the commands that are there; false at the end.
    fn take_commands(&mut self) -> Result<bool, RingError> {
        loop {
            match self.line.commands.try_recv() {
                Ok(Command::Quit) => {
                    let mut quit = std::mem::take(&mut self.tally.quit);
                    quit.errors = std::mem::take(&mut self.protocol.troubles.by_text);
                    let times = std::mem::take(&mut self.protocol.times);
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
            Command::Open(open, start_ns) => self.begin_opening(open, start_ns, u64::MAX),
            Command::Close(group) => self.close_group(group)?,
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
        self.tell(self.place.now_ns());
        Ok(())
    }

    fn close_group(&mut self, group: Group) -> Result<(), RingError> {
        for index in self.own(group) {
            match self.sockets.links[index as usize].stage {
                link::Stage::Ready => self.leave(index),
                link::Stage::Closed | link::Stage::Leaving | link::Stage::Closing => {}
                _ => self.close(index)?,
            }
        }
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
        self.tally.leaving > 0
            || opening
            || visits
            || publishing
            || self.work.step.is_receiving(now_ns)
    }

    /// Writes its progress for others to read.
    fn tell(&mut self, now_ns: u64) {
        let busy = self.is_busy(now_ns);
        let mine = &self.line.progress.workers[self.id as usize];
        let protocol = &self.protocol;
        for (counter, value) in [
            (&mine.published, protocol.published.messages),
            (&mine.expected, protocol.published.deliveries),
            (&mine.delivered, protocol.received.delivered),
            (&mine.unacknowledged, protocol.published.unacknowledged),
            (&mine.ready, self.tally.ready),
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

/// The numbers of a worker's subscribers and publishers.
fn clients(job: &Job, worker: u32) -> (Vec<u32>, Vec<u32>) {
    let subscribers = (0..job.subscribers.len()).filter(|&at| job.subscriber_is_on(at, worker));
    let publishers = (0..job.publishers.len()).filter(|&at| job.publisher_is_on(at, worker));
    (
        subscribers.map(|at| at as u32).collect(),
        publishers.map(|at| at as u32).collect(),
    )
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

/// Room for what lies between sockets and MQTT, if anything does.
fn layers(wire: &Wire, connections: u32) -> Vec<Option<Box<Layer>>> {
    match wire.is_plain() {
        true => Vec::new(),
        false => (0..connections).map(|_| None).collect(),
    }
}

fn buffer_plan(ring: &Ring) -> BufferPlan {
    let incremental = ring.has_ordered_buffers();
    let (count, bytes) = match incremental {
        true => (limits::LOAD_RECV_BUFFERS, limits::RECV_BUFFER_BYTES),
        false => (limits::RECV_BUFFERS_WHOLE, limits::RECV_BUFFER_WHOLE_BYTES),
    };
    BufferPlan {
        count,
        bytes,
        incremental,
    }
}
