//! The thread's own table of connections: 20 bytes each, in chunks, indexed by the brain's numbers.

use crate::ids::ConnId;
use crate::outbound::Rest;
use crate::uring::{Op, UserData};

use super::delivery_time::Waiting;

/// What is known of a connection: a set of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flags(u32);

impl Flags {
    /// The entry is in use.
    pub(super) const OPEN: Flags = Flags(1);
    /// A receive is in flight.
    pub(super) const RECEIVING: Flags = Flags(1 << 1);
    /// A send is in flight.
    pub(super) const SENDING: Flags = Flags(1 << 2);
    /// A cancellation of the receive is in flight.
    pub(super) const CANCELLING_RECEIVE: Flags = Flags(1 << 3);
    /// A cancellation of the send is in flight.
    pub(super) const CANCELLING_SEND: Flags = Flags(1 << 4);
    /// The peer has closed its side.
    pub(super) const EOF: Flags = Flags(1 << 5);
    /// The brain was told that the connection has ended.
    pub(super) const END_TOLD: Flags = Flags(1 << 6);
    /// To be closed when its output is sent and the peer has closed too.
    pub(super) const FLUSHING: Flags = Flags(1 << 7);
    /// The sending side is shut down, or about to be.
    pub(super) const SHUT: Flags = Flags(1 << 8);
    /// To be closed as soon as nothing is in flight but a receive.
    pub(super) const CLOSING: Flags = Flags(1 << 9);
    /// The close of the slot is in flight.
    pub(super) const SLOT_CLOSING: Flags = Flags(1 << 10);
    /// On its way to another shard.
    pub(super) const GIVING: Flags = Flags(1 << 11);
    /// The other shard has it, and counts it.
    pub(super) const GIVEN: Flags = Flags(1 << 12);
    /// There is a transport between its socket and MQTT.
    pub(super) const TRANSPORT: Flags = Flags(1 << 13);
    /// Its transport is with a thread that works on a handshake.
    pub(super) const AWAY: Flags = Flags(1 << 14);
    /// It counts as a TLS connection.
    pub(super) const TLS: Flags = Flags(1 << 15);
    /// Counted for its source address.
    pub(super) const COUNTED: Flags = Flags(1 << 16);
    /// Received so much in a row that no buffer was left.
    pub(super) const TOOK_BUFFERS: Flags = Flags(1 << 17);
    /// The brain has lent bytes and waits to hear what became of them (`Sockets::repay`).
    pub(super) const LENT: Flags = Flags(1 << 18);
    /// The slot is closed; what is in flight still holds the socket.
    pub(super) const SLOT_CLOSED: Flags = Flags(1 << 19);

    /// More of its output waits than the brain has lent.
    pub(super) const LENT_PART: Flags = Flags(1 << 20);

    /// On its way out, one way or another.
    pub(super) const LEAVING: Flags = Self::CLOSING.or(Self::FLUSHING).or(Self::GIVING);

    #[inline]
    pub(super) const fn has(self, any: Flags) -> bool {
        self.0 & any.0 != 0
    }

    #[inline]
    pub(super) fn set(&mut self, more: Flags) {
        self.0 |= more.0;
    }

    #[inline]
    pub(super) fn clear(&mut self, less: Flags) {
        self.0 &= !less.0;
    }

    #[inline]
    pub(super) const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// One connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    /// The slot of its socket in the ring's file table.
    pub slot: u32,
    /// How often this entry has been used: tells completions of one use from those of another.
    pub generation: u32,
    /// The listener that counts it.
    pub listener: u16,
    pub flags: Flags,
    /// Submissions whose last completion has not come yet.
    pub in_flight: u8,
    /// What of its output waits, and since when.
    pub waiting: Waiting,
}

const _: () = assert!(size_of::<Connection>() <= 20);

impl Connection {
    /// What an operation of this connection carries.
    #[inline]
    pub(super) fn user_data(&self, op: Op, conn: ConnId) -> UserData {
        UserData::new(op, self.generation, conn.0)
    }

