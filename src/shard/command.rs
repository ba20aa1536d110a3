//! Commands from the control thread: a channel, and an eventfd that the ring reads.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;

use crate::broker::{Deed, Done, Query, Reply, Settings, Verdict};
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::message::Message;
use crate::uring::{Op, Ring, RingError, UserData, ops};

use super::handshake::Shaken;
#[cfg(test)]
use super::metrics::Metrics;
use super::reply::ReplyTo;

/// What the control thread may ask of a shard.
#[derive(Debug)]
pub(crate) enum ShardCommand {
    /// Publish this as the broker itself.
    Publish(Box<Message>),
    /// A password has been checked.
    Verified {
        conn: ConnId,
        ticket: u32,
        verdict: Verdict,
    },
    /// The configuration has been read again; answered when the shard goes by it.
    Reload(Arc<Settings>, ReplyTo<()>),
    /// Accept from the listeners that there are now; answered when that is begun.
    Listen(ReplyTo<()>),
    /// Memory is short, or has been until now; the brain sees how much at the end of its turn. Only wakes.
    Pressure,
    /// Much less is held than was: give back what is free.
    GiveBack,
    /// A thread has worked on a handshake.
    Shaken(Box<Shaken>),
    /// End: tell the clients, send what is queued, close everything. Never lost.
    Drain,
    /// Answer a question.
    Query(Box<Query>, ReplyTo<Reply>),
    /// Do what an administrator wants, and answer with what became of it.
    Deed(Box<Deed>, ReplyTo<Done>),
    /// Answer with a report.
    Report(ReplyTo<ShardReport>),
}

/// A shard's figures, with how its turns and sends were distributed.
#[derive(Clone, Debug)]
pub(crate) struct ShardReport {
    /// The thread's figures as they are now; others read them from the board.
    #[cfg(test)]
    pub metrics: Metrics,
    /// Nanoseconds that turns took, from wake-up to the end of submission.
    pub turn_ns: Histogram<u64>,
    /// Microseconds that the oldest byte of each send had waited, from the turn in which it began to.
    pub delivery_us: Histogram<u64>,
}

/// The sender's end of a shard's commands.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    commands: Sender<ShardCommand>,
    late: Arc<Mutex<Vec<ShardCommand>>>,
    drain: Arc<AtomicBool>,
    event: Arc<File>,
}

/// The shard's end of its commands.
pub(crate) struct ShardInbox {
    commands: Receiver<ShardCommand>,
    /// Answers for which there was no room among the commands.
    late: Arc<Mutex<Vec<ShardCommand>>>,
    drain: Arc<AtomicBool>,
    event: Arc<File>,
}

/// A pair of ends for one shard.
pub(crate) fn commands() -> io::Result<(ShardHandle, ShardInbox)> {
    // SAFETY: eventfd takes no pointer.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    let event = Arc::new(File::from(unsafe { OwnedFd::from_raw_fd(fd) }));
    let drain = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = bounded(limits::COMMANDS_MAX);
    let late = Arc::new(Mutex::default());
    let handle = ShardHandle {
        commands: sender,
        late: late.clone(),
        drain: drain.clone(),
        event: event.clone(),
    };
    Ok((
        handle,
        ShardInbox {
            commands: receiver,
            late,
            drain,
            event,
        },
    ))
}

impl ShardHandle {
    /// Sends a command and wakes the shard; never waits. Gives the command back when too many are queued, or when
    /// the shard is no more.
    pub(crate) fn send(&self, command: ShardCommand) -> Result<(), ShardCommand> {
        match command {
            ShardCommand::Drain => self.drain.store(true, Ordering::Release),
            other => self
                .commands
                .try_send(other)
                .map_err(|error| error.into_inner())?,
        }
        self.wake();
        Ok(())
    }

    /// The same for an answer that must not be lost, where `send` has no room.
    fn send_late(&self, command: ShardCommand) {
        self.late
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(command);
        self.wake();
    }

