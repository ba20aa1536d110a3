//! The shared subscriptions (MQTT 5, 4.8.2) that one shard owns: who their members are, and whose turn it is.
//!
//! A member that could not take a message *rests*: others are chosen before it, so that one that may read nothing costs
//! next to nothing. Now and then one of those that rest has its turn again.
//!
//! Invariants: the members of a group whose clients are connected stand before those that are away, `online` of them, and
//! among these the `willing` ones before those that rest; `positions` has the place of every member, so that joining,
//! leaving, coming and going take constant time; a group without members does not exist.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

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
    /// The options of the subscription, as `EntryOptions::pack` has them.
    pub options: u32,
    /// Whether its client is connected.
    pub online: bool,
}

/// One shared subscription.
#[derive(Debug)]
pub struct Group {
    /// The share name.
    pub group: Box<str>,
    /// The filter, without `$share/GROUP/`.
    pub filter: Box<str>,
    members: Vec<Member>,
    online: u32,
    willing: u32,
    turn: u32,
    /// Choices since one of those that rest was made willing.
    choices: u32,
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
    fn heap(&self) -> usize {
        self.group.len() + self.filter.len() + self.members.capacity() * size_of::<Member>()
    }

    /// Its members: first those whose clients are connected, then those that are away.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The members that may be chosen: those that are online and do not rest, or all if none is online.
    fn eligible(&mut self) -> usize {
        if self.online == 0 {
            return self.members.len();
        }
        if self.willing == 0 {
            self.willing = self.online;
        }
        self.willing as usize
    }

    /// The members, in the order in which they are asked for a message that others could not take.
    pub fn in_turn(&self) -> impl Iterator<Item = &Member> {
        let (online, away) = self.members.split_at(self.online as usize);
        let turn = (self.turn as usize).min(online.len());
        let (before, after) = online.split_at(turn);
        after.iter().chain(before).chain(away)
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
        if let Some(at) = self.position(id, member.shard, member.session) {
            let online = self.groups[id.0 as usize].members[at].online;
            self.groups[id.0 as usize].members[at] = Member { online, ..member };
            let rests = online && at >= self.groups[id.0 as usize].willing as usize;
            // What it could not take before, it may take now.
            let at = if rests {
                self.move_member(id, at, false)
            } else {
                at
            };
            self.move_member(id, at, member.online);
            return (id, known.is_none());
        }
        let at = self.groups[id.0 as usize].members.len();
        let group = &mut self.groups[id.0 as usize];
        let before = group.heap();
        group.members.push(Member {
            online: false,
            ..member
        });
        self.heap += group.heap() - before;
        self.add_position(Position {
            group: id.0,
            member: at as u32,
        });
        self.move_member(id, at, member.online);
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
        let at = self.move_member(id, at, false);
        let last = self.groups[id.0 as usize].members.len() - 1;
        self.swap(id, at, last);
        self.remove_position(Position {
            group: id.0,
            member: last as u32,
        });
        let group = &mut self.groups[id.0 as usize];
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
        self.move_member(id, at, online);
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

    /// Whose turn it is: round robin over the members that are online; when none is, over those that are away.
    /// `None` for a group that has ended.
    pub fn choose(&mut self, id: GroupId) -> Option<Member> {
        let group = self.groups.get_mut(id.0 as usize)?;
        group.choices += 1;
        if group.choices >= limits::GROUP_REST_CHOICES {
            group.choices = 0;
            group.willing = (group.willing + 1).min(group.online);
        }
        let eligible = group.eligible() as u32;
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

    /// This member could not take a message: others are chosen before it for a while.
    pub fn rest(&mut self, id: GroupId, shard: ShardId, session: SessionId) {
        let Some(group) = self.groups.get(id.0 as usize) else {
            return;
        };
        let (willing, online) = (group.willing as usize, group.online as usize);
        let at = self.position(id, shard, session);
        if let Some(at) = at.filter(|&at| at < willing) {
            self.swap(id, at, willing - 1);
            // Behind the others that rest: each of them has its turn.
            self.swap(id, willing - 1, online - 1);
            self.groups[id.0 as usize].willing -= 1;
        }
    }

    /// Rules have changed: nobody rests.
    pub fn wake_all(&mut self) {
        for group in &mut self.groups {
            group.willing = group.online;
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
            online: 0,
            willing: 0,
            turn: 0,
            choices: 0,
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
            group: "".into(),
            filter: "".into(),
            members: Vec::new(),
            online: 0,
            willing: 0,
            turn: 0,
            choices: 0,
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

    /// Puts a member among those that are online and willing, or away; returns where it stands now.
    fn move_member(&mut self, id: GroupId, at: usize, online: bool) -> usize {
        let group = &mut self.groups[id.0 as usize];
        if group.members[at].online == online {
            return at;
        }
        group.members[at].online = online;
        let (first_resting, first_away) = (group.willing as usize, group.online as usize);
        if online {
            group.online += 1;
            group.willing += 1;
            self.swap(id, at, first_away);
            self.swap(id, first_away, first_resting);
            return first_resting;
        }
        let mut at = at;
        if at < first_resting {
            group.willing -= 1;
            self.swap(id, at, first_resting - 1);
            at = first_resting - 1;
        }
        self.groups[id.0 as usize].online -= 1;
        self.swap(id, at, first_away - 1);
        first_away - 1
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
