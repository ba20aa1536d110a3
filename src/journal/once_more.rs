//! What was read is more than there is room for: it is read once more, by who knows what of it matters at the end.
//!
//! The first time messages are held as long as there is room. Of a long history most are gone at its end, so that what is left may fit
//! although not all of it was held. The second time what nothing refers to at the end is not held at all. Retained messages have their own
//! room; of the rest those in flight come first, and of what waits the oldest is left out, as a session drops its oldest when memory is short:
//! so much of it that what is left fits at the next start as well.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::ledger::{Held, Ledger, LeftOut, Need, Needs, Room};
use super::legacy::Legacy;
use super::reading::Reading;
use crate::limits;

/// What was left out of all that was read, for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Retained messages.
    pub retained: u64,
    /// Other messages, each once however many sessions and shards it is for.
    pub others: u64,
    /// What all of them would cost (`Message::cost`).
    pub bytes: u64,
}

impl Missing {
    /// How many there are.
    pub fn messages(&self) -> u64 {
        self.retained + self.others
    }
}

/// What is more than waiting, by what all copies of a message have in common: what for, and what it costs.
type First = HashMap<u64, (Need, u64), FixedState>;

/// What the messages of a ledger are needed for besides waiting, by number.
fn needs_of(ledger: &Ledger) -> BTreeMap<u64, Need> {
    let mut needs = BTreeMap::new();
    for number in ledger.under_way() {
        needs.insert(number, Need::InFlight);
    }
    for number in ledger.retained_numbers() {
        needs.insert(number, Need::Retained);
    }
    needs
}

fn first(ledgers: &[(&Ledger, BTreeMap<u64, Need>)], held: &Held) -> First {
    let mut first = First::default();
    for (ledger, needs) in ledgers {
        for (number, LeftOut { id, bytes, .. }) in ledger.referred(held) {
            if let Some(&need) = needs.get(&number) {
                let (known, _) = first.entry(id).or_insert((need, bytes));
                *known = need.max(*known);
            }
        }
    }
    first
}

/// What messages of sessions are to come to, where they do not all fit.
#[derive(Clone, Copy, Debug)]
struct Aim {
    /// Bytes.
    bytes: u64,
    /// Bytes that count for each place in a queue, beside the message.
    place: u64,
}

impl Aim {
    /// So that it fits at the next start too. The account counts more than messages, and is short before it is full: filled to the brim, the
    /// sessions that take this up would give way at once.
    fn lasting(room: Room) -> Aim {
        let reserve = room.sessions / limits::SHARES_RESERVE_DIVISOR;
        let margin = room.sessions / limits::SHARES_MARGIN_DIVISOR;
        Aim {
            bytes: room.sessions - reserve - margin,
            place: limits::BACKLOG_ENTRY_BYTES,
        }
    }

    /// All the room that there is.
    #[cfg(test)]
    fn whole(room: Room) -> Aim {
        Aim {
            bytes: room.sessions,
            place: 0,
        }
    }
}

/// A message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    /// Its place among all.
    place: u64,
    /// What its copies have in common.
    id: u64,
    /// What it costs.
    bytes: u64,
}

/// What waits on a shard, in the order in which it came there, with places that are as far apart on all shards as they have messages: the
/// oldest half of one is as old as that of another. The order of the log is another one: a checkpoint writes old ones behind new ones.
fn waiting(ledger: &Ledger, first: &First, held: &Held, now: u64) -> Vec<Waiting> {
    let referred = ledger.referred(held);
    let waits = referred.filter(|(_, told)| !first.contains_key(&told.id) && told.expires_at > now);
    let mut waiting: Vec<Waiting> = waits
        .map(|(number, told)| Waiting {
            place: number,
            id: told.id,
            bytes: told.bytes,
        })
        .collect();
    waiting.sort_unstable_by_key(|one| one.place);
    let apart = u64::MAX / (waiting.len() as u64).max(1);
    for (rank, one) in (0..).zip(&mut waiting) {
        one.place = rank * apart;
    }
    waiting
}