    /// The brain has lent all of its output, or a part of it.
    #[inline]
    pub(super) fn lend(&mut self, now_us: u32, is_part: bool) {
        self.flags.clear(Flags::LENT_PART);
        self.flags.set(Flags::LENT);
        if is_part {
            self.flags.set(Flags::LENT_PART);
        }
        self.waiting.lend(now_us);
    }

    /// What was lent goes back. Returns for how long the oldest byte of it has waited, in microseconds.
    #[inline]
    pub(super) fn repay(&mut self, now_us: u32, rest: Rest) -> u32 {
        let rest = match rest {
            Rest::Later if self.flags.has(Flags::LENT_PART) => Rest::Offered,
            other => other,
        };
        self.flags.clear(Flags::LENT);
        self.waiting.repay(now_us, rest)
    }

    /// Whether nothing is in flight but a receive, and its cancellation.
    pub(super) fn only_receives(&self) -> bool {
        let is = |flag| u8::from(self.flags.has(flag));
        self.in_flight == is(Flags::RECEIVING) + is(Flags::CANCELLING_RECEIVE)
    }
}

/// Connections in one chunk: 20 KiB.
const CHUNK: usize = 1024;

/// All connections of the shard.
pub(super) struct Connections {
    chunks: Vec<Box<[Connection; CHUNK]>>,
    open: usize,
    /// Those to be flushed that may have come to the end of it.
    flushing: Vec<ConnId>,
}

impl Connections {
    pub(super) fn new() -> Self {
        Connections {
            chunks: Vec::new(),
            open: 0,
            flushing: Vec::new(),
        }
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Enters a connection under the number that the brain has given it.
    pub(super) fn insert(&mut self, conn: ConnId, slot: u32, listener: u16) {
        while self.chunks.len() <= conn.index() / CHUNK {
            self.chunks.push(Box::new([Connection::default(); CHUNK]));
        }
        let entry = &mut self.chunks[conn.index() / CHUNK][conn.index() % CHUNK];
        debug_assert!(
            !entry.flags.has(Flags::OPEN),
            "the brain reused a number before on_closed"
        );
        let generation = entry.generation.wrapping_add(1) & UserData::GENERATION_MASK;
        *entry = Connection {
            slot,
            generation,
            listener,
            flags: Flags::OPEN,
            in_flight: 0,
            waiting: Waiting::default(),
        };
        self.open += 1;
    }

    /// An open connection.
    #[inline]
    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let chunk = self.chunks.get_mut(conn.index() / CHUNK)?;
        Some(&mut chunk[conn.index() % CHUNK]).filter(|entry| entry.flags.has(Flags::OPEN))
    }

    /// The open connection that a completion belongs to.
    #[inline]
    pub(super) fn of(&mut self, user_data: UserData) -> Option<(ConnId, &mut Connection)> {
        let conn = ConnId(user_data.index());
        let entry = self.get(conn)?;
        (entry.generation == user_data.generation()).then_some((conn, entry))
    }

    /// The numbers of those that are open.
    pub(super) fn numbers(&self) -> impl Iterator<Item = ConnId> + '_ {
        let entries = self
            .chunks
            .iter()
            .flat_map(|chunk| chunk.iter())
            .enumerate();
        let open = entries.filter(|(_, entry)| entry.flags.has(Flags::OPEN));
        open.map(|(index, _)| ConnId(index as u32))
    }

    /// One that is flushed is to be looked at: it may have come to the end of that.
    pub(super) fn look_at(&mut self, conn: ConnId) {
        self.flushing.push(conn);
    }

    /// The next one to be looked at.
    pub(super) fn next_flushing(&mut self) -> Option<ConnId> {
        self.flushing.pop()
    }

    /// Takes a connection out.
    pub(super) fn remove(&mut self, conn: ConnId) {
        if let Some(entry) = self.get(conn) {
            entry.flags = Flags::default();
            self.open -= 1;
        }
    }
}
