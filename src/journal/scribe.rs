//! From what happens to sessions to records: gathers what is said of one message, or of one frame, for many sessions, and writes it once.
//!
//! What happens is told one session at a time. Deliveries of the message at hand are gathered by how it goes (`What`, `Way`) until
//! something else is told; acknowledgements by their frames for longer: one that is lost is sent again by the client, or asked for again.
//!
//! Invariants: what is written of a session is in the order in which it was told, but for acknowledgements, which are written before
//! the number of their session can be another's; a message is written before what refers to it; a session that is not to be kept is not
//! written.

use super::members::{Members, Sets, Sum};
use super::message::MessageText;
use super::record::{Record, SubscriptionText, WillText};
use super::stream::Stream;
use crate::limits;
use crate::routing::EntryOptions;
use crate::session::{SHARED_ID_BIT, Way};

/// How the message at hand goes to sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// It waits.
    Queued,
    /// It is in flight, in a frame that others have too.
    Sent { order: u64 },
}

/// The frame in which a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Counts the frames of the shard.
    pub order: u64,
    /// Its packet identifier.
    pub id: u16,
}

/// Sessions to which the message at hand goes alike.
#[derive(Debug)]
struct Group {
    what: What,
    way: Way,
    members: Vec<u32>,
    sum: Sum,
}

/// What is kept of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kept {
    /// It has been written that there is one.
    is_known: bool,
    /// It outlives its connection: all of it is written.
    is_durable: bool,
}

/// A session that has been told of and is not written, because it is not known yet whether it is to be.
#[derive(Debug)]
struct Opening {
    session: u32,
    serial: u64,
    client_id: Box<str>,
}

/// One shard's. See the module.
#[derive(Debug)]
pub struct Scribe {
    stream: Stream,
    sets: Sets,
    /// By session number.
    kept: Vec<Kept>,
    opening: Option<Opening>,
    /// The number of the message that was written last, and one.
    message_end: u64,
    /// That of the message at hand, whose deliveries are gathered.
    at_hand: u64,
    groups: Vec<Group>,
    /// Memory of groups that were written.
    spare: Vec<Vec<u32>>,
    /// A message that a session no longer waits for; it may be sent to it next.
    unqueued: Option<(u32, u64)>,
    /// Order of the frame, and session.
    acknowledged: Vec<(u64, u32)>,
    /// When the first of these was told, in milliseconds; as told at the end of its turn.
    acknowledged_ms: Option<u64>,
}

impl Scribe {
    /// Nothing is written yet. Nobody who chooses who is subscribed may know the seed.
    pub fn new(seed: u64) -> Self {
        Scribe {
            stream: Stream::default(),
            sets: Sets::new(seed),
            kept: Vec::new(),
            opening: None,
            message_end: 0,
            at_hand: 0,
            groups: Vec::new(),
            spare: Vec::new(),
            unqueued: None,
            acknowledged: Vec::new(),
            acknowledged_ms: None,
        }
    }

    /// The end of a turn: all that was gathered is written, but for acknowledgements that nothing else goes with and that came less than
    /// `limits::JOURNAL_ACKS_MS` ago.
    pub fn end_turn(&mut self, now_ms: u64) {
        self.write_gathered();
        if self.acknowledged.is_empty() {
            return;
        }
        let since_ms = *self.acknowledged_ms.get_or_insert(now_ms);
        let is_due = now_ms.saturating_sub(since_ms) >= limits::JOURNAL_ACKS_MS;
        if is_due || !self.stream.is_empty() {
            self.write_acknowledged();
        }
    }

    /// The number of the chunk in which what has been told so far ends, but for acknowledgements.
    pub fn position(&mut self) -> u64 {
        self.write_gathered();
        self.stream.position()
    }

    /// The next chunk that is to be written.
    pub fn next_chunk(&mut self) -> Option<Vec<u8>> {
        self.stream.next_chunk()
    }

