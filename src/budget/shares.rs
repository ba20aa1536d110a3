//! Who gives way when an account is short: whoever holds most above a fair share of it.
//!
//! What is held is counted by *party*: a user name that somebody has vouched for, or the address that clients come from of
//! whom nobody knows more. All addresses have one share together, so that any number of strangers has no more than one user;
//! below that each address has its share of it, and in a party each holder (a session, a connection). At each of the three
//! levels nobody gives anything who is below the level that those come down to who are above it (max-min fairness; for queues
//! that share a buffer: Wei, Coyle and Hsiao, "An optimal buffer management policy for high-performance packet switching",
//! 1991, where the longest is pushed out).
//!
//! Owns numbers only, as the rest of this folder. How holders are spread in a party is kept by classes of size, so that what a
//! shard tells the others stays small.
//!
//! Invariants:
//! - a level is never below the average that all who are cut to it come to;
//! - a party that is not named in what a shard tells is counted among the others of its kind.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::ids::Network;
use crate::limits;

/// Who memory is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A user name that a password or a certificate has proved, by its hash.
    User(u64),
    /// An address, or a network of them that one host may have to itself.
    Address(Network),
    /// The same, of what is held for those who are not connected.
    Away(Network),
}

/// The kinds of party, as places in `others`.
const ADDRESS: usize = 0;
const USER: usize = 1;
const AWAY: usize = 2;
const KINDS: usize = 3;

impl Party {
    fn kind(self) -> usize {
        match self {
            Party::Address(_) => ADDRESS,
            Party::User(_) => USER,
            Party::Away(_) => AWAY,
        }
    }

    /// Connected or not.
    fn wherever(self) -> Party {
        match self {
            Party::Away(address) => Party::Address(address),
            other => other,
        }
    }
}

/// Holders of about the same size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Class {
    holders: u64,
    bytes: u64,
}

impl Class {
    fn add(&mut self, other: Class) {
        self.holders += other.holders;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Bytes that each of them has, on average.
    fn average(self) -> u64 {
        self.bytes / self.holders.max(1)
    }
}

/// What the holders of one party, or of several, have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    parties: u64,
    bytes: u64,
    /// By class of size, in no order.
    classes: Vec<(u8, Class)>,
}

/// Two classes for each doubling.
fn class_of(bytes: u64) -> u8 {
    let log = bytes.max(1).ilog2();
    let half = log > 0 && bytes >> (log - 1) & 1 == 1;
    (2 * log) as u8 + u8::from(half)
}

impl Held {
    fn add(&mut self, class: u8, more: Class) {
        match self.classes.iter_mut().find(|(known, _)| *known == class) {
            Some((_, known)) => known.add(more),
            None => self.classes.push((class, more)),
        }
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    fn merge(&mut self, other: &Held) {
        for &(class, more) in &other.classes {
            self.add(class, more);
        }
    }

    /// The parties among others of their kind, as so many of about the same size.
    fn as_class(&self) -> Class {
        Class {
            holders: self.parties,
            bytes: self.bytes,
        }
    }

    /// The level that holders come down to when so many bytes are to go.
    fn level(&self, cut: u64) -> u64 {
        level(self.classes.iter().map(|&(_, class)| class).collect(), cut)
    }
}

/// To what level the greatest come down when so many bytes are to go, all together.
fn level(mut classes: Vec<Class>, cut: u64) -> u64 {
    classes.retain(|class| class.holders > 0);
    classes.sort_unstable_by_key(|class| std::cmp::Reverse(class.average()));
    let mut above = Class::default();
    for (index, &class) in classes.iter().enumerate() {
        above.add(class);
        let level = above.bytes.saturating_sub(cut) / above.holders;
        let next = classes.get(index + 1).map_or(0, |next| next.average());
        if level >= next {
            return level;
        }
    }
    0
}

/// What one shard holds of an account, by party.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    parties: HashMap<Party, Held, FixedState>,
    /// Parties that are not named, by kind.
    others: [Held; KINDS],
}

impl Holdings {
    /// Somebody of this party holds so many bytes.
    pub fn add(&mut self, party: Party, bytes: u64) {
        let held = self.parties.entry(party).or_default();
        held.parties = 1;
        let class = Class { holders: 1, bytes };
        held.add(class_of(bytes), class);
    }

