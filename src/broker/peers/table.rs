//! The connections of a shard, and everything that is kept by their numbers.
//!
//! Invariant: what belongs to a connection is a field of `Conn`, or lies in a table of `Peers` that `release` empties. Who gives a
//! number free gets what has to be given back to others (`Released`). The few things that other rooms keep by such a number are
//! forgotten in `Broker::forget_conn`, and a test knows all fields of both.

use crate::broker::crowd::Crowd;
use crate::broker::peers::conn::Conn;
use crate::broker::peers::partial::Beginners;
use crate::broker::peers::particulars::Particulars;
use crate::broker::peers::peer::Peer;
use crate::broker::peers::rates::Rates;
use crate::broker::peers::state::{Stage, State};
use crate::broker::settings::Quotas;
use crate::budget::{Account, Lease};
use crate::ids::{ConnId, NONE, SessionId};
use crate::table::Table;

/// What a connection that is no more had charged, in bytes.
#[must_use = "it is to be given back"]
#[derive(Default)]
pub(crate) struct Released {
    partial: usize,
    aliases: usize,
}

impl Released {
    /// Gives it back.
    pub(crate) fn give(self, lease: &mut Lease) {
        lease.give(Account::Packets, self.partial as u64);
        lease.give(Account::Connections, self.aliases as u64);
    }
}

/// See the module.
pub(crate) struct Peers {
    pub conns: Table<Conn>,
    free: Vec<u32>,
    /// What only some connections have.
    pub particulars: Particulars,
    /// How fast clients publish; absent without a bound.
    pub rates: Option<Box<Rates>>,
    /// Connections that go on in the next turn, who came first is first.
    pub next_turn: Crowd,
    /// Connections of which CONNECT has not come whole.
    pub beginners: Beginners,
    /// Answers to the connection whose bytes are being handled, queued together.
    pub replies: Vec<u8>,
    pub replies_to: ConnId,
    /// Connections whose answers have grown past every bound; ended with the event.
    pub overflowing: Vec<ConnId>,
}

impl Peers {
    pub(crate) fn new(quotas: &Quotas) -> Self {
        Peers {
            conns: Table::new(),
            free: Vec::new(),
            particulars: Particulars::default(),
            rates: Rates::new(quotas),
            next_turn: Crowd::default(),
            beginners: Beginners::default(),
            replies: Vec::new(),
            replies_to: ConnId(NONE),
            overflowing: Vec::new(),
        }
    }

    /// How far a connection is; also of a number that nobody has.
    pub(crate) fn stage(&self, conn: ConnId) -> Stage {
        let entry = self.conns.get(conn.index());
        entry.map_or(Stage::Free, |entry| entry.stage())
    }

    /// Whether CONNECT was accepted, and nothing has ended it since.
    #[inline]
    pub(crate) fn is_established(&self, conn: ConnId) -> bool {
        self.conns[conn.index()].is_established()
    }

    /// Where a connection stands, and what holds it: for the next step.
    #[inline]
    pub(crate) fn state(&mut self, conn: ConnId) -> &mut State {
        &mut self.conns[conn.index()].state
    }

    /// Takes what is kept of a packet.
    pub(crate) fn take_partial(&mut self, conn: ConnId, lease: &mut Lease) -> Option<Vec<u8>> {
        let partial = self.conns[conn.index()].partial.take()?;
        lease.give(Account::Packets, self.beginners.give_up(&partial) as u64);
        Some(partial.bytes)
    }

    /// Forgets the topic aliases of a connection.
    pub(crate) fn drop_aliases(&mut self, conn: ConnId, lease: &mut Lease) {
        if let Some(aliases) = self.conns[conn.index()].aliases.take() {
            lease.give(Account::Connections, aliases.memory() as u64);
        }
    }

    /// The session of a connection.
    #[inline]
    pub(crate) fn session_of(&self, conn: ConnId) -> Option<SessionId> {
        self.conns[conn.index()].session()
    }

    /// A number for a connection that has come.
    pub(crate) fn admit(&mut self, tick: u32, peer: Peer) -> ConnId {
        if self.free.is_empty()
            && let Some(numbers) = self.conns.refill(Conn::free)
        {
            self.free.extend(numbers.rev());
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.conns.push(Conn::free());
                (self.conns.len() - 1) as u32
            }
        };
        let entry = &mut self.conns[index as usize];
        *entry = Conn::free();
        entry.set_peer(peer);
        entry.state = State::ACCEPTED;
        entry.active_at = tick;
        ConnId(index)
    }

    /// The number of a connection is free again, and nothing here is kept by it.
    pub(crate) fn release(&mut self, conn: ConnId) -> Released {
        let entry = &mut self.conns[conn.index()];
        if entry.stage() == Stage::Free {
            return Released::default();
        }
        let entry = std::mem::replace(entry, Conn::free());
        self.free.push(conn.0);
        self.particulars.forget(conn);
        if let Some(rates) = &mut self.rates {
            rates.forget(conn);
        }
        self.next_turn.remove(conn);
        if !self.overflowing.is_empty() {
            self.overflowing.retain(|&other| other != conn);
        }
        let partial = entry
            .partial
            .map_or(0, |partial| self.beginners.give_up(&partial));
        let aliases = entry.aliases.map_or(0, |aliases| aliases.memory());
        Released { partial, aliases }
    }

    /// Numbers that nobody has.
    pub(crate) fn free_numbers(&self) -> usize {
        self.free.len()
    }

    /// Bytes of memory, without what is charged by itself.
    pub(crate) fn memory(&self) -> usize {
        self.conns.memory()
            + self.beginners.memory()
            + self.next_turn.memory()
            + self.particulars.memory()
            + self.rates.as_ref().map_or(0, |rates| rates.memory())
    }

    /// Where the number of a connection stands. A field that is added here is looked into as well, or says why not.
    #[cfg(test)]
    pub(crate) fn traces(&self, conn: ConnId) -> Vec<&'static str> {
        let Peers {
            conns: _, // its entry is that of a free number
            free: _,
            particulars,
            rates,
            next_turn,
            beginners,
            replies: _, // empty between events
            replies_to: _,
            overflowing,
        } = self;
        let entry = self.conns.get(conn.index());
        let rates = rates.as_ref();
        [
            ("stage", self.stage(conn) != Stage::Free),
            (
                "partial",
                entry.is_some_and(|entry| entry.partial.is_some()),
            ),
            (
                "aliases",
                entry.is_some_and(|entry| entry.aliases.is_some()),
            ),
            ("particulars", particulars.knows(conn)),
            ("rates", rates.is_some_and(|rates| rates.knows(conn))),
            ("next_turn", next_turn.contains(conn)),
            ("beginners", beginners.knows(conn)),
            ("overflowing", overflowing.contains(&conn)),
        ]
        .into_iter()
        .filter_map(|(what, is_there)| is_there.then_some(what))
        .collect()
    }

    /// Gives up what is only kept for reuse.
    pub(crate) fn trim(&mut self) {
        self.conns.trim(|_, entry| entry.stage() == Stage::Free);
        let conns = &self.conns;
        self.free
            .retain(|&index| conns.get(index as usize).is_some());
        self.free.shrink_to_fit();
        self.particulars.trim();
        self.next_turn.shrink_to_fit();
        self.replies.shrink_to_fit();
    }
}