    fn wake(&self) {
        // Fails only when the counter is at its end, and then the shard has been woken already.
        let _ = (&*self.event).write_all(&1u64.to_ne_bytes());
    }
}

impl ShardInbox {
    /// The next command, but for `Drain`, if there is one now.
    fn take(&self) -> Option<ShardCommand> {
        let command = self.commands.try_recv().ok();
        command.or_else(|| {
            let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            let command = late.pop();
            if late.is_empty() {
                *late = Vec::new();
            }
            command
        })
    }
}

/// The answer to what a shard has asked others to do: what they had is charged until it comes, so that it is never lost.
pub(crate) struct Answer {
    command: ShardCommand,
    reply: ShardHandle,
}

impl Answer {
    pub(super) fn new(command: ShardCommand, reply: ShardHandle) -> Answer {
        Answer { command, reply }
    }

    /// Tells the shard. Waits some time while it takes no more commands; then the answer is laid where the shard finds it when
    /// it goes on. A shard has no more of them there than it has asked for, and asks for nothing meanwhile.
    pub(crate) fn deliver(self) {
        self.deliver_within(limits::ANSWER_ATTEMPTS);
    }

    fn deliver_within(self, attempts: usize) {
        let Answer { mut command, reply } = self;
        for _ in 0..attempts {
            match reply.send(command) {
                Ok(()) => return,
                Err(back) => command = back,
            }
            thread::sleep(Duration::from_millis(limits::ANSWER_PAUSE_MS));
        }
        reply.send_late(command);
    }
}

#[cfg(test)]
impl ShardInbox {
    /// Whether `Drain` was sent.
    pub(crate) fn told_to_drain(&self) -> bool {
        self.drain.load(Ordering::Acquire)
    }

    /// The next command, but for `Drain`; `None` when there will be none any more.
    pub(crate) fn next(&self) -> Option<ShardCommand> {
        self.commands.recv().ok()
    }
}

/// The inbox and the place where the ring puts the eventfd's counter.
pub(super) struct CommandReader {
    inbox: ShardInbox,
    counter: Box<u64>,
}

impl CommandReader {
    pub(super) fn new(inbox: ShardInbox) -> Self {
        CommandReader {
            inbox,
            counter: Box::new(0),
        }
    }

    /// Has the ring read the eventfd. To be called at the start, and when that is over.
    pub(super) fn arm(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        let entry = ops::read_eventfd(
            self.inbox.event.as_raw_fd(),
            &mut *self.counter,
            UserData::new(Op::Commands, 0, 0),
        );
        // SAFETY: the counter is boxed and owned by `self`, which the shard drops after the ring, and nobody reads it. One read
        // at a time is in flight: it is armed at the start and by its own completion only.
        unsafe { ring.push(&entry) }
    }

    /// Whether `Drain` was sent.
    pub(super) fn is_to_drain(&self) -> bool {
        self.inbox.drain.load(Ordering::Acquire)
    }

    /// The next command, but for `Drain`, if there is one now.
    pub(super) fn take(&self) -> Option<ShardCommand> {
        self.inbox.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shard has asked others to do is charged until they answer: so no answer is lost, however full its queue is.
    #[test]
    fn an_answer_for_which_there_was_no_room_comes_later() {
        let (handle, inbox) = commands().unwrap();
        let answer = |ticket| ShardCommand::Verified {
            conn: ConnId(7),
            ticket,
            verdict: Verdict::Right,
        };
        while handle.send(ShardCommand::Pressure).is_ok() {}
        for ticket in [1, 2] {
            let command = answer(ticket);
            Answer::new(command, handle.clone()).deliver_within(1);
        }
        let all = std::iter::from_fn(|| inbox.take());
        let tickets = all.filter_map(|command| match command {
            ShardCommand::Verified { ticket, .. } => Some(ticket),
            _ => None,
        });
        let mut tickets: Vec<u32> = tickets.collect();
        tickets.sort_unstable();
        assert_eq!(tickets, [1, 2]);
        assert_eq!(inbox.late.lock().unwrap().capacity(), 0);
    }
}