/// In how many queues a message is, on all shards, by what its copies have in common.
fn places(
    ledgers: &[(&Ledger, BTreeMap<u64, Need>)],
    held: &Held,
) -> HashMap<u64, u64, FixedState> {
    let mut places = HashMap::<u64, u64, FixedState>::default();
    for (ledger, _) in ledgers {
        let ids = ledger
            .referred(held)
            .map(|(number, told)| (number, told.id));
        let ids: HashMap<u64, u64, FixedState> = ids.collect();
        let waiting = ledger.sessions().flat_map(|(_, session)| session.waiting());
        for id in waiting.filter_map(|(number, _)| ids.get(&number)) {
            *places.entry(*id).or_default() += 1;
        }
    }
    places
}

/// The oldest of what waits, as many as there is no room for, by what their copies have in common.
fn too_old(
    ledgers: &[(&Ledger, BTreeMap<u64, Need>)],
    first: &First,
    (held, aim): (&Held, Aim),
    now: u64,
) -> HashSet<u64, FixedState> {
    let in_flight = first.values().filter(|(need, _)| *need == Need::InFlight);
    let in_flight = in_flight.map(|(_, bytes)| bytes);
    let all = ledgers.iter();
    let mut all: Vec<_> = all
        .flat_map(|(ledger, _)| waiting(ledger, first, held, now))
        .collect();
    all.sort_unstable();
    let mut seen = HashSet::<u64, FixedState>::default();
    all.retain(|one| seen.insert(one.id));
    let waiting = all.iter().map(|one| &one.bytes);
    let bytes = in_flight
        .chain(waiting)
        .fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
    let mut too_old = seen;
    too_old.clear();
    if bytes <= held.room().sessions {
        return too_old;
    }
    let places = places(ledgers, held);
    let in_queues = |id| places.get(&id).map_or(0, |count| count * aim.place);
    let queues = places.values().sum::<u64>().saturating_mul(aim.place);
    let mut surplus = bytes.saturating_add(queues).saturating_sub(aim.bytes);
    for one in all {
        if surplus == 0 {
            break;
        }
        too_old.insert(one.id);
        surplus = surplus.saturating_sub(one.bytes + in_queues(one.id));
    }
    too_old
}

/// What was left out, by what all copies of a message have in common.
pub fn missing(legacy: &Legacy) -> Missing {
    let mut missing = Missing::default();
    let mut seen = HashSet::<u64, FixedState>::default();
    for ledger in legacy.ledgers() {
        let retained = ledger.retained_numbers();
        let retained: HashSet<u64, FixedState> = retained
            .filter(|&number| ledger.is_left_out(number))
            .collect();
        for (number, LeftOut { id, bytes, .. }) in ledger.left_out() {
            if seen.insert(id) {
                let is_retained = retained.contains(&number);
                missing.retained += u64::from(is_retained);
                missing.others += u64::from(!is_retained);
                missing.bytes = missing.bytes.saturating_add(bytes);
            }
        }
    }
    missing
}

/// Whether something was left out: then it is to be read [`once_more`].
pub fn is_short(legacy: &Legacy) -> bool {
    legacy
        .ledgers()
        .any(|ledger| ledger.left_out().next().is_some())
}

/// All has been read, and something was left out: this one is to be fed the same from the beginning, and holds what is needed at
/// the end only. `now` is milliseconds since 1970: what waits and has expired by then is not needed.
#[must_use = "nothing of it has been read"]
pub fn once_more(legacy: Legacy, now: u64) -> Legacy {
    let aim = Aim::lasting(legacy.held().room());
    aiming(legacy, aim, now)
}

fn aiming(legacy: Legacy, aim: Aim, now: u64) -> Legacy {
    let held = legacy.held();
    let ledgers = legacy.ledgers().map(|ledger| (ledger, needs_of(ledger)));
    let ledgers: Vec<_> = ledgers.collect();
    let first = first(&ledgers, held);
    let streams = ledgers.iter().map(|(ledger, _)| {
        let mut needs = Needs {
            now,
            ..Needs::default()
        };
        for (number, LeftOut { id, .. }) in ledger.referred(held) {
            // In flight on one shard, it may wait on another.
            let need = first.get(&id).map_or(Need::Waiting, |(need, _)| *need);
            needs.by_number.insert(number, need);
        }
        Reading::needing(needs)
    });
    let streams = streams.collect();
    let held = held.again(too_old(&ledgers, &first, (held, aim), now));
    Legacy::again(streams, held)
}

#[cfg(test)]
mod tests;
