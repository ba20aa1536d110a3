//! What a start has to do of what was on its way between shards when the run ended.
//!
//! Messages come in the order in which they would have come. What the owner of a topic had still to pass on is behind all that was
//! handed over: behind what it had passed on before, and what went straight before that (docs/decisions/0505). Its own sessions have
//! it in its turn.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::ledger::Ledger;
use super::legacy::{InTransit, Legacy};
use super::record::Errand;
use crate::mqtt::message::Message;
use crate::mqtt::topic;
use crate::routing::EntryOptions;

/// Something that is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone<'a> {
    /// Whose the message is: its number is of this shard's ledger.
    pub from: u8,
    /// The number of the message.
    pub number: u64,
    /// What is to become of it.
    pub deed: Deed<'a>,
}

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed<'a> {
    /// It is for the sessions that lived on these shards, as bits, by their own subscriptions.
    Deliver { shards: u64 },
    /// It is for this client, by a shared subscription.
    Share {
        client_id: &'a str,
        options: EntryOptions,
    },
    /// It is to be retained; with an empty payload, or where there is no room for it, it takes away what is.
    Retain,
}

/// The share name and the filter of a shared subscription.
type Names<'a> = (&'a str, &'a str);

/// The shared subscriptions that have members.
struct Groups<'a> {
    /// In the order of their client identifiers.
    members: BTreeMap<Names<'a>, Vec<(&'a str, EntryOptions)>>,
    /// By owner, each once.
    owned: Vec<Vec<Names<'a>>>,
}

impl<'a> Groups<'a> {
    fn of(legacy: &'a Legacy) -> Groups<'a> {
        let mut members = BTreeMap::<Names<'a>, Vec<_>>::new();
        for (_, session) in legacy.ledgers().flat_map(Ledger::sessions) {
            if session.expiry_s == 0 {
                continue; // it ended with the process
            }
            for ((share, filter), &options) in &session.subscriptions {
                if let Some(share) = share {
                    let known = members.entry((&**share, &**filter)).or_default();
                    known.push((&*session.client_id, options));
                }
            }
        }
        for known in members.values_mut() {
            known.sort_unstable_by_key(|&(client_id, _)| client_id);
        }
        let owned = legacy.ledgers().map(|ledger| {
            let named = ledger.groups().filter(|names| members.contains_key(names));
            let mut named: Vec<_> = named.collect();
            // One that had ended and come again has had several numbers.
            named.sort_unstable();
            named.dedup();
            named
        });
        let owned = owned.collect();
        Groups { members, owned }
    }

    /// The member that gets a message: whoever asks, it is the same one.
    fn choose(&self, names: Names<'a>, message: &Message) -> Option<Deed<'a>> {
        let members = self.members.get(&names)?;
        let turn = FixedState::with_seed(0).hash_one(message.topic.as_str()) ^ message.origin;
        let at = turn.checked_rem(members.len() as u64)?;
        let (client_id, options) = members[at as usize];
        Some(Deed::Share { client_id, options })
    }

    /// The members of the shared subscriptions of these shards that want a message.
    fn choose_all(&self, shards: u64, message: &Message) -> impl Iterator<Item = Deed<'a>> {
        let owners = self.owned.iter().enumerate();
        let owners = owners.filter(move |(owner, _)| shards >> owner & 1 != 0);
        let names = owners.flat_map(|(_, names)| names);
        let wanting = names.filter(|(_, filter)| topic::matches(filter, &message.topic));
        wanting.filter_map(|&names| self.choose(names, message))
    }
}

impl Legacy {
    /// What is to be done of what was on its way, in this order.
    pub fn undone(&self) -> Vec<Undone<'_>> {
        let all = self.in_transit();
        if all.is_empty() {
            return Vec::new();
        }
        let groups = Groups::of(self);
        let (mut undone, mut passed_on) = (Vec::new(), Vec::new());
        for one in all {
            let InTransit { from, to, handed } = one;
            let number = handed.number;
            let of = |deed| Undone { from, number, deed };
            let known = self.ledger(from).and_then(|ledger| ledger.message(number));
            let Some(kept) = known else {
                undone.extend(self.takes_away(&one).then(|| of(Deed::Retain)));
                continue;
            };
            let deliver = |shards: u64| {
                let own = (shards != 0).then_some(Deed::Deliver { shards });
                let shared = groups.choose_all(shards, &kept.message);
                own.into_iter().chain(shared).map(of)
            };
            let is_kept = !topic::is_sys(&kept.message.topic);
            let retain = is_kept.then(|| of(Deed::Retain));
            let there = 1 << to;
            match handed.errand {
                Errand::Deliver => undone.extend(deliver(there)),
                Errand::Retain => undone.extend(retain),
                Errand::PassOn { targets, retains } => {
                    undone.extend(deliver(targets & there));
                    undone.extend(retain.filter(|_| retains));
                    passed_on.extend(deliver(targets & !there));
                }
                Errand::Share { owner, group } => {
                    let names = self.ledger(owner).and_then(|owner| owner.group(group));
                    let deed = names.and_then(|names| groups.choose(names, &kept.message));
                    undone.extend(deed.map(of));
                }
            }
        }
        undone.append(&mut passed_on);
        undone
    }

    /// Whether it is a message that there was no room for, and that takes the place of a retained one all the same.
    fn takes_away(&self, one: &InTransit) -> bool {
        let (number, ledger) = (one.handed.number, self.ledger(one.from));
        let retains = match one.handed.errand {
            Errand::Retain => true,
            Errand::PassOn { retains, .. } => retains,
            Errand::Deliver | Errand::Share { .. } => false,
        };
        let topic = ledger.filter(|ledger| ledger.is_left_out(number));
        let topic = topic.and_then(|ledger| ledger.topic(number));
        retains && topic.is_some_and(|topic| !topic::is_sys(topic))
    }
}