    /// Bytes of memory, its own included.
    pub fn memory(&self) -> usize {
        let classes = |held: &Held| held.classes.capacity() * size_of::<(u8, Class)>();
        let named = self.parties.values().map(classes).sum::<usize>();
        let others = self.others.iter().map(classes).sum::<usize>();
        size_of::<Self>() + self.parties.allocation_size() + named + others
    }

    /// Bytes of all together.
    pub fn bytes(&self) -> u64 {
        let named = self.parties.values().map(|held| held.bytes);
        let others = self.others.iter().map(|held| held.bytes);
        named.chain(others).fold(0, u64::saturating_add)
    }

    /// So many bytes of an account that holds `held` in all, in what is counted here: what many hold is there once, and is
    /// counted for each. And what was counted may have been less than is held by now: then whoever comes down to a level gives what
    /// has come since as well.
    fn for_bytes(&self, bytes: u64, held: u64) -> u64 {
        let held = held.max(1);
        let counted = u128::from(self.bytes()) * u128::from(bytes) / u128::from(held);
        u64::try_from(counted).unwrap_or(u64::MAX)
    }

    /// Names no more than the greatest, `limits::SHARES_PARTIES_MAX` of each kind; the rest are the others of their kind.
    pub fn shorten(&mut self) {
        for kind in 0..KINDS {
            let of_kind = self
                .parties
                .iter()
                .filter(|(party, _)| party.kind() == kind);
            let mut sizes: Vec<(u64, Party)> =
                of_kind.map(|(&party, held)| (held.bytes, party)).collect();
            if sizes.len() <= limits::SHARES_PARTIES_MAX {
                continue;
            }
            sizes.sort_unstable_by_key(|&size| std::cmp::Reverse(size));
            for (_, party) in sizes.drain(limits::SHARES_PARTIES_MAX..) {
                if let Some(held) = self.parties.remove(&party) {
                    let others = &mut self.others[kind];
                    others.parties += 1;
                    others.merge(&held);
                }
            }
        }
    }

    /// The same with what another shard holds.
    pub fn merge(&mut self, other: &Holdings) {
        for (&party, held) in &other.parties {
            let known = self.parties.entry(party).or_default();
            known.parties = 1;
            known.merge(held);
        }
        for (known, held) in self.others.iter_mut().zip(&other.others) {
            known.parties += held.parties;
            known.merge(held);
        }
    }

    /// Who gives way so that of the `held` bytes of an account so many that are `missing` are held no longer. What is left, divided by
    /// the users and once more for all strangers, is a share below which none of them comes, however old the count is: what has
    /// come since is counted by the next round. Of strangers those who are connected give nothing as long as they have no more
    /// than `connected` bytes and the others have enough: whoever is there reads on, and has room for that.
    pub fn cut(&self, missing: u64, held: u64, connected: u64) -> Cut {
        let (bytes, connected) = (
            self.for_bytes(missing, held),
            self.for_bytes(connected, held),
        );
        let mut cut = Cut::default();
        let (there, away) = (self.classes(ADDRESS), self.classes(AWAY));
        let sum = |classes: &[Class]| classes.iter().map(|class| class.bytes).sum::<u64>();
        let strangers = Class {
            holders: 1,
            bytes: sum(&there).saturating_add(sum(&away)),
        };
        let mut all = self.classes(USER);
        all.push(strangers);
        let sides = all.iter().map(|class| class.holders).sum::<u64>().max(1);
        let share = held.saturating_sub(missing) / sides;
        let fair = level(all, bytes).max(share);
        self.cut_kind(USER, fair, &mut cut);
        let give = strangers.bytes.saturating_sub(fair);
        if give == 0 {
            return cut;
        }
        if sum(&there) <= connected && give <= sum(&away) {
            self.cut_kind(AWAY, level(away, give), &mut cut);
        } else {
            let together = self.wherever();
            cut.is_wherever = true;
            together.cut_kind(ADDRESS, level(together.classes(ADDRESS), give), &mut cut);
        }
        cut
    }

    /// The same without a difference between who is connected and who is not.
    fn wherever(&self) -> Holdings {
        let mut together = Holdings::default();
        for (party, held) in &self.parties {
            let known = together.parties.entry(party.wherever()).or_default();
            known.parties = 1;
            known.merge(held);
        }
        for kind in [ADDRESS, AWAY] {
            together.others[ADDRESS].parties += self.others[kind].parties;
            together.others[ADDRESS].merge(&self.others[kind]);
        }
        together
    }

