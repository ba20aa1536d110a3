//! What this shard has asked and waits for, and how it goes on: by ticket, a continuation.
//!
//! Who asks another shard, or a thread beside the shards, opens a wait and sends its ticket along. The answer comes back with
//! the ticket, and with the last one the continuation is handed out. Whose a wait is, until when it lasts, and what is charged
//! for it is looked at here and nowhere else:
//! - what a connection waits for ends with it (`forget`), and says what is to be given back; it waits for one thing at a time,
//!   as nothing of it is handled meanwhile;
//! - what a session waits for goes on without its client; whether it is still that session is told with the continuation;
//! - what was lent to who answers is charged until all answers have come, whoever is gone by then.
//!
//! A connection may also be owed answers (to SUBSCRIBEs, for which others have to be asked), for which its goodbye waits. While it
//! waits or is owed something it has a line here, with a number that no other connection has had: its own number is soon
//! another's.
//!
//! Invariants: a ticket is of one wait at a time, and an answer that no wait has the ticket of is nobody's; every wait of a connection is
//! named by its line; a deadline is never early, and while the shard is behind with what has come to it, it waits for that.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::continuation::{Continuation, Late};
use super::interest::barrier::Announcement;
use super::interest::suback::Suback;
use super::peers::admission::Admission;
use super::retained::asking::RoomAsked;
use super::retained::question::Question;
use super::sessions::table::Sessions;
use crate::budget::{Account, Lease};
use crate::ids::{ConnId, SessionId, SessionRef};
use crate::limits;

