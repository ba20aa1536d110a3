//! Sets of sessions: who a message is for, who has acknowledged it.
//!
//! A hundred thousand sessions that get the same messages are told once: a set is written with its members, and remembered under a
//! number; later records name the number. To find a set again its members need not be kept: a sum of hashes over them tells it,
//! whatever their order (`Sum`). Numbers count upwards from 0 until all are forgotten (`Record::SetsForgotten`).
//!
//! Members are written as runs of session numbers: the distance from the end of the run before, and the length.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::bytes::{Reader, put_near, put_number};
use super::error::Broken;
use crate::limits;

/// Who a record is about. What is written borrows them, what was read owns them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members<'a> {
    /// One session.
    One(u32),
    /// A set that was written before.
    Known(u64),
    /// These, who are remembered under the next number.
    New(Cow<'a, [u32]>),
    /// These, who are not remembered.
    Once(Cow<'a, [u32]>),
}

/// What stands in front; what follows a known set is its number, less one.
const ONE: u64 = 0;
const NEW: u64 = 1;
const ONCE: u64 = 2;
const KNOWN: u64 = 3;

impl Members<'_> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Members::One(session) => {
                put_number(out, ONE);
                put_number(out, u64::from(*session));
            }
            Members::New(members) => {
                put_number(out, NEW);
                put_runs(out, members);
            }
            Members::Once(members) => {
                put_number(out, ONCE);
                put_runs(out, members);
            }
            Members::Known(number) => put_number(out, KNOWN + number),
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Broken> {
        Ok(match reader.number()? {
            ONE => Members::One(reader.small()?),
            NEW => Members::New(read_runs(reader)?.into()),
            ONCE => Members::Once(read_runs(reader)?.into()),
            number => Members::Known(number - KNOWN),
        })
    }
}

/// Calls for each run of numbers that follow each other.
fn each_run(members: &[u32], mut then: impl FnMut(u32, u64)) {
    let mut rest = members;
    while let Some((&first, _)) = rest.split_first() {
        let same = |&(index, &member): &(usize, &u32)| {
            u64::from(member) == u64::from(first) + index as u64
        };
        let len = rest.iter().enumerate().take_while(same).count();
        then(first, len as u64);
        rest = &rest[len..];
    }
}

fn put_runs(out: &mut Vec<u8>, members: &[u32]) {
    put_number(out, members.len() as u64);
    let mut end = 0;
    each_run(members, |first, len| {
        put_near(out, end, u64::from(first));
        put_number(out, len);
        end = u64::from(first) + len;
    });
}

fn read_runs(reader: &mut Reader<'_>) -> Result<Vec<u32>, Broken> {
    let count = reader.number()?;
    if count > limits::JOURNAL_MEMBERS_MAX {
        return Err(Broken::Number);
    }
    let mut members = Vec::new();
    let mut end = 0;
    while (members.len() as u64) < count {
        let first = reader.near(end)?;
        let len = reader.number()?;
        end = first.checked_add(len).ok_or(Broken::Number)?;
        let left = count - members.len() as u64;
        if len == 0 || len > left || end > u64::from(u32::MAX) {
            return Err(Broken::Number);
        }
        members.extend((first..end).map(|member| member as u32));
    }
    Ok(members)
}

/// Tells sets apart: the sum of a hash of each member, so that their order does not matter. Sets with the same sum by chance are
/// one in 2^64 of pairs, as long as nobody knows the seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sum {
    sum: u64,
    count: u32,
}

impl Sum {
    /// One more member.
    #[inline]
    pub fn add(&mut self, member: u32, seed: u64) {
        self.sum = self.sum.wrapping_add(mixed(u64::from(member) ^ seed));
        self.count = self.count.wrapping_add(1);
    }
}