    /// Parties of a kind as so many holders.
    fn classes(&self, kind: usize) -> Vec<Class> {
        let of_kind = self
            .parties
            .iter()
            .filter(|(party, _)| party.kind() == kind);
        let named = of_kind.map(|(_, held)| held.as_class());
        named.chain([self.others[kind].as_class()]).collect()
    }

    /// Those of a kind who hold more come down to a share.
    fn cut_kind(&self, kind: usize, fair: u64, cut: &mut Cut) {
        let of_kind = |(party, _): &(&Party, &Held)| party.kind() == kind;
        for (&party, held) in self.parties.iter().filter(of_kind) {
            let gives = held.bytes > fair;
            let level = gives.then(|| held.level(held.bytes - fair));
            cut.levels.insert(party, level);
        }
        let others = &self.others[kind];
        let share = fair.saturating_mul(others.parties);
        if others.bytes > share {
            cut.others[kind] = Some(others.level(others.bytes - share));
        }
    }
}

/// Who gives way: the level that holders of a party come down to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Of those that were looked at one by one; `None` for who gives nothing.
    levels: HashMap<Party, Option<u64>, FixedState>,
    /// For the others, by kind.
    others: [Option<u64>; KINDS],
    /// Strangers who are away are looked up by their address alone.
    is_wherever: bool,
}

impl Cut {
    /// The bytes that a holder of this party comes down to; `None` if it may keep what it has.
    pub fn level(&self, party: Party) -> Option<u64> {
        let party = if self.is_wherever {
            party.wherever()
        } else {
            party
        };
        match self.levels.get(&party) {
            Some(&level) => level,
            None => self.others[party.kind()],
        }
    }

    /// Whether a holder of this party that has so many bytes is above what it comes down to; a few may be held by anybody.
    pub fn is_above(&self, party: Party, held: u64) -> bool {
        let level = self.level(party);
        level.is_some_and(|level| held > level.max(limits::BACKLOG_BYTES_MIN))
    }

