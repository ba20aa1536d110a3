//! The sessions of a shard, by number and by client identifier. Nobody else changes one.

use std::sync::Arc;

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use crate::access::Access;
use crate::broker::facts::Fact;
use crate::broker::keepers::Facts;
use crate::broker::noted::text_of;
use crate::broker::sessions::absent::Absent;
use crate::broker::sessions::change::Change;
use crate::broker::sessions::hot::{HOT_GUARDED, HOT_QOS0_WAITS, Hot};
use crate::broker::sessions::image::Imaged;
use crate::broker::sessions::rights::{Joined, Rights};
use crate::broker::settings::Settings;
use crate::budget::{Account, Lease};
use crate::ids::{ConnId, NONE, SessionId, SessionRef, ShardId};
use crate::index::Index;
use crate::journal::Errand;
use crate::mqtt::author::ListenerName;
use crate::mqtt::message::Message;
use crate::session::{Backlog, Flow, Origin, Queue, Session};
use crate::table::Table;

/// In a serial the shard that gave it stands above this bit, what the shard counted below.
const SERIAL_SHARD_SHIFT: u32 = 56;

/// See the module.
pub(crate) struct Sessions {
    hot: Table<Hot>,
    table: Table<Option<Session>>,
    free: Vec<u32>,
    index: Index,
    hasher: FixedState,
    /// Whose the sessions are whose clients are away.
    absent: Absent,
    /// What clients may do; absent without an ACL file.
    rights: Option<Box<Rights>>,
    /// What waits for each, for those for whom something has.
    queues: Table<Option<Box<Queue>>>,
    /// The messages that wait for sessions.
    backlog: Backlog,
    facts: Facts,
    shard: ShardId,
    serials: u64,
}

impl Sessions {
    pub(crate) fn new(shard: ShardId, seed: u64, rights: Option<Box<Rights>>) -> Self {
        Sessions {
            hot: Table::new(),
            table: Table::new(),
            free: Vec::new(),
            index: Index::new(),
            hasher: FixedState::with_seed(seed),
            absent: Absent::new(seed),
            rights,
            queues: Table::new(),
            backlog: Backlog::default(),
            facts: Facts::default(),
            shard,
            serials: 0,
        }
    }

    /// A session that exists.
    #[inline]
    pub(crate) fn get(&self, session: SessionId) -> Option<&Session> {
        self.table.get(session.index())?.as_ref()
    }

