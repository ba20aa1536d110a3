//! From what happens to sessions to records: gathers what is said of one message, or of one frame, for many sessions, and writes it once.
//!
//! What happens is told one session at a time. Deliveries of the message at hand are gathered by how it goes (`What`, `Way`) until
//! something else is told; acknowledgements by their frames for longer: one that is lost is sent again by the client, or asked for again.
//!
//! Invariants: what is written of a session is in the order in which it was told, but for acknowledgements, which are written before
//! the number of their session can be another's; a message is written before what refers to it; a session that is not to be kept is not
//! written.

mod checkpoint;
mod sessions;

pub use self::checkpoint::SessionText;
use super::acks::Acks;
use super::gathered::{Group, What};
use super::members::{Members, Sets, Sum};
use super::message::MessageText;
use super::record::{Errand, Record, SubscriptionText};
use super::stream::Stream;
use super::texts::Texts;
use super::turns::Turns;
use crate::chunk::Chunk;
use crate::limits::{self, JOURNAL_GROUP_BITS};
use crate::session::{SHARED_ID_BIT, Way};

/// The frame in which a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Counts the frames of the shard.
    pub order: u64,
    /// Its packet identifier.
    pub id: u16,
}

/// What is kept of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kept {
    /// It has been written that there is one.
    is_known: bool,
    /// It outlives its connection: all of it is written.
    is_durable: bool,
    /// When it last became a member of a group behind the first one, and in the lowest bits of which, by its place.
    gathered: u32,
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
    /// By shard: up to which place it has been written that its messages were taken.
    took: Vec<u64>,
    sets: Sets,
    /// By session number.
    kept: Vec<Kept>,
    opening: Option<Opening>,
    /// The number of the message that was written last, and one.
    message_end: u64,
    /// Which of them can be referred to without their text.
    texts: Texts,
    /// That of the message at hand, whose deliveries are gathered.
    at_hand: u64,
    groups: Vec<Group>,
    /// Counts how often groups were written.
    gatherings: u32,
    /// Memory of groups that were written.
    spare: Vec<Vec<u32>>,
    /// A message that a session no longer waits for; it may be sent to it next.
    unqueued: Option<(u32, u64, Way)>,
    acknowledged: Acks,
    /// When the first of these was told, in milliseconds; as told at the end of its turn.
    acknowledged_ms: Option<u64>,
    turns: Turns,
}

impl Scribe {
    /// Nothing is written yet. Nobody who chooses who is subscribed may know the seed.
    pub fn new(seed: u64) -> Self {
        Scribe {
            stream: Stream::default(),
            took: Vec::new(),
            sets: Sets::new(seed),
            kept: Vec::new(),
            opening: None,
            message_end: 0,
            texts: Texts::default(),
            at_hand: 0,
            groups: Vec::new(),
            gatherings: 1,
            spare: Vec::new(),
            unqueued: None,
            acknowledged: Acks::default(),
            acknowledged_ms: None,
            turns: Turns::new(),
        }
    }

    /// The end of a turn: all that was gathered is written, but for acknowledgements that nothing else goes with and that came less than
    /// `limits::JOURNAL_ACKS_MS` ago. `took` has what was taken of each other shard, by place.
    ///
    /// To be called before anything that other shards are told is to be seen there, and `next_chunk` until there is none: what they write
    /// of it is behind this turn then.
    pub fn end_turn(&mut self, now_ms: u64, took: impl Iterator<Item = (u8, u64)>) {
        self.write_gathered();
        if self.acknowledged.len() > 0 {
            let since_ms = *self.acknowledged_ms.get_or_insert(now_ms);
            let is_due = now_ms.saturating_sub(since_ms) >= limits::JOURNAL_ACKS_MS;
            if is_due || self.stream.has_open_turn() {
                self.write_acknowledged();
            }
        }
        if !self.stream.has_open_turn() {
            return;
        }
        for (from, at) in took {
            self.took
                .resize(self.took.len().max(usize::from(from) + 1), 0);
            let known = &mut self.took[usize::from(from)];
            if *known != at {
                *known = at;
                self.stream.append(&Record::Took { from, at });
            }
        }
        self.stream.append(&Record::TurnEnded);
        let end = self.stream.end_turn();
        self.turns.end(end);
    }

    /// When a turn is to end although nothing happens, in milliseconds: acknowledgements are kept back for so long.
    pub fn deadline(&self) -> Option<u64> {
        Some(self.acknowledged_ms? + limits::JOURNAL_ACKS_MS)
    }

    /// The turn that is written now: what is told belongs to it.
    pub fn turn(&self) -> u64 {
        self.turns.current
    }

    /// Whether something was told since this was last asked that an answer may promise. Acknowledgements of clients are not.
    #[inline]
    pub fn take_promised(&mut self) -> bool {
        std::mem::take(&mut self.turns.has_promised)
    }