    /// A chunk has been written, and may be used again.
    pub fn give_back(&mut self, chunk: Vec<u8>) {
        self.stream.give_back(chunk);
    }

    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        let groups = self.groups.iter().map(|group| group.members.capacity());
        let spare = self.spare.iter().map(Vec::capacity);
        self.stream.memory()
            + self.sets.memory()
            + self.kept.capacity() * size_of::<Kept>()
            + (groups.sum::<usize>() + spare.sum::<usize>()) * size_of::<u32>()
            + self.acknowledged.capacity() * size_of::<(u64, u32)>()
    }

    /// Whether what happens to a session is to be told: it outlives its connection.
    #[inline]
    pub fn is_durable(&self, session: u32) -> bool {
        self.kept_of(session).is_durable
    }

    #[inline]
    fn kept_of(&self, session: u32) -> Kept {
        let kept = self.kept.get(session as usize);
        kept.copied().unwrap_or_default()
    }

    fn kept_mut(&mut self, session: u32) -> &mut Kept {
        let index = session as usize;
        if self.kept.len() <= index {
            self.kept.resize(index + 1, Kept::default());
        }
        &mut self.kept[index]
    }

    /// Writes a record behind all that was gathered.
    fn write(&mut self, record: &Record<'_>) {
        self.write_gathered();
        self.stream.append(record);
    }

    fn write_gathered(&mut self) {
        if let Some((session, number)) = self.unqueued.take() {
            self.stream.append(&Record::Unqueued {
                number,
                members: Members::One(session),
            });
        }
        if !self.groups.is_empty() {
            self.write_groups();
        }
    }

    fn write_groups(&mut self) {
        for group in std::mem::take(&mut self.groups) {
            let Group {
                what,
                way,
                mut members,
                sum,
            } = group;
            self.forget_sets();
            let record = match what {
                What::Queued => Record::Queued {
                    number: self.at_hand,
                    way,
                    members: self.sets.members(&members, sum),
                },
                What::Sent { order } => Record::Sent {
                    number: self.at_hand,
                    order,
                    way,
                    members: self.sets.members(&members, sum),
                },
            };
            self.stream.append(&record);
            if self.spare.len() < limits::JOURNAL_GROUPS_MAX {
                members.clear();
                self.spare.push(members);
            }
        }
    }

    fn forget_sets(&mut self) {
        if self.sets.is_full() {
            self.sets.forget();
            self.stream.append(&Record::SetsForgotten);
        }
    }

    fn write_acknowledged(&mut self) {
        self.write_gathered();
        self.acknowledged_ms = None;
        let mut all = std::mem::take(&mut self.acknowledged);
        all.sort_unstable();
        let mut members = self.spare.pop().unwrap_or_default();
        for same in all.chunk_by(|one, other| one.0 == other.0) {
            let mut sum = Sum::default();
            members.clear();
            for &(_, session) in same {
                members.push(session);
                sum.add(session, self.sets.seed());
            }
            self.forget_sets();
            let record = Record::Acknowledged {
                order: same[0].0,
                members: self.sets.members(&members, sum),
            };
            self.stream.append(&record);
        }
        members.clear();
        self.spare.push(members);
        all.clear();
        self.acknowledged = all;
    }
}

/// Sessions.
impl Scribe {
    /// There is a session, without any state.
    pub fn opened(&mut self, session: u32, serial: u64, client_id: &str) {
        // It is written when something shows that it is to be kept, which is soon, or never.
        self.opening = Some(Opening {
            session,
            serial,
            client_id: client_id.into(),
        });
    }

    /// Writes that there is a session, unless that is written.
    fn keep(&mut self, session: u32) {
        if self.kept_of(session).is_known {
            return;
        }
        let opening = self.opening.take_if(|opening| opening.session == session);
        if let Some(opening) = opening {
            self.kept_mut(session).is_known = true;
            self.write(&Record::Opened {
                session,
                serial: opening.serial,
                client_id: &opening.client_id,
            });
        }
    }

    fn write_of(&mut self, session: u32, record: &Record<'_>) {
        if self.kept_of(session).is_known {
            self.write(record);
        }
    }

    fn write_of_durable(&mut self, session: u32, record: &Record<'_>) {
        if self.kept_of(session).is_durable {
            self.write(record);
        }
    }

    /// Its client is there.
    pub fn resumed(&mut self, session: u32) {
        self.write_of(session, &Record::Resumed { session });
    }

    /// Its client has this user name, and came by the listener of this name.
    pub fn identified(&mut self, session: u32, user: Option<&str>, listener: &str) {
        let record = Record::Identified {
            session,
            user,
            listener,
        };
        self.write_of(session, &record);
    }

    /// It outlives its connection by so many seconds.
    pub fn expiry_set(&mut self, session: u32, seconds: u32) {
        if seconds > 0 {
            self.keep(session);
            let kept = self.kept_mut(session);
            kept.is_durable = kept.is_known;
        }
        self.write_of(session, &Record::ExpirySet { session, seconds });
    }

    /// Its client is away.
    pub fn away(&mut self, session: u32, ends_at: Option<u64>) {
        self.write_of(session, &Record::Away { session, ends_at });
    }

    /// It is gone.
    pub fn ended(&mut self, session: u32) {
        let kept = std::mem::take(self.kept_mut(session));
        if kept.is_known {
            self.write_acknowledged();
            self.write(&Record::Ended { session });
        }
    }

    /// CONNECT has brought a will.
    pub fn will_set(&mut self, session: u32, will: WillText<'_>) {
        self.keep(session);
        self.write_of(session, &Record::WillSet { session, will });
    }

    /// When its will is due.
    pub fn will_due(&mut self, session: u32, at: Option<u64>) {
        self.write_of(session, &Record::WillDue { session, at });
    }

    /// Its will is published, or never will be.
    pub fn will_taken(&mut self, session: u32) {
        self.write_of(session, &Record::WillTaken { session });
    }

    /// It has subscribed.
    pub fn subscribed(&mut self, session: u32, to: SubscriptionText<'_>, options: EntryOptions) {
        let record = Record::Subscribed {
            session,
            to,
            options,
        };
        self.write_of_durable(session, &record);
    }

