//! The shared subscriptions (MQTT 5, 4.8.2) that one shard owns: who their members are, and whose turn it is.
//!
//! A member that had no room for a message is *tired*: others are chosen before it, and now and then one of those has its turn
//! again. One that had no right to a message is *barred*: all others are chosen before it until rules change or its client
//! comes anew; far more seldom one of those has its turn again, since rights are rights to topics.
//!
//! Invariants: the members of a group stand by section (`Section`), in that order, and `ends` says where the first three end;
//! those that are tired are online; `positions` has the place of every member, so that joining, leaving, coming, going and
//! changing the section take constant time; a group without members does not exist.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::EntryOptions;
use crate::ids::{GroupId, SessionId, ShardId};
use crate::limits;

/// A session's part in a shared subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// The shard where the session lives.
    pub shard: ShardId,
    /// The session, on that shard.
    pub session: SessionId,
    /// A number that no other session has had, to tell it from a later one with the same `session`.
    pub serial: u64,
    /// The options of the subscription.
    pub options: EntryOptions,
    /// Whether its client is connected.
    pub online: bool,
    /// Whether the session is to outlive the process.
    pub durable: bool,
}

/// One shared subscription.
#[derive(Debug)]
pub struct Group {
    /// The share name.
    pub group: Box<str>,
    /// The filter, without `$share/GROUP/`.
    pub filter: Box<str>,
    members: Vec<Member>,
    /// Where the sections end, but for the last.
    ends: [u32; 3],
    turn: u32,
    /// Some member's session is to outlive the process, or was when it joined.
    is_durable: bool,
    /// Choices so far.
    choices: u32,
    /// Changes so far of who is barred, and of their order.
    changes: u32,
}

/// Where a member stands among the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Section {
    /// Its client is connected, and it is chosen in its turn.
    Willing,
    /// Its client is connected, and it had no room for a message.
    Tired,
    /// Its client is away.
    Away,
    /// It had no right to a message; its client is connected or away.
    Barred,
}

/// Where a member stands.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Position {
    group: u32,
    member: u32,
}

/// The shared subscriptions of one shard.
pub struct Groups {
    groups: Vec<Group>,
    /// The oldest first: a message that comes back late must not find another group by its number.
    free: VecDeque<u32>,
    names: HashTable<u32>,
    positions: HashTable<Position>,
    hasher: FixedState,
    /// Bytes of heap of all groups.
    heap: usize,
}

impl Group {
    /// Whether the session of a member is to outlive the process, or was when it joined.
    pub fn is_durable(&self) -> bool {
        self.is_durable
    }

    fn heap(&self) -> usize {
        self.group.len() + self.filter.len() + self.members.capacity() * size_of::<Member>()
    }

    /// Its members: first those that are willing, last those that are barred.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How many may be chosen: those that are willing, else those that are tired and are so no more, else those that are away;
    /// none if all are barred.
    fn eligible(&mut self) -> usize {
        let [willing, tired, away] = &mut self.ends;
        if *willing == 0 {
            *willing = *tired;
        }
        match *willing {
            0 => *away as usize,
            willing => willing as usize,
        }
    }

    /// The members that are not barred, in the order in which they are asked for a message that others could not take.
    pub fn open(&self) -> impl Iterator<Item = &Member> {
        let [willing, _, away] = self.ends.map(|end| end as usize);
        let turn = (self.turn as usize).min(willing);
        let (before, after) = self.members[..willing].split_at(turn);
        let others = &self.members[willing..away];
        after.iter().chain(before).chain(others)
    }

    /// Those that are barred, who is asked next first.
    pub fn barred(&self) -> &[Member] {
        &self.members[self.ends[2] as usize..]
    }

    /// A number that is another one after every change of who is barred.
    pub fn changes(&self) -> u32 {
        self.changes
    }

    fn section(&self, at: usize) -> Section {
        let ended = self.ends.iter().filter(|&&end| at >= end as usize).count();
        [
            Section::Willing,
            Section::Tired,
            Section::Away,
            Section::Barred,
        ][ended]
    }
}

