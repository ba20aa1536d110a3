//! Who is to be received from, and by which buffers: in order, those first that found none, and who floods last.

use std::collections::VecDeque;

use crate::ids::ConnId;
use crate::limits;
use crate::uring::{Completion, Filled, ReceiveBuffers, RingError};

use super::brain::Brain;
use super::connections::Flags;
use super::sockets::Sockets;

/// The last receives in a row of one connection.
#[derive(Default)]
struct Run {
    conn: Option<ConnId>,
    bytes: usize,
}

impl Run {
    #[inline]
    fn add(&mut self, conn: ConnId, bytes: usize) {
        let before = if self.conn == Some(conn) {
            self.bytes
        } else {
            0
        };
        (self.conn, self.bytes) = (Some(conn), before + bytes);
    }

    /// The next connection with this number has received nothing yet.
    fn forget(&mut self, conn: ConnId) {
        self.conn.take_if(|last| *last == conn);
    }

    fn is_flood_of(&self, conn: ConnId) -> bool {
        self.conn == Some(conn) && self.bytes >= limits::FLOOD_BYTES
    }
}

/// See the module.
pub(super) struct Receiving {
    buffers: ReceiveBuffers,
    /// Connections that want a receive armed.
    wanting: Vec<ConnId>,
    /// Connections that have sent more than one receive could bring, of what goes to many.
    flooding: Vec<ConnId>,
    /// Connections whose receive found no buffer.
    starved: VecDeque<ConnId>,
    /// How many of them are received from for each buffer, when they are many.
    feed: usize,
    /// Whether some found none since that was last done.
    was_starved: bool,
    /// Who was received from last, and how much.
    run: Run,
    /// Buffers that are kept from the kernel while the mesh is congested.
    withheld: Vec<u16>,
}

/// How starved connections are received from.
struct Feed {
    /// How many.
    most: usize,
    /// Whether each gets a single receive.
    once: bool,
}

impl Receiving {
    pub(super) fn new(buffers: ReceiveBuffers) -> Self {
        Receiving {
            buffers,
            wanting: Vec::new(),
            flooding: Vec::new(),
            starved: VecDeque::new(),
            feed: 1,
            was_starved: false,
            run: Run::default(),
            withheld: Vec::new(),
        }
    }

    /// A connection is to be received from, or looked at for whether it is.
    #[inline]
    pub(super) fn want(&mut self, conn: ConnId) {
        self.wanting.push(conn);
    }

    /// Many are.
    pub(super) fn want_all(&mut self, all: impl Iterator<Item = ConnId>) {
        self.wanting.extend(all);
    }

    /// Arms receives for the connections that want one. To be called when the effects of the events that led here
    /// have been carried out: a connection that moves away must not receive any more.
    pub(super) fn arm<B: Brain>(
        &mut self,
        sockets: &mut Sockets,
        brain: &B,
    ) -> Result<(), RingError> {
        if self.can_feed() {
            self.feed_starved(sockets, brain)?;
        }
        for &conn in &self.wanting {
            self.arm_one(conn, false, sockets, brain)?;
        }
        for &conn in &self.flooding {
            self.arm_one(conn, true, sockets, brain)?;
        }
        self.wanting.clear();
        self.flooding.clear();
        Ok(())
    }

    /// Receives from connections that found no buffer, before others do. Who has taken so many buffers that the others found none is
    /// received from once, or they would never have any.
    #[cold]
    fn feed_starved<B: Brain>(
        &mut self,
        sockets: &mut Sockets,
        brain: &B,
    ) -> Result<(), RingError> {
        let Feed { most, once } = self.feed();
        for _ in 0..most {
            let Some(conn) = self.starved.pop_front() else {
                break;
            };
            let took = sockets.has(conn, Flags::TOOK_BUFFERS);
            self.arm_one(conn, took || once, sockets, brain)?;
        }
        Ok(())
    }