    /// It has unsubscribed.
    pub fn unsubscribed(&mut self, session: u32, from: SubscriptionText<'_>) {
        self.write_of_durable(session, &Record::Unsubscribed { session, from });
    }

    /// A QoS 2 message has come from its client.
    pub fn inbound_stored(&mut self, session: u32, id: u16) {
        self.write_of_durable(session, &Record::InboundStored { session, id });
    }

    /// PUBREL has come for it.
    pub fn inbound_released(&mut self, session: u32, id: u16) {
        self.write_of_durable(session, &Record::InboundReleased { session, id });
    }
}

/// Messages.
impl Scribe {
    /// A message waits for a session.
    #[inline]
    pub fn queued<'a>(
        &mut self,
        session: u32,
        number: u64,
        way: Way,
        message: impl FnOnce() -> MessageText<'a>,
    ) {
        if self.is_durable(session) {
            self.take_up(number, message);
            self.gather(session, What::Queued, way);
        }
    }

    /// A message waits for a session no longer.
    pub fn unqueued(&mut self, session: u32, number: u64) {
        if self.is_durable(session) {
            self.write_gathered();
            self.unqueued = Some((session, number));
        }
    }

    /// A message is in flight to a session.
    #[inline]
    pub fn sent<'a>(
        &mut self,
        session: u32,
        number: u64,
        frame: Frame,
        way: Way,
        message: impl FnOnce() -> MessageText<'a>,
    ) {
        if !self.is_durable(session) {
            return;
        }
        if self.unqueued == Some((session, number)) {
            return self.moved(session, number, frame);
        }
        self.take_up(number, message);
        let Frame { order, id } = frame;
        if id & SHARED_ID_BIT != 0 {
            return self.gather(session, What::Sent { order }, way);
        }
        self.write(&Record::SentAlone {
            session,
            number,
            order,
            id,
            way,
        });
    }

    /// A message of which no copy is kept is in flight to a session.
    pub fn sent_bare(&mut self, session: u32, frame: Frame, way: Way) {
        let Frame { order, id } = frame;
        let record = Record::SentBare {
            session,
            order,
            id,
            way,
        };
        self.write_of_durable(session, &record);
    }

    fn moved(&mut self, session: u32, number: u64, frame: Frame) {
        self.unqueued = None;
        let Frame { order, id } = frame;
        self.write(&Record::Moved {
            session,
            number,
            order,
            id,
        });
    }

    /// The message of this number is at hand: it is written, unless it is.
    #[inline]
    fn take_up<'a>(&mut self, number: u64, message: impl FnOnce() -> MessageText<'a>) {
        if self.at_hand != number || self.unqueued.is_some() {
            self.write_gathered();
            self.at_hand = number;
        }
        if self.message_end <= number {
            self.message_end = number + 1;
            let message = message();
            self.write(&Record::Message { number, message });
        }
    }

    /// The message at hand goes to this session too.
    #[inline]
    fn gather(&mut self, session: u32, what: What, way: Way) {
        let is_it = |group: &Group| group.what == what && group.way == way;
        let seed = self.sets.seed();
        // Mostly the last one.
        let index = self.groups.iter().rposition(is_it);
        let index = index.unwrap_or_else(|| self.begin_group(what, way));
        let group = &mut self.groups[index];
        group.members.push(session);
        group.sum.add(session, seed);
    }

    #[cold]
    fn begin_group(&mut self, what: What, way: Way) -> usize {
        if self.groups.len() >= limits::JOURNAL_GROUPS_MAX {
            self.write_groups();
        }
        self.groups.push(Group {
            what,
            way,
            members: self.spare.pop().unwrap_or_default(),
            sum: Sum::default(),
        });
        self.groups.len() - 1
    }

    /// A frame is done for a session: PUBACK or PUBCOMP has come, or it is given up.
    #[inline]
    pub fn acknowledged(&mut self, session: u32, order: u64) {
        if !self.is_durable(session) {
            return;
        }
        self.acknowledged.push((order, session));
        if self.acknowledged.len() >= limits::JOURNAL_ACKS_MAX {
            self.write_acknowledged();
        }
    }

    /// PUBREC has come for a frame.
    pub fn received(&mut self, session: u32, order: u64) {
        self.write_of_durable(session, &Record::Received { session, order });
    }

    /// The copy of a message in flight is given up.
    pub fn copy_given_up(&mut self, session: u32, order: u64) {
        self.write_of_durable(session, &Record::CopyGivenUp { session, order });
    }

    /// A message is retained.
    pub fn retained_stored<'a>(&mut self, number: u64, message: impl FnOnce() -> MessageText<'a>) {
        self.take_up(number, message);
        self.write(&Record::RetainedStored { number });
    }

    /// A topic has no retained message any more.
    pub fn retained_removed(&mut self, topic: &str) {
        self.write(&Record::RetainedRemoved { topic });
    }
}
