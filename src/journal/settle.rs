//! What was on its way between shards is with whom it was for, as after a start: for who wants all that a run has left, and has no broker.
//!
//! Rules and bounds are a broker's, and are not asked here. What a session would be granted with QoS 0 is not kept for it, as it is away.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::error::Broken;
use super::ledger::{KeptMessage, Ledger};
use super::legacy::Legacy;
use super::members::Members;
use super::message::MessageText;
use super::record::Record;
use super::undone::{Deed, Undone};
use crate::mqtt::{Property, topic};
use crate::routing::{EntryOptions, Together};
use crate::session::{Origin, Way};

/// A message, and what is to become of it.
struct Order {
    kept: KeptMessage,
    what: What,
}

enum What {
    /// It waits for these.
    Wait(Waiting),
    /// It is retained in the ledger of this shard.
    Retain(u8),
}

/// Sessions for which a message waits, by their shard and, where those are several, their subscription identifiers.
type Waiting = BTreeMap<(u8, Vec<u32>), Vec<(u32, Way)>>;

/// Of one shard: by filter the sessions that have subscribed to it, with their serials.
type Subscribers<'a> = BTreeMap<&'a str, Vec<(u32, u64, EntryOptions)>>;

fn subscribers(ledger: &Ledger) -> Subscribers<'_> {
    let mut all = Subscribers::new();
    for (number, session) in ledger.sessions() {
        for ((share, filter), &options) in &session.subscriptions {
            if share.is_none() {
                let of_filter = all.entry(filter).or_default();
                of_filter.push((number, session.serial, options));
            }
        }
    }
    all
}

fn add(
    waiting: &mut Waiting,
    (shard, ids): (u8, Vec<u32>),
    one: (u32, EntryOptions),
    of: &KeptMessage,
) {
    let (session, options) = one;
    let grant = options.grant(of.message.qos, of.message.retain);
    if !grant.is_qos0() {
        let origin = Origin::ORDINARY;
        let all = waiting.entry((shard, ids)).or_default();
        all.push((session, Way { grant, origin }));
    }
}

/// Adds each session of a shard that a message is for, once, with what its subscriptions grant together (MQTT-3.3.4-2).
fn add_matching(waiting: &mut Waiting, shard: u8, all: &Subscribers<'_>, kept: &KeptMessage) {
    let message = &kept.message;
    let mut found = BTreeMap::<u32, Vec<EntryOptions>>::new();
    let wanting = all
        .iter()
        .filter(|(filter, _)| topic::matches(filter, &message.topic));
    for &(session, serial, options) in wanting.flat_map(|(_, sessions)| sessions) {
        if !options.no_local() || serial != message.origin {
            found.entry(session).or_default().push(options);
        }
    }
    for (session, subscriptions) in found {
        let Together { options, ids } = EntryOptions::together(subscriptions.iter().copied());
        add(waiting, (shard, ids.to_vec()), (session, options), kept);
    }
}

/// All that is to be done, in its order.
fn orders(legacy: &Legacy) -> Vec<Order> {
    let undone = legacy.undone();
    if undone.is_empty() {
        return Vec::new();
    }
    let all: Vec<_> = legacy.ledgers().map(subscribers).collect();
    let mut clients = BTreeMap::<&str, (u8, u32)>::new();
    for (shard, ledger) in (0u8..).zip(legacy.ledgers()) {
        let sessions = ledger.sessions();
        clients.extend(sessions.map(|(number, kept)| (&*kept.client_id, (shard, number))));
    }
    let order = |Undone { from, number, deed }| {
        let kept = legacy.ledger(from)?.message(number)?.clone();
        let mut waiting = Waiting::new();
        match deed {
            Deed::Deliver { shards } => {
                let there = (0u8..).zip(&all);
                for (shard, all) in there.filter(|(shard, _)| shards >> shard & 1 != 0) {
                    add_matching(&mut waiting, shard, all, &kept);
                }
            }
            Deed::Share { client_id, options } => {
                let &(shard, session) = clients.get(client_id)?;
                add(&mut waiting, (shard, Vec::new()), (session, options), &kept);
            }
            Deed::Retain => {
                let what = What::Retain(from);
                return Some(Order { kept, what });
            }
        }
        let what = What::Wait(waiting);
        Some(Order { kept, what })
    };
    undone.into_iter().filter_map(order).collect()
}

impl Legacy {
    /// Nothing is on its way between shards any more.
    ///
    /// # Errors
    /// What was on its way does not fit what else there is.
    pub fn settle(&mut self) -> Result<(), Broken> {
        let orders = orders(self);
        self.forget_all_handed()?;
        let numbers = self.ledgers().map(Ledger::next_number);
        let mut numbers: Vec<u64> = numbers.collect();
        for Order { kept, what } in &orders {
            match what {
                What::Wait(waiting) => self.let_wait(kept, waiting, &mut numbers)?,
                What::Retain(shard) => self.retain(kept, *shard, &mut numbers)?,
            }
        }
        Ok(())
    }

    fn let_wait(
        &mut self,
        kept: &KeptMessage,
        waiting: &Waiting,
        numbers: &mut [u64],
    ) -> Result<(), Broken> {
        for (&(shard, ref ids), sessions) in waiting {
            let properties = with_ids(ids, &kept.message.properties);
            let (ledger, number) = self.add(shard, kept, &properties, numbers)?;
            for &(session, way) in sessions {
                let members = Members::One(session);
                ledger.apply(&Record::Queued {
                    number,
                    way,
                    members,
                })?;
            }
        }
        Ok(())
    }

    /// In the place of what is retained, wherever that is.
    fn retain(&mut self, kept: &KeptMessage, shard: u8, numbers: &mut [u64]) -> Result<(), Broken> {
        let topic = kept.message.topic.as_str();
        for other in 0..numbers.len() as u8 {
            if let Some(ledger) = self.ledger_mut(other) {
                ledger.apply(&Record::RetainedRemoved { topic })?;
            }
        }
        if !kept.message.payload.is_empty() {
            let (ledger, number) = self.add(shard, kept, &kept.message.properties, numbers)?;
            ledger.apply(&Record::RetainedStored { number })?;
        }
        Ok(())
    }

    /// Adds a message to a ledger, under the next of the `numbers`. Returns both.
    fn add(
        &mut self,
        shard: u8,
        kept: &KeptMessage,
        properties: &[u8],
        numbers: &mut [u64],
    ) -> Result<(&mut Ledger, u64), Broken> {
        let next = numbers.get_mut(usize::from(shard));
        let next = next.ok_or(Broken::Number)?;
        let ledger = self.ledger_mut(shard).ok_or(Broken::Number)?;
        let message = MessageText {
            properties,
            ..MessageText::of(&kept.message, kept.expires_at())
        };
        let number = *next;
        ledger.apply(&Record::Message { number, message })?;
        *next += 1;
        Ok((ledger, number))
    }
}

/// Several subscription identifiers stand in the properties (MQTT-3.3.4-4).
fn with_ids(ids: &[u32], properties: &Bytes) -> Bytes {
    if ids.is_empty() {
        return properties.clone();
    }
    let mut all = Vec::new();
    for &id in ids {
        Property::SubscriptionIdentifier(id).encode(&mut all);
    }
    all.extend_from_slice(properties);
    all.into()
}
