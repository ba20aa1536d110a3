//! Who keeps facts: the journal, and others.
//!
//! While nobody does, a fact is not even made: that costs a look at whether there is one.

use std::sync::{Arc, Weak};

use crate::broker::facts::{Fact, Keeper, Numbered};
use crate::broker::noted::{note, note_handed};
use crate::broker::wall_clock::WallClock;
use crate::ids::{GroupId, SessionId, SessionRef};
use crate::journal::{Errand, Scribe};
use crate::mqtt::message::Message;
use crate::session::Delivery;

/// Those who keep facts.
#[derive(Default)]
pub(super) struct Facts {
    keepers: Vec<Box<dyn Keeper>>,
    journal: Option<Box<Scribe>>,
    /// Nothing more can be written down.
    is_shut: bool,
    clock: WallClock,
    /// What was told last, if it was that a message waits no longer: it may be sent next, and has its number already.
    unqueued: Option<Unqueued>,
}

struct Unqueued {
    session: SessionRef,
    message: Weak<Message>,
    number: u64,
}

impl Facts {
    /// One more who keeps them from here on.
    pub(super) fn listen(&mut self, keeper: Box<dyn Keeper>) {
        self.keepers.push(keeper);
    }

    /// All that happens from here on is written down.
    pub(super) fn write_down(&mut self, journal: Scribe) {
        self.journal = Some(Box::new(journal));
    }

    /// Where it is written down, if it is.
    #[inline]
    pub(super) fn journal(&mut self) -> Option<&mut Scribe> {
        self.journal.as_deref_mut()
    }

    /// The same, with the wall clock.
    pub(super) fn journal_and_clock(&mut self) -> Option<(&mut Scribe, WallClock)> {
        Some((self.journal.as_deref_mut()?, self.clock))
    }

    /// Whether it is written down.
    #[inline]
    pub(super) fn are_written(&self) -> bool {
        self.journal.is_some()
    }

    /// Whether more can be written down.
    pub(super) fn set_open(&mut self, is_open: bool) {
        self.is_shut = !is_open;
    }

    /// Whether nothing more can be written down.
    #[inline]
    pub(super) fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// The turn of the journal that belongs to what was told in the event at hand, if an answer may promise that.
    #[inline]
    pub(super) fn promised(&self) -> Option<u64> {
        let journal = self.journal.as_deref()?;
        journal.has_promised().then(|| journal.turn())
    }

    /// The same; what is told from here on belongs to another event.
    #[inline]
    pub(super) fn take_promised(&mut self) -> Option<u64> {
        let journal = self.journal.as_deref_mut()?;
        journal.take_promised().then(|| journal.turn())
    }

    /// A message is handed to another shard, or kept to be gone on with here; at this place.
    #[cold]
    pub(super) fn hand(&mut self, place: (u8, u64), errand: Errand, message: &Numbered<'_>) {
        if let Some(journal) = &mut self.journal {
            note_handed(journal, place, errand, message);
        }
    }

    /// A shared subscription that this shard owns has this number.
    pub(super) fn name_group(&mut self, group: GroupId, share: &str, filter: &str) {
        if let Some(journal) = &mut self.journal {
            journal.group_named(group.0, share, filter);
        }
    }

    /// When a turn is to end although nothing happens, in milliseconds.
    #[inline]
    pub(super) fn written_by_ms(&self) -> Option<u64> {
        self.journal.as_deref()?.deadline()
    }

    /// Bytes that the journal takes.
    pub(super) fn memory(&self) -> usize {
        let journal = self.journal.as_ref();
        journal.map_or(0, |journal| size_of::<Scribe>() + journal.memory())
    }

    /// How the wall clock stands.
    pub(super) fn clock(&self) -> WallClock {
        self.clock
    }

    /// The wall clock stands otherwise than was known.
    pub(super) fn set_clock(&mut self, clock: WallClock) {
        self.clock = clock;
    }

    /// Tells that a message waits no longer, if anybody keeps that.
    #[inline]
    pub(super) fn tell_unqueued(&mut self, session: SessionRef, taken: &Delivery) {
        if self.are_kept_of(session.id) {
            let (number, message) = (taken.number, &taken.message);
            self.tell_all(&Fact::Unqueued {
                session,
                number,
                grant: taken.grant,
                origin: taken.origin,
                message,
            });
            self.unqueued = Some(Unqueued {
                session,
                message: Arc::downgrade(message),
                number,
            });
        }
    }

    /// The number of a message that was the last to be told to wait no longer for this session.
    pub(super) fn number_of_unqueued(
        &self,
        session: SessionRef,
        message: &Arc<Message>,
    ) -> Option<u64> {
        let last = self.unqueued.as_ref()?;
        let is_it = last.session == session && last.message.as_ptr() == Arc::as_ptr(message);
        is_it.then_some(last.number)
    }

    /// Whether anybody keeps them.
    #[inline]
    pub(super) fn are_kept(&self) -> bool {
        self.journal.is_some() || !self.keepers.is_empty()
    }

    /// Whether anybody keeps what is delivered to a session.
    #[inline]
    pub(super) fn are_kept_of(&self, session: SessionId) -> bool {
        let journal = self.journal.as_deref();
        !self.keepers.is_empty() || journal.is_some_and(|journal| journal.is_durable(session.0))
    }

    /// Tells a fact of what is delivered to a session, if anybody keeps that.
    #[inline]
    pub(super) fn tell_of<'a>(
        &mut self,
        session: SessionRef,
        fact: impl FnOnce(WallClock) -> Fact<'a>,
    ) {
        if self.are_kept_of(session.id) {
            self.tell_all(&fact(self.clock));
        }
    }

    /// Tells a fact, if anybody keeps it.
    #[inline]
    pub(super) fn tell<'a>(&mut self, fact: impl FnOnce(WallClock) -> Fact<'a>) {
        if self.are_kept() {
            self.tell_all(&fact(self.clock));
        }
    }

    #[cold]
    fn tell_all(&mut self, fact: &Fact<'_>) {
        self.unqueued = None;
        if let Some(journal) = &mut self.journal {
            note(journal, fact);
        }
        for keeper in &mut self.keepers {
            keeper.keep(fact);
        }
    }
}
