//! The connections of a worker: their sockets and what they speak. What happens to them is told by notes, which the worker
//! handles when a batch of completions is done.

use std::ops::Range;
use std::sync::Arc;

use socket2::SockAddr;

use crate::limits;
use crate::load::job::{Group, Job};
use crate::mqtt::QoS;
use crate::uring::{BufferPlan, Completion, Op, ReceiveBuffers, Ring, RingError, Sizes, ops};

use super::command::{Place, Progress};
use super::layer::Layer;
use super::link::{
    CANCELLING_RECEIVE, CANCELLING_SEND, Link, RECEIVING, SENDING, SLOT_CLOSED, Stage,
};
use super::protocol::{Connection, Protocol};

/// The group of a worker's receive buffers.
const RECEIVE_GROUP: u16 = 1;

/// The ring and what its operations name. The ring comes first, so that it goes first: what it uses outlives it.
pub(super) struct Sockets {
    pub ring: Ring,
    pub buffers: ReceiveBuffers,
    /// By connection: the subscribers' come first, then the publishers'.
    pub links: Vec<Link>,
    /// By connection; empty where MQTT lies on the sockets themselves.
    pub layers: Vec<Option<Box<Layer>>>,
    /// The broker's.
    pub address: Box<SockAddr>,
    /// Connections whose receive is to be armed.
    pub to_arm: Vec<u32>,
    pub completions: Vec<Completion>,
}

/// A worker's share of the clients, with the ring on which they live.
pub(super) struct Network {
    pub sockets: Sockets,
    pub protocol: Protocol,
    pub job: Arc<Job>,
    pub place: Place,
    /// How many of the connections are subscribers; they come first.
    pub subscribers: u32,
    /// Whether connections that are opened now forget their sessions, and subscribe to nothing.
    pub forget: bool,
    /// Connections that are open, and subscribed if they subscribe.
    pub ready: u64,
    /// Connections that are being closed.
    pub leaving: u32,
    /// Connections that are closed, and since when, until the worker has looked at them.
    pub closed: Vec<(u32, u64)>,
}

impl Network {
    /// Sets up the ring for the clients of a worker.
    pub(super) fn new(
        job: Arc<Job>,
        place: Place,
        worker: u32,
        progress: Arc<Progress>,
    ) -> Result<Self, RingError> {
        let (subscribers, publishers) = clients(&job, worker);
        let connections = (subscribers.len() + publishers.len()) as u32;
        let ring = Ring::new(Sizes {
            submissions: limits::RING_SUBMISSIONS,
            completions: limits::RING_COMPLETIONS,
            files: connections.max(1),
            workers: limits::RING_WORKERS_MAX,
        })?;
        let buffers = ReceiveBuffers::register(&ring, RECEIVE_GROUP, buffer_plan(&ring))?;
        let mut protocol = Protocol::new(&job, &place, progress);
        protocol.connections = subscribers
            .iter()
            .chain(&publishers)
            .map(|&number| Connection::new(number))
            .collect();
        let layers = match place.wire.is_plain() {
            true => Vec::new(),
            false => (0..connections).map(|_| None).collect(),
        };
        Ok(Network {
            sockets: Sockets {
                ring,
                buffers,
                links: (0..connections).map(|_| Link::default()).collect(),
                layers,
                address: Box::new(SockAddr::from(place.target)),
                to_arm: Vec::new(),
                completions: Vec::new(),
            },
            protocol,
            subscribers: subscribers.len() as u32,
            job,
            place,
            forget: false,
            ready: 0,
            leaving: 0,
            closed: Vec::new(),
        })
    }

    /// The clients of a group, by their places.
    pub(super) fn of(&self, group: Group) -> Range<u32> {
        match group {
            Group::Subscribers => 0..self.subscribers,
            Group::Publishers => self.subscribers..self.sockets.links.len() as u32,
        }
    }

    /// How many publishers there are.
    pub(super) fn publishers(&self) -> u32 {
        self.sockets.links.len() as u32 - self.subscribers
    }

    /// How far a connection has come.
    #[inline]
    pub(super) fn stage(&self, index: u32) -> Stage {
        self.sockets.links[index as usize].stage
    }

    /// What layers below MQTT there are for a connection, if any.
    pub(super) fn layer(&self, index: u32) -> Option<&Layer> {
        self.sockets.layers.get(index as usize)?.as_deref()
    }