/// The finalizer of MurmurHash3 (Appleby, in the public domain): each bit of the input changes each of the output with even odds.
#[inline]
fn mixed(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

/// The sets that were written.
#[derive(Debug)]
pub struct Sets {
    known: HashMap<Sum, u64, FixedState>,
    seed: u64,
}

impl Sets {
    /// None are known. Nobody who chooses who is in a set may know the seed.
    pub fn new(seed: u64) -> Self {
        let state = FixedState::with_seed(seed);
        Sets {
            // Two numbers that follow from each other would let the one be told from the other.
            seed: state.hash_one(seed),
            known: HashMap::with_hasher(state),
        }
    }

    /// What sums are made with.
    #[inline]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How to write these members, of whom this is the sum. A set that is written the first time is remembered if it is large enough.
    pub fn members<'a>(&mut self, members: &'a [u32], sum: Sum) -> Members<'a> {
        if let [session] = *members {
            return Members::One(session);
        }
        if members.len() < limits::JOURNAL_SET_MIN {
            return Members::Once(members.into());
        }
        let next = self.known.len() as u64;
        match self.known.entry(sum) {
            hashbrown::hash_map::Entry::Occupied(entry) => Members::Known(*entry.get()),
            hashbrown::hash_map::Entry::Vacant(entry) => {
                entry.insert(next);
                Members::New(members.into())
            }
        }
    }

    /// Whether the set of which this is the sum is remembered.
    pub fn knows(&self, sum: Sum) -> bool {
        self.known.contains_key(&sum)
    }

    /// Whether so many are remembered that all are to be forgotten.
    pub fn is_full(&self) -> bool {
        self.known.len() >= limits::JOURNAL_SETS_MAX
    }

    /// All are forgotten.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        self.known.allocation_size()
    }
}

/// The sets that were read.
#[derive(Clone, Debug, Default)]
pub struct SetsRead {
    known: Vec<Box<[u32]>>,
}

impl SetsRead {
    /// Who is meant; a new set is remembered.
    pub fn resolve<'a>(&'a mut self, members: &'a Members<'_>) -> Result<&'a [u32], Broken> {
        match members {
            Members::One(session) => Ok(std::slice::from_ref(session)),
            Members::Once(members) => Ok(members),
            Members::New(members) => {
                self.known.push(members.as_ref().into());
                Ok(members)
            }
            Members::Known(number) => {
                let index = usize::try_from(*number).map_err(|_| Broken::List(*number))?;
                self.known
                    .get(index)
                    .map(|members| &**members)
                    .ok_or(Broken::List(*number))
            }
        }
    }

    /// All are forgotten.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(members: &[u32], seed: u64) -> Sum {
        let mut sum = Sum::default();
        members.iter().for_each(|&member| sum.add(member, seed));
        sum
    }

    proptest! {
        #[test]
        fn members_come_back(members in proptest::collection::vec(0u32..1 << 20, 0..200)) {
            for written in [Members::New((&members).into()), Members::Once((&members).into()), Members::Known(7), Members::One(9)] {
                let mut bytes = Vec::new();
                written.encode(&mut bytes);
                let mut reader = Reader::new(&bytes);
                let read = Members::decode(&mut reader).unwrap();
                prop_assert_eq!(read, written);
                prop_assert_eq!(reader.left(), 0);
            }
        }

        #[test]
        fn a_set_is_found_again_in_any_order(
            mut members in proptest::collection::hash_set(0u32..5_000, 10..200),
            seed: u64,
        ) {
            let mut sets = Sets::new(seed);
            let seed = sets.seed();
            let one: Vec<u32> = members.iter().copied().collect();
            prop_assert!(matches!(sets.members(&one, sum(&one, seed)), Members::New(_)));
            let mut other = one.clone();
            other.sort_unstable();
            prop_assert_eq!(sets.members(&other, sum(&other, seed)), Members::Known(0));
            let gone = one[0];
            members.remove(&gone);
            let fewer: Vec<u32> = members.into_iter().collect();
            prop_assert!(matches!(sets.members(&fewer, sum(&fewer, seed)), Members::New(_)));
        }
    }

    #[test]
    fn many_who_follow_each_other_take_few_bytes() {
        let members: Vec<u32> = (1_000..101_000).collect();
        let mut bytes = Vec::new();
        Members::New(members.into()).encode(&mut bytes);
        assert!(bytes.len() < 12, "{} bytes", bytes.len());
    }

    #[test]
    fn a_run_that_is_longer_than_there_are_numbers_is_refused() {
        let mut bytes = Vec::new();
        for number in [ONCE, 5, 0, 1] {
            put_number(&mut bytes, number);
        }
        put_near(&mut bytes, 1, 0);
        put_number(&mut bytes, u64::MAX);
        let read = Members::decode(&mut Reader::new(&bytes));
        assert_eq!(read, Err(Broken::Number));
    }

    #[test]
    fn a_count_that_lies_takes_no_memory() {
        let mut bytes = Vec::new();
        put_number(&mut bytes, NEW);
        put_number(&mut bytes, limits::JOURNAL_MEMBERS_MAX);
        let read = Members::decode(&mut Reader::new(&bytes));
        assert_eq!(read, Err(Broken::Short));
    }
}