    fn arm_one<B: Brain>(
        &self,
        conn: ConnId,
        once: bool,
        sockets: &mut Sockets,
        brain: &B,
    ) -> Result<(), RingError> {
        let idle = Flags::RECEIVING
            .or(Flags::EOF)
            .or(Flags::CLOSING)
            .or(Flags::GIVING)
            .or(Flags::AWAY);
        let entry = sockets.get(conn).filter(|entry| !entry.flags.has(idle));
        let Some(is_flushing) = entry.map(|entry| entry.flags.has(Flags::FLUSHING)) else {
            return Ok(());
        };
        if brain.is_waiting(conn) {
            return Ok(());
        }
        // What a connection that is being flushed still receives is thrown away: it does not move any more.
        let stays = is_flushing || brain.is_established(conn);
        sockets.receive(conn, self.buffers.group(), stays && !once)
    }

    /// A receive of a connection is over, and it has sent more. While others have found no buffer, it is behind them. Whose messages
    /// go to many is received from once in each turn: with all buffers it would be as far ahead of everybody else. (Everybody who
    /// has sent more, and pairs take 5 % more CPU and twice as long at the end.)
    #[inline]
    pub(super) fn want_again(&mut self, conn: ConnId, deliveries: u64) {
        let floods = deliveries >= limits::FLOOD_DELIVERIES;
        match self.starved.is_empty() {
            true if floods => self.flooding.push(conn),
            true => self.wanting.push(conn),
            false => self.starved.push_back(conn),
        }
    }

    /// A receive found no buffer. Returns whether that is because its connection had the last ones: then it is one that floods.
    #[cold]
    pub(super) fn starve(&mut self, conn: ConnId) -> bool {
        self.was_starved = true;
        self.starved.push_back(conn);
        self.run.is_flood_of(conn)
    }

    /// Whether connections that found no buffer are still to be received from, and there are buffers.
    pub(super) fn can_feed(&self) -> bool {
        !self.starved.is_empty() && self.buffers.lent() > 0
    }

    /// Says how starved connections are received from now. Few of them get as much as there is. Of many, more each time for as long
    /// as the buffers suffice, each is received from once.
    #[cold]
    fn feed(&mut self) -> Feed {
        let lent = usize::from(self.buffers.lent());
        let few = self.starved.len() <= lent * limits::STARVED_FEW_PER_BUFFER;
        self.feed = match std::mem::take(&mut self.was_starved) {
            true => (self.feed / 2).max(1),
            false => (self.feed * 2).min(limits::STARVED_PER_BUFFER_MAX),
        };
        let most = if few {
            self.starved.len()
        } else {
            lent * self.feed
        };
        Feed { most, once: !few }
    }

    /// Whether nobody waits for a buffer.
    pub(super) fn is_settled(&self) -> bool {
        self.starved.is_empty() && self.withheld.is_empty()
    }

    /// What a receive has filled.
    #[inline]
    pub(super) fn take(&mut self, completion: &Completion) -> Option<Filled> {
        self.buffers.take(completion)
    }

    /// The bytes of it.
    #[inline]
    pub(super) fn bytes(&self, filled: Filled) -> &[u8] {
        self.buffers.bytes(filled)
    }

    /// The same, to be decrypted or unmasked in place.
    pub(super) fn bytes_mut(&mut self, filled: Filled) -> &mut [u8] {
        self.buffers.bytes_mut(filled)
    }

    /// So many bytes of a connection have been received.
    #[inline]
    pub(super) fn note(&mut self, conn: ConnId, bytes: usize) {
        self.run.add(conn, bytes);
    }

    /// The next connection with this number has received nothing yet.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.run.forget(conn);
    }

    /// A buffer has been read: it is kept from the kernel while the mesh is congested.
    #[inline]
    pub(super) fn release(&mut self, buffer: u16, is_congested: bool) {
        match is_congested {
            true => self.withheld.push(buffer),
            false => self.buffers.give_back(buffer),
        }
    }

    /// Whether buffers are kept from the kernel.
    pub(super) fn withholds(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// Gives those back.
    pub(super) fn give_back_withheld(&mut self) {
        for buffer in self.withheld.drain(..) {
            self.buffers.give_back(buffer);
        }
    }

    /// Lends the kernel what was given back.
    #[inline]
    pub(super) fn publish(&mut self) {
        self.buffers.publish();
    }
}