    /// Whether a publisher can be given another message.
    #[inline]
    pub(super) fn takes(&self, index: u32) -> bool {
        let connection = &self.protocol.connections[index as usize];
        self.stage(index) == Stage::Ready
            && connection.out.len() < limits::LOAD_OUT_BYTES_MAX
            && (self.job.qos == QoS::AtMostOnce || connection.client.may_publish())
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
        let durable = durable && !self.forget;
        let connection = self.protocol.output(index);
        let settings = &self.job.settings;
        connection
            .client
            .connect(settings, &id, durable, &mut connection.out);
    }

    /// Handles what has completed.
    pub(super) fn collect(&mut self) -> Result<(), RingError> {
        let mut completions = std::mem::take(&mut self.sockets.completions);
        self.sockets
            .ring
            .collect(&mut completions, limits::LOAD_COMPLETIONS_PER_TURN)?;
        let result = completions
            .drain(..)
            .try_for_each(|completion| self.handle(completion));
        self.sockets.completions = completions;
        self.sockets.buffers.publish();
        result
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

    /// Closes all of a group, those that are open with DISCONNECT.
    pub(super) fn close_group(&mut self, group: Group) -> Result<(), RingError> {
        for index in self.of(group) {
            match self.stage(index) {
                Stage::Ready => self.leave(index),
                Stage::Closed | Stage::Leaving | Stage::Closing => {}
                _ => self.close(index)?,
            }
        }
        Ok(())
    }

    /// Says DISCONNECT and closes.
    pub(super) fn leave(&mut self, index: u32) {
        let link = &mut self.sockets.links[index as usize];
        if link.stage == Stage::Ready {
            self.ready -= 1;
        }
        link.stage = Stage::Leaving;
        self.leaving += 1;
        let connection = self.protocol.output(index);
        connection
            .client
            .disconnect(&self.job.settings, &mut connection.out);
    }

    /// Closes without a word.
    pub(super) fn close(&mut self, index: u32) -> Result<(), RingError> {
        let link = &mut self.sockets.links[index as usize];
        if link.stage == Stage::Closed || link.stage == Stage::Closing {
            return Ok(());
        }
        if link.stage == Stage::Ready {
            self.ready -= 1;
        }
        self.leaving += u32::from(link.stage != Stage::Leaving);
        link.stage = Stage::Closing;
        self.advance_closing(index)
    }

    /// Ends the operations, empties the slot, and is done when nothing is in flight. The socket lives until the last of
    /// its operations is over, so the order of the two does not matter.
    pub(super) fn advance_closing(&mut self, index: u32) -> Result<(), RingError> {
        let link = &mut self.sockets.links[index as usize];
        if link.stage != Stage::Closing {
            return Ok(());
        }
        for (op, cancel, busy, cancelling) in [
            (
                Op::Receive,
                Op::CancelReceive,
                RECEIVING,
                CANCELLING_RECEIVE,
            ),
            (Op::Send, Op::CancelSend, SENDING, CANCELLING_SEND),
        ] {
            if link.has(busy) && !link.has(cancelling) {
                link.set(cancelling);
                link.in_flight += 1;
                let (target, own) = (link.user_data(op, index), link.user_data(cancel, index));
                // SAFETY: names no memory.
                unsafe { self.sockets.ring.push(&ops::cancel(target, own))? };
            }
        }
        if !link.has(SLOT_CLOSED) {
            link.set(SLOT_CLOSED);
            link.in_flight += 1;
            let submission = ops::close(index, link.user_data(Op::Close, index));
            // SAFETY: names no memory.
            unsafe { self.sockets.ring.push(&submission)? };
        }
        if link.in_flight > 0 {
            return Ok(());
        }
        let sending = std::mem::take(&mut link.sending);
        link.reset();
        self.leaving -= 1;
        self.protocol.recycle(sending);
        if let Some(layer) = self.sockets.layers.get_mut(index as usize) {
            *layer = None;
        }
        self.protocol.lost(index);
        self.closed.push((index, self.place.now_ns()));
        Ok(())
    }

    /// A cancellation or the close of the slot is over. An operation may have been between two attempts, where it
    /// cannot be found: then it is cancelled again.
    fn on_ending(&mut self, completion: Completion, flag: u8) -> Result<(), RingError> {
        let Some(index) = self.completed(completion) else {
            return Ok(());
        };
        self.sockets.links[index as usize].clear(flag);
        self.advance_closing(index)
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