impl Groups {
    /// No group yet; the seed is for the hash functions.
    pub fn new(seed: u64) -> Groups {
        Groups {
            groups: Vec::new(),
            free: VecDeque::new(),
            names: HashTable::new(),
            positions: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            heap: 0,
        }
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.heap
            + self.groups.capacity() * size_of::<Group>()
            + self.free.capacity() * size_of::<u32>()
            + self.names.allocation_size()
            + self.positions.allocation_size()
    }

    /// Adds a member, or replaces that of the same shard and session; also says whether the group is new.
    pub fn join(&mut self, group: &str, filter: &str, member: Member) -> (GroupId, bool) {
        let known = self.find(group, filter);
        let id = known.unwrap_or_else(|| self.create(group, filter));
        self.groups[id.0 as usize].is_durable |= member.durable;
        if let Some(at) = self.position(id, member.shard, member.session) {
            let group = &mut self.groups[id.0 as usize];
            group.members[at] = member;
            // What it had no room for before, it may have now. Its rights are what they were.
            if group.section(at) != Section::Barred {
                self.move_to(id, at, section_by(member.online));
            }
            return (id, known.is_none());
        }
        let at = self.groups[id.0 as usize].members.len();
        let group = &mut self.groups[id.0 as usize];
        let before = group.heap();
        group.members.push(member);
        self.heap += group.heap() - before;
        self.add_position(Position {
            group: id.0,
            member: at as u32,
        });
        self.move_to(id, at, section_by(member.online));
        (id, known.is_none())
    }

    /// Removes a member, and the group with its last one, which is said too. The id of such a group may be given to
    /// another from here on.
    pub fn leave(
        &mut self,
        group: &str,
        filter: &str,
        shard: ShardId,
        session: SessionId,
    ) -> Option<(GroupId, bool)> {
        let id = self.find(group, filter)?;
        let at = self.position(id, shard, session)?;
        let at = self.move_to(id, at, Section::Barred);
        let last = self.groups[id.0 as usize].members.len() - 1;
        self.swap(id, at, last);
        self.remove_position(Position {
            group: id.0,
            member: last as u32,
        });
        let group = &mut self.groups[id.0 as usize];
        group.changes = group.changes.wrapping_add(1);
        group.members.pop();
        let now_empty = group.members.is_empty();
        if now_empty {
            self.destroy(id);
        }
        Some((id, now_empty))
    }

    /// A member's client came or went; false if there is no such member.
    pub fn set_online(
        &mut self,
        group: &str,
        filter: &str,
        shard: ShardId,
        session: SessionId,
        online: bool,
    ) -> bool {
        let Some(id) = self.find(group, filter) else {
            return false;
        };
        let Some(at) = self.position(id, shard, session) else {
            return false;
        };
        let group = &mut self.groups[id.0 as usize];
        let was_online = std::mem::replace(&mut group.members[at].online, online);
        // Who comes anew may do so by another name.
        if online != was_online && (online || group.section(at) != Section::Barred) {
            self.move_to(id, at, section_by(online));
        }
        true
    }

    /// The group by this share name and filter.
    pub fn find(&self, group: &str, filter: &str) -> Option<GroupId> {
        let is = |&other: &u32| {
            let other = &self.groups[other as usize];
            *other.group == *group && *other.filter == *filter
        };
        self.names
            .find(name_hash(&self.hasher, group, filter), is)
            .map(|&id| GroupId(id))
    }

    /// The group with an id that `join` gave; without members and names after its last member has left.
    pub fn get(&self, id: GroupId) -> &Group {
        &self.groups[id.0 as usize]
    }