    /// The same, for who answers now.
    #[inline]
    pub fn has_promised(&self) -> bool {
        self.turns.has_promised
    }

    /// So many chunks are durable. Returns the last turn that is.
    pub fn on_durable(&mut self, chunks: u64) -> u64 {
        self.turns.on_durable(chunks)
    }

    /// Whether all that was told to it is durable, but for acknowledgements that are kept back.
    pub fn is_all_told(&self) -> bool {
        self.turns.are_durable() && !self.stream.has_open_turn()
    }

    /// The next chunk that is to be written, and whether a checkpoint begins with it.
    pub fn next_chunk(&mut self) -> Option<(Chunk, bool)> {
        self.stream.next_chunk()
    }

    /// The same, if it is full.
    pub fn next_full_chunk(&mut self) -> Option<Chunk> {
        self.stream.next_full_chunk()
    }

    /// A chunk has been written, and may be used again.
    pub fn give_back(&mut self, chunk: Chunk) {
        self.stream.give_back(chunk);
    }

    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        let groups = self.groups.iter().map(|group| group.members.capacity());
        let spare = self.spare.iter().map(Vec::capacity);
        self.stream.memory()
            + self.sets.memory()
            + self.texts.memory()
            + self.kept.capacity() * size_of::<Kept>()
            + (groups.sum::<usize>() + spare.sum::<usize>()) * size_of::<u32>()
            + self.acknowledged.memory()
            + self.turns.memory()
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
        self.turns.has_promised = true;
        self.write_gathered();
        self.stream.append(record);
    }

    fn write_gathered(&mut self) {
        if let Some((session, number, way)) = self.unqueued.take() {
            self.stream.append(&Record::Unqueued {
                number,
                way,
                members: Members::One(session),
            });
        }
        if !self.groups.is_empty() {
            self.write_groups();
        }
    }

    fn write_groups(&mut self) {
        // In as many bits as are left beside a place.
        self.gatherings = (self.gatherings + 1) & (u32::MAX >> JOURNAL_GROUP_BITS);
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
        all.take(self.sets.seed(), |order, members, sum| {
            self.forget_sets();
            if !self.sets.knows(sum) {
                // Those that stand close together take less.
                members.sort_unstable();
            }
            let members = self.sets.members(members, sum);
            self.stream.append(&Record::Acknowledged { order, members });
        });
        self.acknowledged = all;
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

    /// A message waits for a session no longer: one that went this way.
    pub fn unqueued(&mut self, session: u32, number: u64, way: Way) {
        if self.is_durable(session) {
            self.write_gathered();
            self.unqueued = Some((session, number, way));
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
        if let Some((of, waited, way)) = self.unqueued
            && (of, waited) == (session, number)
        {
            return self.moved((session, number), way, frame);
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

    fn moved(&mut self, (session, number): (u32, u64), way: Way, frame: Frame) {
        self.unqueued = None;
        let Frame { order, id } = frame;
        self.write(&Record::Moved {
            session,
            number,
            order,
            id,
            way,
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
        } else if !self.texts.is_written(number) {
            self.texts.note(number);
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
        let mut index = index.unwrap_or_else(|| self.begin_group(what, way));
        if self.groups.len() > 1 {
            index = self.in_order(session, index);
        }
        self.turns.has_promised = true;
        let group = &mut self.groups[index];
        group.members.push(session);
        group.sum.add(session, seed);
    }

    /// The place of this group, for one more session; a message that goes to it twice may not stand in a group that is written behind this one
    /// already.
    fn in_order(&mut self, session: u32, mut index: usize) -> usize {
        let first = self.gatherings << JOURNAL_GROUP_BITS;
        let before = self.kept_of(session).gathered.wrapping_sub(first);
        if before > index as u32 && before < 1 << JOURNAL_GROUP_BITS {
            let Group { what, way, .. } = self.groups[index];
            self.write_groups();
            index = self.begin_group(what, way);
        }
        if index > 0 {
            self.kept_mut(session).gathered = first + index as u32;
        }
        index
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
        self.acknowledged.push(order, session, self.sets.seed());
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

/// What goes on between shards.
impl Scribe {
    /// A message is handed to another shard, or kept here to be gone on with; `at` is its place there.
    pub fn handed<'a>(
        &mut self,
        (to, at): (u8, u64),
        errand: Errand,
        number: u64,
        message: impl FnOnce() -> MessageText<'a>,
    ) {
        self.take_up(number, message);
        self.write(&Record::Handed {
            to,
            at,
            number,
            errand,
        });
    }

    /// A shared subscription that this shard owns has this number.
    pub fn group_named(&mut self, group: u32, share: &str, filter: &str) {
        let to = SubscriptionText {
            share: Some(share),
            filter,
        };
        self.write(&Record::GroupNamed { group, to });
    }
}