    /// A session that something happens to.
    #[inline]
    pub(crate) fn change(&mut self, session: SessionId) -> Option<Change<'_>> {
        let entry = self.table.get_mut(session.index())?.as_mut()?;
        Some(Change::of(
            session,
            entry,
            &mut self.queues,
            &mut self.backlog,
            &mut self.facts,
        ))
    }

    /// Changes what a session holds besides messages, and charges the difference.
    pub(crate) fn change_charged<R>(
        &mut self,
        session: SessionId,
        lease: &mut Lease,
        change: impl FnOnce(&mut Change<'_>) -> R,
    ) -> Option<R> {
        let mut entry = self.change(session)?;
        let before = entry.memory();
        let result = change(&mut entry);
        lease.change(Account::Connections, before, entry.memory());
        Some(result)
    }

    /// Charges what a session's windows and queue take now.
    pub(crate) fn charge(&mut self, session: SessionId, lease: &mut Lease) {
        if let Some(mut entry) = self.change(session) {
            entry.charge(lease);
        }
    }

    /// Which session has this number.
    pub(crate) fn reference(&self, session: SessionId) -> Option<SessionRef> {
        let entry = self.get(session)?;
        Some(SessionRef {
            id: session,
            serial: entry.serial(),
        })
    }

    /// A session that exists, if its number is not another's by now.
    pub(crate) fn get_by(&self, session: SessionRef) -> Option<&Session> {
        let entry = self.get(session.id)?;
        (entry.serial() == session.serial).then_some(entry)
    }

    /// How the wall clock stands.
    #[cfg(test)]
    pub(crate) fn clock(&self) -> crate::broker::WallClock {
        self.facts.clock()
    }

    /// Tells that a message is retained.
    pub(crate) fn tell_retained(&mut self, message: &Arc<Message>) {
        if self.facts.are_kept() {
            let number = self.backlog.number(message);
            self.facts.tell(|clock| Fact::RetainedStored {
                message: clock.numbered(message, number),
            });
        }
    }

    /// Tells the journal that a message is handed to another shard, or kept to be gone on with.
    pub(crate) fn tell_handed(&mut self, place: (u8, u64), errand: Errand, message: &Arc<Message>) {
        let number = self.backlog.number(message);
        let numbered = self.facts.clock().numbered(message, number);
        self.facts.hand(place, errand, &numbered);
    }

    /// When a turn is to end although nothing happens.
    #[inline]
    pub(crate) fn written_by_ms(&self) -> Option<u64> {
        self.facts.written_by_ms()
    }

    /// Writes down a retained message that has been one for a while.
    pub(crate) fn write_retained(&mut self, message: &Arc<Message>) {
        let number = self.backlog.number(message);
        if let Some((journal, clock)) = self.facts.journal_and_clock() {
            journal.retained_stored(number, || text_of(message, clock));
        }
    }

    /// What the image of a session is made of, if something was written down of it.
    pub(crate) fn imaged(&mut self, session: SessionId) -> Option<Imaged<'_>> {
        let (journal, clock) = self.facts.journal_and_clock()?;
        if !journal.is_known(session.0) {
            return None;
        }
        Some(Imaged {
            id: session,
            session: self.table.get(session.index())?.as_ref()?,
            queue: (self.queues.get(session.index())).and_then(Option::as_deref),
            backlog: &mut self.backlog,
            journal,
            clock,
        })
    }

    /// Who keeps what changes here, and what others have to tell them.
    #[inline]
    pub(crate) fn facts(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// The messages that wait for sessions: for one that is no more, and for the account.
    #[inline]
    pub(crate) fn backlog_mut(&mut self) -> &mut Backlog {
        &mut self.backlog
    }

    /// The same, for checks.
    #[cfg(test)]
    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// What waits for a session, if ever something has.
    #[inline]
    pub(crate) fn queue(&self, session: SessionId) -> Option<&Queue> {
        self.queues.get(session.index())?.as_deref()
    }

    /// How many messages wait for a session.
    #[inline]
    pub(crate) fn queued(&self, session: SessionId) -> usize {
        self.queue(session).map_or(0, Queue::len)
    }

    /// Takes out what waits for a session, which is to be no more.
    pub(crate) fn take_queue(&mut self, session: SessionId) -> Option<Box<Queue>> {
        self.queues.get_mut(session.index())?.take()
    }

    /// Bytes that are held for a session: its messages, whoever else holds them, and what refers to them.
    pub(crate) fn weight(&self, session: SessionId) -> u64 {
        let in_flight = self.flow(session).map_or(0, Flow::weight);
        in_flight + self.queue(session).map_or(0, Queue::weight)
    }

    /// What is in flight to a session, if ever something was.
    #[inline]
    pub(crate) fn flow(&self, session: SessionId) -> Option<&Flow> {
        self.get(session)?.flow()
    }

    /// What a delivery has to know of a session that exists.
    #[inline]
    pub(crate) fn hot(&self, session: SessionId) -> Hot {
        self.hot[session.index()]
    }

    /// Whether there is a place of this number in the table, whoever has it.
    pub(crate) fn has_place(&self, session: SessionId) -> bool {
        self.table.get(session.index()).is_some()
    }

    /// Places in the table.
    pub(crate) fn places(&self) -> usize {
        self.table.len()
    }

    /// Bytes that the journal takes.
    pub(crate) fn journal_bytes(&self) -> usize {
        self.facts.memory()
    }

    /// Bytes of the tables.
    pub(crate) fn memory(&self) -> usize {
        self.hot.memory()
            + self.table.memory()
            + self.queues.memory()
            + self.index.memory()
            + self.absent.memory()
    }

    fn hash(&self, client_id: &str) -> u64 {
        self.hasher.hash_one(client_id)
    }

    /// The session of a client identifier.
    pub(crate) fn find(&self, client_id: &str) -> Option<SessionId> {
        let is_it = |index: u32| {
            self.table[index as usize]
                .as_ref()
                .is_some_and(|session| session.client_id() == client_id)
        };
        self.index.find(self.hash(client_id), is_it).map(SessionId)
    }

    /// Gives memory back after many sessions have ended.
    fn shrink_index(&mut self) {
        let (sessions, hasher) = (&self.table, &self.hasher);
        self.index.shrink(|index| hash_of(sessions, hasher, index));
    }

    /// Sessions that exist.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.iter().map(|(session, _)| session)
    }

    /// The same, with what they are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.table.indexed().filter_map(|(index, session)| {
            let session = session.as_ref()?;
            Some((SessionId(index as u32), session))
        })
    }

    /// The connection of a session.
    #[inline]
    pub(crate) fn conn_of(&self, session: SessionId) -> Option<ConnId> {
        let conn = self.hot.get(session.index())?.conn;
        (conn != NONE).then_some(ConnId(conn))
    }

    /// Whether any place knows this connection, also one that no session has.
    #[cfg(test)]
    pub(crate) fn has_conn(&self, conn: ConnId) -> bool {
        self.hot.iter().any(|hot| hot.conn == conn.0)
    }

    /// A number nobody can guess from the outside is not needed here, only one that differs: for assigned client ids.
    pub(crate) fn next_unique(&mut self) -> u64 {
        self.serials += 1;
        self.hasher.hash_one((self.shard.0, self.serials))
    }

    /// A new session for a client identifier that has none.
    pub(crate) fn open(&mut self, client_id: &str) -> SessionId {
        self.serials += 1;
        let serial = u64::from(self.shard.0) << SERIAL_SHARD_SHIFT | self.serials;
        self.open_as(client_id, serial)
    }

    /// Serials that this run gives are beyond this one of another run, on whatever shard that was.
    pub(crate) fn begin_serials_after(&mut self, serial: u64) {
        let count = serial & ((1 << SERIAL_SHARD_SHIFT) - 1);
        self.serials = self.serials.max(count);
    }

    /// A session of another run, with its serial, for a client identifier that has none.
    pub(crate) fn open_as(&mut self, client_id: &str, serial: u64) -> SessionId {
        let session = Session::new(client_id.into(), serial);
        if self.free.is_empty()
            && let Some(places) = self.table.refill(|| None)
        {
            self.free.extend(places.rev());
        }
        let index = match self.free.pop() {
            Some(index) => {
                self.table[index as usize] = Some(session);
                index
            }
            None => {
                self.table.push(Some(session));
                (self.table.len() - 1) as u32
            }
        };
        self.hot.ensure(index as usize, || Hot::AWAY);
        self.hot[index as usize] = Hot::AWAY;
        let hash = self.hash(client_id);
        let (table, hasher) = (&self.table, &self.hasher);
        self.index
            .insert(hash, index, |index| hash_of(table, hasher, index));
        let session = SessionId(index);
        let reference = SessionRef {
            id: session,
            serial,
        };
        self.facts.tell(|_| Fact::Opened {
            session: reference,
            client_id,
        });
        session
    }

    /// A session has this connection from this moment on, and these bits.
    pub(crate) fn join(&mut self, now_ms: u64, session: SessionId, conn: ConnId, flags: u8) {
        self.absent.forget(session);
        let hot = &mut self.hot[session.index()];
        (hot.conn, hot.flags) = (conn.0, flags);
        hot.epoch = hot.epoch.wrapping_add(1);
        if let Some(mut entry) = self.change(session) {
            entry.resume(now_ms);
        }
    }

    /// A session has no connection any more.
    pub(crate) fn part(&mut self, session: SessionId) {
        let hot = &mut self.hot[session.index()];
        hot.conn = NONE;
        hot.flags &= !HOT_QOS0_WAITS;
    }

    /// The user name of a session whose client is away, and its listener.
    pub(crate) fn owner(&self, session: SessionId) -> Option<(Option<&str>, &Arc<ListenerName>)> {
        self.absent.owner(session)
    }

    /// Tells whose a session is whose client is there.
    pub(crate) fn identify(
        &mut self,
        session: SessionId,
        user: Option<&str>,
        listener: &ListenerName,
    ) {
        if let Some(session) = self.reference(session) {
            self.facts.tell(|_| Fact::Identified {
                session,
                user,
                listener: listener.text(),
            });
        }
    }

    /// Whose a session is whose client is away.
    pub(crate) fn keep_owner(
        &mut self,
        session: SessionId,
        user: Option<&str>,
        listener: &Arc<ListenerName>,
    ) {
        self.absent.keep(session, user, listener);
    }

    /// Whether QoS 0 messages wait for a session behind others.
    pub(crate) fn set_qos0_waits(&mut self, session: SessionId, is_replaying: bool) {
        let flags = &mut self.hot[session.index()].flags;
        match is_replaying {
            true => *flags |= HOT_QOS0_WAITS,
            false => *flags &= !HOT_QOS0_WAITS,
        }
    }

    /// One more question about retained messages is open for a session.
    pub(crate) fn note_asked(&mut self, session: SessionId) {
        self.hot[session.index()].asking += 1;
    }

    /// A question about retained messages is answered.
    pub(crate) fn note_answered(&mut self, session: SessionId) {
        self.hot[session.index()].asking -= 1;
    }

    /// What clients may do; `None` without an ACL file.
    pub(crate) fn rights(&self) -> Option<&Rights> {
        self.rights.as_deref()
    }

    /// Other settings hold; sessions are still to be guarded by their rules. Returns the rights by the old ones.
    pub(crate) fn renew_rights(&mut self, settings: &Settings) -> Option<Box<Rights>> {
        let seed = self.next_unique();
        let rights = Rights::new(settings, seed, self.rights.as_deref());
        std::mem::replace(&mut self.rights, rights)
    }

    /// The rules of this listener and user name hold for a session from here on; without a listener it may do nothing.
    pub(crate) fn guard(
        &mut self,
        session: SessionId,
        listener: Option<u16>,
        user: Option<&str>,
    ) -> Joined {
        let entry = self.table.get(session.index()).and_then(Option::as_ref);
        let joined = match (&mut self.rights, entry) {
            (Some(rights), Some(entry)) => rights.join(session, listener, user, entry.client_id()),
            _ => Joined::FREE,
        };
        self.set_guarded(session, joined.is_guarded);
        joined
    }

    /// The same of a session whose client is away: the rules that the listener has now by which it was last here.
    pub(crate) fn guard_absent(&mut self, session: SessionId, settings: &Settings) -> Joined {
        let entry = self.table.get(session.index()).and_then(Option::as_ref);
        let (listener, user) = match self.absent.owner(session) {
            Some((user, name)) => (settings.listener_named(name), user),
            None => (None, None),
        };
        let joined = match (&mut self.rights, entry) {
            (Some(rights), Some(entry)) => rights.join(session, listener, user, entry.client_id()),
            _ => Joined::FREE,
        };
        self.set_guarded(session, joined.is_guarded);
        joined
    }

    fn set_guarded(&mut self, session: SessionId, is_guarded: bool) {
        let flags = &mut self.hot[session.index()].flags;
        match is_guarded {
            true => *flags |= HOT_GUARDED,
            false => *flags &= !HOT_GUARDED,
        }
    }

    /// Whether a session may be sent a message. `stamp` belongs to the message and is 0 before the first question.
    pub(crate) fn may_read(&mut self, session: SessionId, topic: &str, stamp: &mut u64) -> bool {
        self.may(session, Access::Read, topic, stamp)
    }

    /// Whether a session may publish to a topic.
    #[inline]
    pub(crate) fn may_write(&mut self, session: SessionId, topic: &str) -> bool {
        self.rights.is_none() || self.may(session, Access::Write, topic, &mut 0)
    }

    fn may(&mut self, session: SessionId, access: Access, topic: &str, stamp: &mut u64) -> bool {
        let Some(rights) = &mut self.rights else {
            return true;
        };
        if *stamp == 0 {
            *stamp = rights.next_stamp();
        }
        let entry = self.table.get(session.index()).and_then(Option::as_ref);
        rights.may(session, access, topic, *stamp, || {
            entry.map(|entry| (entry.serial(), entry.client_id()))
        })
    }

    /// The client identifier of a session, if the rules of this listener for this user name ask for it.
    pub(crate) fn id_for_rules(
        &self,
        session: SessionId,
        listener: u16,
        user: Option<&str>,
    ) -> Option<&str> {
        let client_id = self.get(session)?.client_id();
        let rights = self.rights()?;
        let asks = rights.asks_for_id(listener, user, client_id);
        asks.then_some(client_id)
    }

    /// Whether who stored a retained message may write there by the rules of now (`check_retain_source`).
    #[inline]
    pub(crate) fn is_from_writer(&self, settings: &Settings, message: &Message) -> bool {
        let Some(author) = &message.author else {
            return true;
        };
        if !settings.check_retain_source {
            return true;
        }
        let listener = settings.listener_named(author.came_by.name());
        let rights = self.rights();
        rights.is_none_or(|rights| rights.may_have_written(author, listener, &message.topic))
    }

    /// Whether a message that was offered to a session by other rules may be sent to it by those of now.
    #[cold]
    pub(crate) fn may_still_be_sent(
        &mut self,
        settings: &Settings,
        session: SessionId,
        origin: Origin,
        message: &Message,
    ) -> bool {
        (origin != Origin::RETAINED || self.is_from_writer(settings, message))
            && self.may_read(session, &message.topic, &mut 0)
    }

    /// Takes a session out of the tables.
    pub(crate) fn take(&mut self, session: SessionId) -> Option<Session> {
        debug_assert!(
            self.queue(session).is_none(),
            "what waits is taken out before"
        );
        let taken = self.table.get_mut(session.index())?.take()?;
        let reference = SessionRef {
            id: session,
            serial: taken.serial(),
        };
        self.facts.tell(|_| Fact::Ended { session: reference });
        if let Some(rights) = &mut self.rights {
            rights.leave(session);
        }
        self.absent.forget(session);
        let hash = self.hash(taken.client_id());
        let (table, hasher) = (&self.table, &self.hasher);
        self.index
            .remove(hash, session.0, |index| hash_of(table, hasher, index));
        self.free.push(session.0);
        Some(taken)
    }

    /// Places that nobody has.
    pub(crate) fn free_places(&self) -> usize {
        self.free.len()
    }

    /// Gives up what is only kept for reuse.
    pub(crate) fn trim(&mut self) {
        self.table.trim(|_, entry| entry.is_none());
        let sessions = &self.table;
        self.hot.trim(|index, _| sessions.get(index).is_none());
        self.queues.trim(|_, queue| queue.is_none());
        self.free
            .retain(|&index| sessions.get(index as usize).is_some());
        self.free.shrink_to_fit();
        self.absent.trim();
        self.shrink_index();
    }
}

/// The hash of a session's client identifier.
fn hash_of(sessions: &Table<Option<Session>>, hasher: &FixedState, index: u32) -> u64 {
    sessions[index as usize]
        .as_ref()
        .map_or(0, |session| hasher.hash_one(session.client_id()))
}