    /// The same, if there are so many; one that has ended is without members and names.
    pub fn at(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.0 as usize)
    }

    /// A member.
    pub fn member(
        &self,
        group: &str,
        filter: &str,
        shard: ShardId,
        session: SessionId,
    ) -> Option<&Member> {
        let id = self.find(group, filter)?;
        let at = self.position(id, shard, session)?;
        self.groups[id.0 as usize].members.get(at)
    }

    /// Whose turn it is: round robin over the members that are online and willing; when none is online, over those that are
    /// away. `None` for a group that has ended, or of which all members are barred.
    pub fn choose(&mut self, id: GroupId) -> Option<Member> {
        let group = self.groups.get_mut(id.0 as usize)?;
        group.choices = group.choices.wrapping_add(1);
        let [willing, tired, _] = &mut group.ends;
        if group.choices.is_multiple_of(limits::GROUP_REST_CHOICES) && *willing < *tired {
            *willing += 1;
        }
        if group.choices.is_multiple_of(limits::GROUP_BARRED_CHOICES) {
            self.unbar_first(id);
        }
        let group = self.groups.get_mut(id.0 as usize)?;
        let eligible = group.eligible() as u32;
        if eligible == 0 {
            return None;
        }
        let turn = if group.turn < eligible { group.turn } else { 0 };
        let member = *group.members.get(turn as usize)?;
        group.turn = turn + 1;
        Some(member)
    }

    /// As `choose`, but not this member: the one that could not take the message. `None` if there is no other.
    pub fn choose_other(&mut self, id: GroupId, not: (ShardId, SessionId)) -> Option<Member> {
        let is_not = |member: &Member| (member.shard, member.session) != not;
        // The second choice differs from the first unless one member is all that is eligible.
        for _ in 0..2 {
            if let Some(member) = self.choose(id).filter(is_not) {
                return Some(member);
            }
        }
        let group = self.groups.get_mut(id.0 as usize)?;
        let eligible = group.eligible();
        group.members[eligible..].iter().copied().find(is_not)
    }

    /// This member had no room for a message: others are chosen before it for a while.
    pub fn rest(&mut self, id: GroupId, shard: ShardId, session: SessionId) {
        let Some(at) = self.position(id, shard, session) else {
            return;
        };
        let group = &self.groups[id.0 as usize];
        if group.section(at) == Section::Willing {
            let last = group.ends[1] as usize - 1;
            let at = self.move_to(id, at, Section::Tired);
            // Behind the others that are tired: each of them has its turn.
            self.swap(id, at, last);
        }
    }

    /// This member had no right to a message: all others are chosen before it until rules change, or its client comes anew.
    pub fn bar(&mut self, id: GroupId, shard: ShardId, session: SessionId) {
        let Some(at) = self.position(id, shard, session) else {
            return;
        };
        if self.groups[id.0 as usize].section(at) != Section::Barred {
            let at = self.move_to(id, at, Section::Barred);
            self.swap(id, at, self.groups[id.0 as usize].members.len() - 1);
        }
    }

    /// This member has had a right to a message: it is not barred.
    pub fn unbar(&mut self, id: GroupId, shard: ShardId, session: SessionId) {
        let Some(at) = self.position(id, shard, session) else {
            return;
        };
        let group = &self.groups[id.0 as usize];
        if group.section(at) == Section::Barred {
            self.move_to(id, at, section_by(group.members[at].online));
        }
    }

    /// Returns whether there was one.
    fn unbar_first(&mut self, id: GroupId) -> bool {
        let group = &self.groups[id.0 as usize];
        let first = group.barred().first().copied();
        if let Some(member) = first {
            self.move_to(id, group.ends[2] as usize, section_by(member.online));
        }
        first.is_some()
    }

    /// Rules have changed: nobody rests.
    pub fn wake_all(&mut self) {
        for index in 0..self.groups.len() {
            let [willing, tired, _] = &mut self.groups[index].ends;
            *willing = *tired;
            while self.unbar_first(GroupId(index as u32)) {}
        }
    }

    /// Groups.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Members of all groups.
    pub fn members(&self) -> usize {
        self.positions.len()
    }

    fn create(&mut self, group: &str, filter: &str) -> GroupId {
        let new = Group {
            group: group.into(),
            filter: filter.into(),
            members: Vec::new(),
            ends: [0; 3],
            turn: 0,
            is_durable: false,
            choices: 0,
            changes: 0,
        };
        self.heap += new.heap();
        let rests = self.free.len() <= limits::GROUP_IDS_RESTING;
        let vacant = if rests { None } else { self.free.pop_front() };
        let id = match vacant {
            Some(vacant) => {
                self.groups[vacant as usize] = new;
                vacant
            }
            None => {
                self.groups.push(new);
                self.groups.len() as u32 - 1
            }
        };
        let (groups, hasher) = (&self.groups, &self.hasher);
        self.names
            .insert_unique(name_hash(hasher, group, filter), id, |&id| {
                let group = &groups[id as usize];
                name_hash(hasher, &group.group, &group.filter)
            });
        GroupId(id)
    }

    fn destroy(&mut self, id: GroupId) {
        let vacant = Group {
            is_durable: false,
            group: "".into(),
            filter: "".into(),
            members: Vec::new(),
            ends: [0; 3],
            turn: 0,
            choices: 0,
            changes: 0,
        };
        let group = std::mem::replace(&mut self.groups[id.0 as usize], vacant);
        self.heap -= group.heap();
        let hash = name_hash(&self.hasher, &group.group, &group.filter);
        if let Ok(found) = self.names.find_entry(hash, |&other| other == id.0) {
            found.remove();
        }
        self.free.push_back(id.0);
    }

    fn position(&self, id: GroupId, shard: ShardId, session: SessionId) -> Option<usize> {
        let members = &self.groups[id.0 as usize].members;
        let is = |position: &Position| {
            position.group == id.0 && {
                let member = &members[position.member as usize];
                (member.shard, member.session) == (shard, session)
            }
        };
        let hash = member_hash(&self.hasher, id.0, shard, session);
        self.positions
            .find(hash, is)
            .map(|position| position.member as usize)
    }

    fn add_position(&mut self, position: Position) {
        let (groups, hasher) = (&self.groups, &self.hasher);
        let hash = |position: &Position| {
            let member = &groups[position.group as usize].members[position.member as usize];
            member_hash(hasher, position.group, member.shard, member.session)
        };
        self.positions
            .insert_unique(hash(&position), position, hash);
    }

    fn remove_position(&mut self, position: Position) {
        let member = &self.groups[position.group as usize].members[position.member as usize];
        let hash = member_hash(&self.hasher, position.group, member.shard, member.session);
        if let Ok(found) = self.positions.find_entry(hash, |&other| other == position) {
            found.remove();
        }
    }

    /// Puts a member into a section; returns where it stands now: at its end that is nearer to where it was.
    fn move_to(&mut self, id: GroupId, at: usize, to: Section) -> usize {
        let group = &mut self.groups[id.0 as usize];
        let (mut at, mut section, to) = (at, group.section(at) as usize, to as usize);
        if section != to && section.max(to) == Section::Barred as usize {
            group.changes = group.changes.wrapping_add(1);
        }
        while section < to {
            let end = &mut self.groups[id.0 as usize].ends[section];
            *end -= 1;
            let last = *end as usize;
            self.swap(id, at, last);
            (at, section) = (last, section + 1);
        }
        while section > to {
            section -= 1;
            let end = &mut self.groups[id.0 as usize].ends[section];
            let first = *end as usize;
            *end += 1;
            self.swap(id, at, first);
            at = first;
        }
        at
    }

    /// Lets two members of a group change places.
    fn swap(&mut self, id: GroupId, a: usize, b: usize) {
        if a == b {
            return;
        }
        self.remove_position(Position {
            group: id.0,
            member: a as u32,
        });
        self.remove_position(Position {
            group: id.0,
            member: b as u32,
        });
        self.groups[id.0 as usize].members.swap(a, b);
        self.add_position(Position {
            group: id.0,
            member: a as u32,
        });
        self.add_position(Position {
            group: id.0,
            member: b as u32,
        });
    }
}

/// Where a member stands that nothing is known against.
fn section_by(online: bool) -> Section {
    match online {
        true => Section::Willing,
        false => Section::Away,
    }
}

fn name_hash(hasher: &FixedState, group: &str, filter: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    // A share name has no '/' (MQTT-4.8.2-1), so that no other pair gives the same bytes.
    hasher.write(group.as_bytes());
    hasher.write(b"/");
    hasher.write(filter.as_bytes());
    hasher.finish()
}

fn member_hash(hasher: &FixedState, group: u32, shard: ShardId, session: SessionId) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u64(u64::from(group) << 32 | u64::from(session.0));
    hasher.write_u8(shard.0);
    hasher.finish()
}
