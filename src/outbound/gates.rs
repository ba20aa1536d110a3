//! Gates: places in the output of connections that nothing passes before all up to a number is durable.
//!
//! A gate is a number of bytes and knows nothing of ranges: they merge over it, are copied together and become private as if it
//! were not there, and a send ends at the first gate of its connection. So a packet costs no more where a gate is, and a queue
//! has a mark that says whether it has gates at all.
//!
//! Gates lie in places of one table, in two lists: all in the order of their numbers, which is that in which they open, and those of
//! each connection (`Chain`) in the order of its output. Numbers never become less, so the oldest gate is always the first of
//! its connection.
//!
//! Invariants:
//! - between two gates of a connection lies something, so that there are never more of them than packets, and one;
//! - what is in flight lies before the first gate.

use crate::ids::{ConnId, NONE};
use crate::table::Table;

/// Bytes of output from the front: where they begin and end.
pub(super) type Span = (u32, u32);

#[derive(Clone, Copy)]
struct Gate {
    /// It opens when all up to this number is durable.
    after: u64,
    conn: ConnId,
    /// Bytes between it and the gate before it of its connection, or the front of the output.
    gap: u32,
    /// The next gate of its connection.
    behind: u32,
    /// The neighbours in the order of numbers. Free places are a list by `newer`.
    older: u32,
    newer: u32,
}

/// The gates of one connection.
#[derive(Clone, Copy)]
struct Chain {
    first: u32,
    last: u32,
    /// Bytes of output before the last one.
    bytes: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Chain {
            first: NONE,
            last: NONE,
            bytes: 0,
        }
    }
}

/// The gates of all connections.
pub(super) struct Gates {
    places: Table<Gate>,
    /// By connection; those that never had a gate may have none.
    chains: Table<Chain>,
    free: u32,
    oldest: u32,
    newest: u32,
    /// Up to this number all is durable.
    durable: u64,
}

impl Gates {
    pub(super) fn new() -> Self {
        Gates {
            places: Table::new(),
            chains: Table::new(),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            durable: 0,
        }
    }

    /// A gate behind the `pending` bytes of a connection. One that has nothing between it and the gate before it takes its place.
    pub(super) fn add(&mut self, conn: ConnId, pending: u32, after: u64) {
        if after <= self.durable {
            return;
        }
        let newest = self.places.get(self.newest as usize);
        let after = newest.map_or(after, |newest| after.max(newest.after));
        self.chains.ensure(conn.index(), Chain::default);
        let Chain { last, bytes, .. } = self.chains[conn.index()];
        if last != NONE && bytes == pending {
            if self.places[last as usize].after < after {
                self.unlink(last);
                self.places[last as usize].after = after;
                self.link(last);
            }
            return;
        }
        let place = self.take_place(Gate {
            after,
            conn,
            gap: pending - bytes,
            behind: NONE,
            older: NONE,
            newer: NONE,
        });
        self.link(place);
        match last {
            NONE => self.chains[conn.index()].first = place,
            last => self.places[last as usize].behind = place,
        }
        let chain = &mut self.chains[conn.index()];
        (chain.last, chain.bytes) = (place, pending);
    }

    /// Bytes of a connection that lie before its first gate, if it has one.
    pub(super) fn front(&self, conn: ConnId) -> Option<u32> {
        let chain = self.chains.get(conn.index())?;
        let first = self.places.get(chain.first as usize)?;
        Some(first.gap)
    }

    /// All up to this number is durable.
    pub(super) fn note_durable(&mut self, durable: u64) {
        self.durable = self.durable.max(durable);
    }

    /// Opens a gate that need not be closed any more and says whose it was.
    pub(super) fn open(&mut self) -> Option<ConnId> {
        let place = self.oldest;
        let gate = *self.places.get(place as usize)?;
        if gate.after > self.durable {
            return None;
        }
        self.remove(place);
        let chain = &mut self.chains[gate.conn.index()];
        debug_assert_eq!(chain.first, place);
        match gate.behind {
            NONE => *chain = Chain::default(),
            behind => {
                chain.first = behind;
                self.places[behind as usize].gap += gate.gap;
            }
        }
        Some(gate.conn)
    }

    /// So many bytes at the front of a connection that has gates are gone: they lay before the first one.
    pub(super) fn pass(&mut self, conn: ConnId, bytes: u32) {
        let chain = &mut self.chains[conn.index()];
        chain.bytes -= bytes;
        self.places[chain.first as usize].gap -= bytes;
    }

    /// These bytes of a connection are gone, wherever they were. The spans are in order.
    pub(super) fn cut(&mut self, conn: ConnId, gone: &[Span]) {
        let mut kept: Vec<(u32, u32)> = Vec::new();
        let mut gone = gone.iter().peekable();
        let (mut position, mut lost, mut end) = (0, 0, 0);
        let mut place = self.chains[conn.index()].first;
        while place != NONE {
            let gate = self.places[place as usize];
            position += gate.gap;
            while let Some((from, to)) = gone.next_if(|span| span.1 <= position) {
                lost += to - from;
            }
            let within = gone
                .peek()
                .map_or(0, |span| position.saturating_sub(span.0));
            let now = position - lost - within;
            let mut gap = now - end;
            if gap == 0
                && let Some((before, its_gap)) = kept.pop()
            {
                self.remove(before);
                gap = its_gap;
            }
            kept.push((place, gap));
            end = now;
            place = gate.behind;
        }
        self.chain(conn, &kept, end);
    }

    /// The gates of a connection are these, with these gaps, and so many bytes lie before the last.
    fn chain(&mut self, conn: ConnId, gates: &[(u32, u32)], bytes: u32) {
        let mut behind = NONE;
        for &(place, gap) in gates.iter().rev() {
            let gate = &mut self.places[place as usize];
            (gate.gap, gate.behind) = (gap, behind);
            behind = place;
        }
        self.chains[conn.index()] = Chain {
            first: behind,
            last: gates.last().map_or(NONE, |&(place, _)| place),
            bytes,
        };
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        let mut place = std::mem::take(&mut self.chains[conn.index()]).first;
        while place != NONE {
            let behind = self.places[place as usize].behind;
            self.remove(place);
            place = behind;
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.places.memory() + self.chains.memory()
    }

    /// Gives memory back: that of connections without gates, and that of gates when there is none.
    pub(super) fn trim(&mut self) {
        self.chains.trim(|_, chain| chain.first == NONE);
        if self.oldest == NONE {
            self.places = Table::new();
            self.free = NONE;
        }
    }

    fn take_place(&mut self, gate: Gate) -> u32 {
        let place = self.free;
        if place == NONE {
            self.places.push(gate);
            return self.places.len() as u32 - 1;
        }
        self.free = self.places[place as usize].newer;
        self.places[place as usize] = gate;
        place
    }

    /// Takes a gate from the order of numbers and makes its place free.
    fn remove(&mut self, place: u32) {
        self.unlink(place);
        self.places[place as usize].newer = self.free;
        self.free = place;
    }

    /// Adds a gate to the order of numbers, as the newest.
    fn link(&mut self, place: u32) {
        let newest = std::mem::replace(&mut self.newest, place);
        let gate = &mut self.places[place as usize];
        (gate.older, gate.newer) = (newest, NONE);
        match newest {
            NONE => self.oldest = place,
            newest => self.places[newest as usize].newer = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let Gate { older, newer, .. } = self.places[place as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.places[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.places[newer as usize].older = older,
        }
    }
}