    /// Bytes of memory, its own included.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.levels.allocation_size()
    }

    /// Whether nobody gives anything.
    pub fn is_empty(&self) -> bool {
        self.others
            .iter()
            .chain(self.levels.values())
            .all(Option::is_none)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn network(number: u32) -> Network {
        Network::of(Ipv4Addr::from_bits(number).into())
    }

    fn address(number: u32) -> Party {
        Party::Address(network(number))
    }

    fn away(number: u32) -> Party {
        Party::Away(network(number))
    }

    fn held(parties: &[(Party, &[u64])]) -> Holdings {
        let mut holdings = Holdings::default();
        for &(party, sizes) in parties {
            for &bytes in sizes {
                holdings.add(party, bytes);
            }
        }
        holdings
    }

    /// Who gives so many bytes of what is held.
    fn cut(holdings: &Holdings, bytes: u64, connected: u64) -> Cut {
        holdings.cut(bytes, holdings.bytes(), connected)
    }

    /// What is left of each, and all together.
    fn after(parties: &[(Party, &[u64])], cut: &Cut) -> (Vec<u64>, u64) {
        let left = |&(party, sizes): &(Party, &[u64])| {
            let level = cut.level(party).unwrap_or(u64::MAX);
            sizes.iter().map(|&bytes| bytes.min(level)).sum::<u64>()
        };
        let left: Vec<u64> = parties.iter().map(left).collect();
        let sum = left.iter().sum();
        (left, sum)
    }

    #[test]
    fn the_greatest_holder_of_a_party_gives_way_and_the_small_ones_give_nothing() {
        let sizes = [60 * MIB, 60 * MIB, 20 * MIB, 1000];
        let parties: [(Party, &[u64]); 1] = [(address(1), &sizes)];
        let cut = cut(&held(&parties), 10 * MIB, 0);
        assert_eq!(cut.level(address(1)), Some(55 * MIB));
        assert_eq!(after(&parties, &cut).1, 130 * MIB + 1000);
    }

    #[test]
    fn strangers_have_one_share_together_however_many_addresses_they_have() {
        let users = [4 * MIB, 5 * MIB];
        let strangers: Vec<(Party, [u64; 1])> = (0..1000)
            .map(|number| (address(number), [MIB / 10]))
            .collect();
        let mut parties: Vec<(Party, &[u64])> = strangers
            .iter()
            .map(|(party, sizes)| (*party, &sizes[..]))
            .collect();
        parties.push((Party::User(7), &users));
        let mut holdings = held(&parties);
        for is_shortened in [false, true] {
            if is_shortened {
                holdings.shorten();
            }
            let cut = cut(&holdings, 50 * MIB, 0);
            assert_eq!(cut.level(Party::User(7)), None);
            let (_, sum) = after(&parties, &cut);
            let wanted = 59 * MIB;
            assert!(sum <= wanted && sum > wanted - MIB, "{sum}");
        }
    }

    #[test]
    fn a_user_with_more_than_a_share_gives_way_to_strangers_who_have_less() {
        let holdings = held(&[
            (Party::User(1), &[90 * MIB]),
            (Party::User(2), &[3 * MIB]),
            (address(1), &[2 * MIB, 4 * MIB]),
        ]);
        let cut = cut(&holdings, 20 * MIB, 0);
        assert_eq!(cut.level(Party::User(1)), Some(70 * MIB));
        assert_eq!(cut.level(Party::User(2)), None);
        assert_eq!(cut.level(address(1)), None);
    }

    #[test]
    fn one_address_with_much_gives_way_before_many_with_little() {
        let mut parties: Vec<(Party, &[u64])> = (0..10_000)
            .map(|number| (address(number), &[10_000][..]))
            .collect();
        parties.push((address(u32::MAX), &[60 * MIB]));
        let mut holdings = held(&parties);
        holdings.shorten();
        let cut = cut(&holdings, 10 * MIB, 0);
        assert_eq!(cut.level(address(u32::MAX)), Some(50 * MIB));
        assert_eq!(cut.level(address(3)), None);
    }

    #[test]
    fn what_shards_hold_of_a_party_counts_together() {
        let mut one = held(&[(address(1), &[30 * MIB]), (address(2), &[40 * MIB])]);
        let other = held(&[(address(1), &[30 * MIB, 10])]);
        one.merge(&other);
        assert_eq!(one.bytes(), 100 * MIB + 10);
        let cut = cut(&one, 10 * MIB, 0);
        assert_eq!(cut.level(address(2)), None);
        assert_eq!(cut.level(address(1)), Some(25 * MIB));
    }

    #[test]
    fn nobody_gives_more_than_there_is() {
        let all = cut(&held(&[(address(1), &[10, 20])]), 1000, 0);
        assert_eq!(all.level(address(1)), Some(0));
        assert!(cut(&Holdings::default(), 1000, 0).is_empty());
        assert!(cut(&held(&[(Party::User(1), &[10])]), 0, 0).is_empty());
    }

    /// Shards are counted one after the other, and those that were counted first have filled the account since.
    #[test]
    fn who_is_within_a_share_gives_nothing_however_old_the_count_is() {
        let parties: [(Party, &[u64]); 2] = [
            (Party::User(1), &[3000, 5000]),
            (away(1), &[8 * MIB, 2 * MIB]),
        ];
        for (missing, strangers) in [(20 * MIB, 10 * MIB), (60 * MIB - 40_000, 20_000)] {
            let cut = held(&parties).cut(missing, 60 * MIB, 0);
            assert_eq!(cut.level(Party::User(1)), None, "{missing}");
            let (left, _) = after(&parties, &cut);
            assert!(left[1] >= strangers && left[1] <= 10 * MIB, "{left:?}");
        }
        // More is missing than there is: there are no shares.
        let cut = held(&parties).cut(60 * MIB, 60 * MIB, 0);
        assert_eq!(cut.level(Party::User(1)), Some(0));
    }

    #[test]
    fn strangers_who_are_connected_give_nothing_while_those_who_are_away_have_enough() {
        let holdings = held(&[
            (address(1), &[3 * MIB, 2 * MIB]),
            (away(1), &[MIB]),
            (away(2), &[4 * MIB]),
            (away(3), &[4 * MIB]),
        ]);
        let level = |cut: &Cut, party| cut.level(party).map(|bytes| bytes / MIB);
        let few = cut(&holdings, 2 * MIB, 5 * MIB);
        assert_eq!(level(&few, address(1)), None);
        assert_eq!(level(&few, away(1)), None);
        assert_eq!(level(&few, away(2)), Some(3));
        // They have more than is theirs, or it would not be enough: all are looked at alike.
        for (bytes, connected) in [(2 * MIB, 5 * MIB - 1), (10 * MIB, 5 * MIB)] {
            let alike = cut(&holdings, bytes, connected);
            assert!(alike.level(address(1)).is_some());
            assert_eq!(alike.level(address(1)), alike.level(away(1)));
        }
    }
}