macro_rules! continuations {
    ($($(#[doc = $what:literal])+ $(#[$when:meta])? $name:ident($kept:ty)),* $(,)?) => {
        /// How it goes on.
        pub(super) enum Then {
            $($(#[doc = $what])+ $(#[$when])? $name($kept),)*
            /// Not at all: who asked is gone.
            Nothing,
        }

        impl Then {
            fn kept(&self) -> Option<&dyn Continuation> {
                match self {
                    $($(#[$when])? Then::$name(kept) => Some(kept),)*
                    Then::Nothing => None,
                }
            }

            /// No answer has come in time.
            pub(super) fn be_late(&mut self) -> Late {
                match self {
                    $($(#[$when])? Then::$name(kept) => kept.be_late(),)*
                    Then::Nothing => Late::Waits,
                }
            }
        }
    };
}

continuations! {
    /// SUBACK is sent.
    Suback(Suback),
    /// CONNECT is let in, or refused.
    Admit(Admission),
    /// PUBLISH is taken, or refused.
    Publish(RoomAsked),
    /// A page of retained messages is replayed.
    Replay(Question),
    /// All shards know a filter.
    Announced(Announcement),
    /// DISCONNECT, or the end of what a client sends, is handled: it has been given all that it was owed.
    Goodbye(Goodbye),
    /// What a new wait needs.
    #[cfg(test)]
    Example(super::tests::examples::wait::Example),
}

impl Then {
    fn account(&self) -> Account {
        self.kept()
            .map_or(Account::Connections, |kept| kept.account())
    }

    fn memory(&self) -> usize {
        self.kept().map_or(0, |kept| kept.memory())
    }

    fn key(&self) -> Option<u64> {
        self.kept()?.key()
    }
}

/// Nothing has to be kept for a goodbye.
pub(super) struct Goodbye;

impl Continuation for Goodbye {
    fn be_late(&mut self) -> Late {
        Late::GivesUp
    }
}

/// Whose a wait is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitOf {
    /// The shard's own.
    Shard,
    /// A connection's, which stands still meanwhile.
    Conn(ConnId),
    /// A session's.
    Session(SessionRef),
}

/// A wait that is over.
pub(super) struct Over {
    pub then: Then,
    /// The session that it was of, unless that has ended.
    pub session: Option<SessionId>,
}

struct Wait {
    of: WaitOf,
    /// Answers that have not come.
    missing: u32,
    /// `u64::MAX` for never.
    due_ms: u64,
    account: Account,
    /// Bytes that are charged for what is kept here.
    charged: usize,
    /// Bytes that are charged for what was lent to who answers.
    lent: usize,
    then: Then,
}

/// What a connection waits for, and is owed.
#[derive(Default)]
struct Line {
    number: u32,
    /// The ticket of what it waits for; 0 for nothing.
    waits: u32,
    /// Answers that it will be given.
    owed: u32,
    /// So many of them are ready, and kept (`held`).
    held: u32,
    /// Its goodbye has waited for them for long enough.
    gives_up: bool,
}

/// See the module.
pub(super) struct Waits {
    last_ticket: u32,
    last_line: u32,
    table: HashMap<u32, Wait, FixedState>,
    /// By connection.
    lines: HashMap<u32, Line, FixedState>,
    /// How many waits have a key.
    keys: HashMap<u64, u32, FixedState>,
    /// With those of waits that are over.
    deadlines: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Default for Waits {
    fn default() -> Self {
        let state = || FixedState::with_seed(0);
        Waits {
            last_ticket: 0,
            last_line: 0,
            table: HashMap::with_hasher(state()),
            lines: HashMap::with_hasher(state()),
            keys: HashMap::with_hasher(state()),
            deadlines: BinaryHeap::new(),
        }
    }
}

impl Waits {
    /// Begins to wait, for one answer. Returns the ticket, which is never 0. A connection that waits for something already is to be
    /// freed from that first (`free`).
    pub(super) fn open(&mut self, of: WaitOf, then: Then) -> u32 {
        if let Some(key) = then.key() {
            *self.keys.entry(key).or_default() += 1;
        }
        let wait = Wait {
            of,
            missing: 1,
            due_ms: u64::MAX,
            account: then.account(),
            charged: 0,
            lent: 0,
            then,
        };
        let ticket = loop {
            self.last_ticket = self.last_ticket.wrapping_add(1);
            if self.last_ticket != 0
                && let Entry::Vacant(place) = self.table.entry(self.last_ticket)
            {
                place.insert(wait);
                break self.last_ticket;
            }
        };
        if let WaitOf::Conn(conn) = of {
            let line = self.line(conn);
            debug_assert_eq!(line.waits, 0);
            line.waits = ticket;
        }
        ticket
    }

    /// So many answers more have to come.
    pub(super) fn await_more(&mut self, ticket: u32, answers: u32) {
        if let Some(wait) = self.table.get_mut(&ticket) {
            wait.missing += answers;
        }
    }

    /// It ends without an answer then, if it is not over before.
    pub(super) fn end_at(&mut self, ticket: u32, due_ms: u64) {
        let Some(wait) = self.table.get_mut(&ticket) else {
            return;
        };
        wait.due_ms = due_ms;
        self.deadlines.push(Reverse((due_ms, ticket)));
        if self.deadlines.len() > 2 * self.table.len() + limits::TIMERS_STALE_MIN {
            self.forget_stale_deadlines(0);
        }
    }

    /// How it is to go on.
    pub(super) fn then(&mut self, ticket: u32) -> Option<&mut Then> {
        Some(&mut self.table.get_mut(&ticket)?.then)
    }

    /// Charges what is kept of it now. Returns all that is charged for it, in bytes.
    pub(super) fn charge(&mut self, lease: &mut Lease, ticket: u32) -> usize {
        let Some(wait) = self.table.get_mut(&ticket) else {
            return 0;
        };
        let bytes = wait.then.memory();
        let before = std::mem::replace(&mut wait.charged, bytes);
        lease.change(wait.account, before, bytes);
        bytes + wait.lent
    }

    /// So many bytes are held by who answers, until all answers have come.
    pub(super) fn lend(&mut self, lease: &mut Lease, ticket: u32, bytes: usize) {
        if let Some(wait) = self.table.get_mut(&ticket) {
            wait.lent += bytes;
            lease.force(wait.account, bytes as u64);
        }
    }

    /// An answer has come; with the last one the wait is over.
    pub(super) fn answer(
        &mut self,
        lease: &mut Lease,
        sessions: &Sessions,
        ticket: u32,
    ) -> Option<Over> {
        let wait = self.table.get_mut(&ticket)?;
        wait.missing -= 1;
        if wait.missing > 0 {
            return None;
        }
        let session = self.session_of(sessions, ticket);
        let then = self.end(lease, ticket)?;
        Some(Over { then, session })
    }

    /// The session that a wait is of, unless that has ended.
    pub(super) fn session_of(&self, sessions: &Sessions, ticket: u32) -> Option<SessionId> {
        match self.table.get(&ticket)?.of {
            WaitOf::Session(session) if sessions.get_by(session).is_some() => Some(session.id),
            _ => None,
        }
    }

    /// It is over, whatever has come: nothing is charged for it any more.
    pub(super) fn end(&mut self, lease: &mut Lease, ticket: u32) -> Option<Then> {
        if let Some(wait) = self.table.get_mut(&ticket) {
            lease.give(wait.account, std::mem::take(&mut wait.lent) as u64);
        }
        let conn = match self.table.get(&ticket)?.of {
            WaitOf::Conn(conn) => Some(conn),
            _ => None,
        };
        let then = self.abandon(lease, ticket);
        if let Some(conn) = conn {
            self.strike(conn, |line| line.waits = 0);
        }
        then
    }

    /// Nobody waits for it any more; what was lent stays charged until the answers have come.
    fn abandon(&mut self, lease: &mut Lease, ticket: u32) -> Option<Then> {
        let wait = self.table.get_mut(&ticket)?;
        lease.give(wait.account, std::mem::take(&mut wait.charged) as u64);
        let then = std::mem::replace(&mut wait.then, Then::Nothing);
        wait.of = WaitOf::Shard;
        wait.due_ms = u64::MAX;
        if wait.lent == 0 {
            self.table.remove(&ticket);
        }
        if let Some(key) = then.key()
            && let Entry::Occupied(mut waits) = self.keys.entry(key)
        {
            *waits.get_mut() -= 1;
            if *waits.get() == 0 {
                waits.remove();
            }
        }
        Some(then)
    }

    fn line(&mut self, conn: ConnId) -> &mut Line {
        let last = &mut self.last_line;
        self.lines.entry(conn.0).or_insert_with(|| {
            *last = last.wrapping_add(1).max(1);
            Line {
                number: *last,
                ..Line::default()
            }
        })
    }

    /// Changes the line of a connection, which ends when there is nothing on it.
    fn strike(&mut self, conn: ConnId, change: impl FnOnce(&mut Line)) {
        if let Entry::Occupied(mut line) = self.lines.entry(conn.0) {
            change(line.get_mut());
            if line.get().waits == 0 && line.get().owed == 0 {
                line.remove();
            }
        }
    }

    /// What a connection waits for, and its ticket.
    pub(super) fn of_conn(&mut self, conn: ConnId) -> Option<(u32, &mut Then)> {
        if self.lines.is_empty() {
            return None;
        }
        let ticket = self.lines.get(&conn.0)?.waits;
        let wait = self.table.get_mut(&ticket)?;
        Some((ticket, &mut wait.then))
    }

    /// Whose connection waits.
    pub(super) fn conn_of(&self, ticket: u32) -> Option<ConnId> {
        match self.table.get(&ticket)?.of {
            WaitOf::Conn(conn) => Some(conn),
            _ => None,
        }
    }

    /// A connection does not wait any more for what it waits for.
    pub(super) fn free(&mut self, lease: &mut Lease, conn: ConnId) -> Option<Then> {
        let ticket = self.lines.get(&conn.0)?.waits;
        let then = self.abandon(lease, ticket);
        self.strike(conn, |line| line.waits = 0);
        then
    }

    /// A connection is no more, or parted from its session: it waits for nothing and is owed nothing. Returns what it had waited
    /// for, of which something may have to be given back.
    #[inline]
    pub(super) fn forget(&mut self, lease: &mut Lease, conn: ConnId) -> Option<Then> {
        if self.lines.is_empty() {
            return None;
        }
        let line = self.lines.remove(&conn.0)?;
        self.abandon(lease, line.waits)
    }

    /// A connection will be given one answer more. Returns the number of its line.
    pub(super) fn owe(&mut self, conn: ConnId) -> u32 {
        let line = self.line(conn);
        line.owed += 1;
        line.number
    }

    /// An answer to a connection is kept. Returns the number of its line.
    pub(super) fn hold(&mut self, conn: ConnId) -> u32 {
        let number = self.owe(conn);
        self.line(conn).held += 1;
        number
    }

    /// How many answers to a connection are kept.
    pub(super) fn held_of(&self, conn: ConnId) -> u32 {
        let line = self.lines.get(&conn.0);
        line.map_or(0, |line| line.held)
    }

    /// An answer to a connection is kept no longer; it is still owed.
    pub(super) fn release(&mut self, conn: ConnId) {
        self.strike(conn, |line| line.held -= 1);
    }

    /// Whether a connection with this line is still there, and owed something.
    pub(super) fn is_owed(&self, conn: ConnId, number: u32) -> bool {
        let line = self.lines.get(&conn.0);
        line.is_some_and(|line| line.number == number && line.owed > 0)
    }

    /// It has been given one of these answers. Returns whether its goodbye has waited for that, and goes on.
    pub(super) fn pay(&mut self, lease: &mut Lease, conn: ConnId, number: u32) -> bool {
        if !self.is_owed(conn, number) {
            return false;
        }
        let mut is_last = false;
        self.strike(conn, |line| {
            line.owed -= 1;
            is_last = line.owed == 0;
        });
        let waits = is_last && matches!(self.of_conn(conn), Some((_, Then::Goodbye(_))));
        if waits {
            self.free(lease, conn);
        }
        waits
    }

    /// Whether the goodbye of a connection has to wait for what that is owed.
    pub(super) fn hold_goodbye(&self, conn: ConnId) -> bool {
        let line = self.lines.get(&conn.0);
        line.is_some_and(|line| line.owed > 0 && !line.gives_up)
    }

    /// A goodbye has waited for long enough.
    pub(super) fn give_up(&mut self, lease: &mut Lease, conn: ConnId) {
        self.free(lease, conn);
        self.strike(conn, |line| line.gives_up = true);
    }

    /// Whether something waits that has this key; rarely it is another's.
    pub(super) fn have_key(&self, key: u64) -> bool {
        self.keys.contains_key(&key)
    }

    /// The least count of retained messages at which a question was asked that is open.
    pub(super) fn oldest_question(&self) -> Option<u64> {
        let waits = self.table.values();
        let asked_at = waits.filter_map(|wait| match &wait.then {
            Then::Replay(question) => Some(question.asked_at),
            _ => None,
        });
        asked_at.min()
    }

    /// When the next wait ends without an answer, or one would have that is over.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.deadlines.peek().map(|&Reverse((due_ms, _))| due_ms)
    }

    /// The next wait that lasts no longer; what had come before is handled first.
    pub(super) fn next_due(&mut self, now_ms: u64, has_looked: bool) -> Option<u32> {
        while let Some(&Reverse((due_ms, ticket))) = self.deadlines.peek() {
            let acts_ms = match has_looked {
                true => due_ms,
                false => due_ms + limits::LOOK_MS_MAX,
            };
            if now_ms < acts_ms {
                return None;
            }
            self.deadlines.pop();
            if let Some(wait) = self.table.get_mut(&ticket)
                && wait.due_ms == due_ms
            {
                wait.due_ms = u64::MAX;
                return Some(ticket);
            }
        }
        None
    }

    /// Deadlines come so much later.
    pub(super) fn put_off(&mut self, ms: u64) {
        self.forget_stale_deadlines(ms);
    }

    fn forget_stale_deadlines(&mut self, put_off_ms: u64) {
        self.deadlines.clear();
        for (&ticket, wait) in &mut self.table {
            if wait.due_ms < u64::MAX {
                wait.due_ms += put_off_ms;
                self.deadlines.push(Reverse((wait.due_ms, ticket)));
            }
        }
    }

    /// Bytes of memory, but for what is charged with each wait.
    pub(super) fn memory(&self) -> usize {
        self.table.allocation_size()
            + self.lines.allocation_size()
            + self.keys.allocation_size()
            + self.deadlines.capacity() * size_of::<Reverse<(u64, u32)>>()
    }

    /// Gives memory back after many waits at once.
    pub(super) fn trim(&mut self) {
        self.table.shrink_to_fit();
        self.lines.shrink_to_fit();
        self.keys.shrink_to_fit();
        self.forget_stale_deadlines(0);
        self.deadlines.shrink_to_fit();
    }

    /// Whether a connection waits for something, or is owed something.
    #[cfg(test)]
    pub(super) fn knows(&self, conn: ConnId) -> bool {
        let mut waits = self.table.values();
        self.lines.contains_key(&conn.0) || waits.any(|wait| wait.of == WaitOf::Conn(conn))
    }

    /// Bytes that are to be charged to an account for what waits, counted anew.
    #[cfg(test)]
    pub(super) fn held(&self, account: Account) -> usize {
        let waits = self.table.values().filter(|wait| wait.account == account);
        waits.map(|wait| wait.then.memory() + wait.lent).sum()
    }
}
