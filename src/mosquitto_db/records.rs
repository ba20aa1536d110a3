//! From a database to the records of one shard that had left the same.
//!
//! A message comes before what refers to it, and one to which nothing does not at all: whoever reads the records holds no more than what is
//! referred to, and leaves out what it has no room for. Turns are short for the same reason.

use std::collections::BTreeSet;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::layout::STAND_IN_TOPIC;
use super::model::{Client, Database, Delivery, Stage, Stored, Subscription};
use super::properties::joined;
use crate::journal::{AuthorText, Errand, Members, MessageText, Record, SubscriptionText};
use crate::mqtt::{QoS, topic};
use crate::routing::EntryOptions;
use crate::session::{EXPIRY_NEVER, Origin, SHARED_ID_BIT, SHARED_IDS, Way};

/// The shard whose records they are.
const OWN: u8 = 0;

/// What was told of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Sessions, whose clients are all away.
    pub sessions: u64,
    /// Retained messages.
    pub retained: u64,
    /// What is left out.
    pub left_out: LeftOut,
}

/// What of a database no broker would have after a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Sessions that end with their connections, and what is theirs.
    pub sessions: u64,
    /// Messages that have expired. Nothing counts what referred to them.
    pub expired: u64,
    /// Messages that clients were to have, or that were retained, and that are not in the file.
    pub missing: u64,
}

impl LeftOut {
    /// A line for each kind of what is left out.
    pub fn lines(&self) -> Vec<String> {
        let counts = [
            (self.sessions, "sessions that end with their connection"),
            (self.expired, "messages that have expired"),
            (
                self.missing,
                "messages that the file refers to and does not have",
            ),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

/// See [`Database::tell`].
pub(super) fn tell<E>(
    database: &Database<'_>,
    now: u64,
    listeners: &[(u16, String)],
    to: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<Told, E> {
    let durable = database.clients.iter().filter(|client| client.expiry_s > 0);
    let serials = (1..).zip(durable.clone());
    let mut telling = Telling {
        to,
        told: Told::default(),
        now,
        names: listeners,
        serials: serials
            .map(|(serial, client)| (client.id, serial))
            .collect(),
        known: HashMap::default(),
        written: HashSet::default(),
        own: HashMap::default(),
        own_bytes: database.messages.iter().map(|one| one.payload.len()).sum(),
        next_number: 0,
        order: 0,
        to_route: Vec::new(),
    };
    telling.told.sessions = telling.serials.len() as u64;
    telling.told.left_out.sessions = (database.clients.len() - telling.serials.len()) as u64;
    telling.number(database);
    for (session, client) in (0..).zip(durable.clone()) {
        telling.client(session, client)?;
    }
    telling.retained(database)?;
    telling.route(durable)?;
    Ok(telling.told)
}

/// Where a message of the file is.
enum Place<'a> {
    /// It has this number.
    Kept(u64, &'a Stored<'a>),
    /// Nowhere: it has expired.
    Expired,
}

struct Telling<'a, F> {
    to: F,
    told: Told,
    now: u64,
    names: &'a [(u16, String)],
    serials: HashMap<&'a str, u64, FixedState>,
    known: HashMap<u64, Place<'a>, FixedState>,
    /// Messages that were told.
    written: HashSet<u64, FixedState>,
    /// Messages of their own, for those with several subscription identifiers.
    own: HashMap<(u64, &'a [u32]), u64, FixedState>,
    /// Bytes of payloads of which messages of their own may be made: as many as the file has.
    own_bytes: usize,
    next_number: u64,
    /// Of the last frame.
    order: u64,
    /// Messages with QoS 2 that clients have sent and not released, in their order. Mosquitto routes at PUBREL and has routed none of
    /// them. Here a message is routed when it comes, so that these are to be routed once all sessions are there, or they are lost: their
    /// identifiers are kept, and a repetition is nothing new.
    to_route: Vec<&'a Stored<'a>>,
}

impl<'a, E, F: FnMut(&Record<'_>) -> Result<(), E>> Telling<'a, F> {
    fn tell(&mut self, record: Record<'_>) -> Result<(), E> {
        (self.to)(&record)
    }

    /// What was told since the last end happened together.
    fn end(&mut self) -> Result<(), E> {
        self.tell(Record::TurnEnded)
    }

    /// The name of the listener with this port. If there is none, it is as if one of this port had been closed.
    fn listener(&self, port: u16) -> String {
        let name = self.names.iter().find(|&&(known, _)| known == port);
        name.map_or_else(|| format!("*:{port}"), |(_, name)| name.clone())
    }

    /// All messages that have not expired have numbers, in the order in which they came.
    fn number(&mut self, database: &'a Database<'_>) {
        let mut stored: Vec<&Stored<'_>> = database.messages.iter().collect();
        stored.sort_unstable_by_key(|stored| stored.number);
        for stored in stored {
            let place = match milliseconds(stored.expires_at_s) {
                Some(at) if at <= self.now => {
                    self.told.left_out.expired += 1;
                    Place::Expired
                }
                _ => {
                    self.next_number += 1;
                    Place::Kept(self.next_number - 1, stored)
                }
            };
            self.known.insert(stored.number, place);
        }
    }

    /// A message of the file is told, unless it was.
    fn message(&mut self, number: u64, stored: &Stored<'_>) -> Result<(), E> {
        match self.written.insert(number) {
            true => self.text(number, stored, &stored.properties),
            false => Ok(()),
        }
    }

    /// A message of its own is told, with these properties; returns its number.
    fn own_message(&mut self, stored: &Stored<'_>, properties: &[u8]) -> Result<u64, E> {
        let number = self.next_number;
        self.next_number += 1;
        self.text(number, stored, properties)?;
        Ok(number)
    }

    fn text(&mut self, number: u64, stored: &Stored<'_>, properties: &[u8]) -> Result<(), E> {
        let source = stored.source;
        let listener = self.listener(source.port);
        // What the broker itself says is nobody's.
        let client_id = source.client_id.filter(|_| stored.retain);
        let message = MessageText {
            topic: stored.topic,
            payload: stored.payload,
            properties,
            qos: stored.qos,
            retain: stored.retain,
            expires_at: milliseconds(stored.expires_at_s),
            origin: source
                .client_id
                .and_then(|id| self.serials.get(id).copied())
                .unwrap_or(0),
            author: client_id.map(|id| AuthorText {
                user: source.user,
                listener: &listener,
                client_id: Some(id),
            }),
        };
        self.tell(Record::Message { number, message })
    }

    fn client(&mut self, session: u32, client: &'a Client<'_>) -> Result<(), E> {
        self.tell(Record::Opened {
            session,
            serial: u64::from(session) + 1,
            client_id: client.id,
        })?;
        let listener = self.listener(client.port);
        self.tell(Record::Identified {
            session,
            user: client.user,
            listener: &listener,
        })?;
        self.tell(Record::ExpirySet {
            session,
            seconds: client.expiry_s,
        })?;
        // Who was there when the file was written goes away now.
        let ends_at = match (client.ends_at_s, client.expiry_s) {
            (0, EXPIRY_NEVER) => None,
            (0, seconds) => Some(self.now.saturating_add(u64::from(seconds) * 1000)),
            (at, _) => milliseconds(at),
        };
        self.tell(Record::Away { session, ends_at })?;
        for subscription in &client.subscriptions {
            let (to, options) = told(subscription);
            self.tell(Record::Subscribed {
                session,
                to,
                options,
            })?;
        }
        for delivery in &client.deliveries {
            self.delivery(session, delivery)?;
            self.end()?;
        }
        self.end()
    }

    fn delivery(&mut self, session: u32, delivery: &'a Delivery) -> Result<(), E> {
        let (id, stage) = (delivery.id, delivery.stage);
        if stage == Stage::Inbound {
            self.tell(Record::InboundStored { session, id })?;
        }
        let kept = match self.known.get(&delivery.number) {
            Some(&Place::Kept(number, stored)) => Some((number, stored)),
            Some(Place::Expired) => None,
            None => {
                self.told.left_out.missing += 1;
                None
            }
        };
        let (Some((number, stored)), Stage::Waits | Stage::Sent | Stage::Inbound) = (kept, stage)
        else {
            return self.without_message(session, delivery);
        };
        if stage == Stage::Inbound {
            // One that is a stand-in has been routed.
            let is_to_route = stored.topic != STAND_IN_TOPIC;
            self.to_route.extend(is_to_route.then_some(stored));
            return Ok(());
        }
        let (number, subscription_id) = match &delivery.subscription_ids[..] {
            [] => (number, 0),
            &[id] => (number, id),
            ids => self.with_ids((number, stored), ids)?,
        };
        self.message(number, stored)?;
        let way = way_of(delivery.qos, delivery.retain, subscription_id);
        match stage {
            Stage::Waits => self.tell(Record::Queued {
                number,
                way,
                members: Members::One(session),
            }),
            _ => {
                let order = self.next_order(id);
                self.tell(Record::SentAlone {
                    session,
                    number,
                    order,
                    id,
                    way,
                })
            }
        }
    }

    /// Several subscription identifiers make a message of its own, with them among its properties. If there would be too many of such,
    /// the last identifier stands for all, as it does with Mosquitto 2.1. Returns the number, and what else is to be told.
    fn with_ids(
        &mut self,
        (number, stored): (u64, &Stored<'_>),
        ids: &'a [u32],
    ) -> Result<(u64, u32), E> {
        if let Some(&own) = self.own.get(&(number, ids)) {
            return Ok((own, 0));
        }
        let Some(left) = self.own_bytes.checked_sub(stored.payload.len()) else {
            return Ok((number, ids.last().copied().unwrap_or(0)));
        };
        self.own_bytes = left;
        let own = self.own_message(stored, &joined(ids, &stored.properties))?;
        self.written.insert(own);
        self.own.insert((number, ids), own);
        Ok((own, 0))
    }

    /// A message that is not sent again, and what the client may still hold of it: with QoS 2 its identifier, until that is released.
    fn without_message(&mut self, session: u32, delivery: &Delivery) -> Result<(), E> {
        let is_held = matches!(delivery.stage, Stage::Sent | Stage::Received);
        if !is_held || delivery.qos != QoS::ExactlyOnce {
            return Ok(());
        }
        let order = self.next_order(delivery.id);
        self.tell(Record::SentBare {
            session,
            order,
            id: delivery.id,
            way: way_of(delivery.qos, delivery.retain, 0),
        })?;
        match delivery.stage {
            Stage::Received => self.tell(Record::Received { session, order }),
            _ => Ok(()),
        }
    }

    /// An order behind all others; one that an identifier follows from which many could share, if this is such a one.
    fn next_order(&mut self, id: u16) -> u64 {
        self.order += 1;
        if id & SHARED_ID_BIT != 0 {
            let place = u64::from(id & !SHARED_ID_BIT);
            self.order += (place + SHARED_IDS - self.order % SHARED_IDS) % SHARED_IDS;
        }
        self.order
    }

    fn retained(&mut self, database: &'a Database<'_>) -> Result<(), E> {
        // Of several messages of a topic the last one counts.
        let mut last = HashMap::<&str, u64, FixedState>::default();
        for number in &database.retained {
            match self.known.get(number) {
                Some(&Place::Kept(number, stored)) => {
                    last.insert(stored.topic, number);
                }
                Some(Place::Expired) => {}
                None => self.told.left_out.missing += 1,
            }
        }
        for number in &database.retained {
            let Some(&Place::Kept(number, stored)) = self.known.get(number) else {
                continue;
            };
            // What has no payload is no retained message (MQTT-3.3.1-10); `$SYS` is each broker's own.
            let is_retained = !stored.payload.is_empty() && !topic::is_sys(stored.topic);
            if last.get(stored.topic) == Some(&number) && is_retained {
                last.remove(stored.topic);
                self.message(number, stored)?;
                self.tell(Record::RetainedStored { number })?;
                self.end()?;
                self.told.retained += 1;
            }
        }
        Ok(())
    }

    /// What is still to be routed is handed to the shard itself.
    fn route(&mut self, clients: impl Iterator<Item = &'a Client<'a>>) -> Result<(), E> {
        if self.to_route.is_empty() {
            return Ok(());
        }
        // All shared subscriptions: a message that is routed is for each that it matches.
        let subscriptions = clients.flat_map(|client| &client.subscriptions);
        let shared = subscriptions.map(|one| topic::split_share(&one.filter));
        let shared: BTreeSet<_> = shared.filter(|(share, _)| share.is_some()).collect();
        for (group, (share, filter)) in (0..).zip(shared) {
            let to = SubscriptionText { share, filter };
            self.tell(Record::GroupNamed { group, to })?;
        }
        for (at, stored) in (1..).zip(std::mem::take(&mut self.to_route)) {
            let number = self.own_message(stored, &stored.properties)?;
            self.tell(Record::Handed {
                to: OWN,
                at,
                number,
                errand: Errand::PassOn {
                    targets: 1 << OWN,
                    retains: stored.retain,
                },
            })?;
            self.end()?;
        }
        Ok(())
    }
}

/// Milliseconds of seconds since 1970, where 0 is never.
fn milliseconds(seconds: u64) -> Option<u64> {
    (seconds > 0).then(|| seconds.saturating_mul(1000))
}

fn way_of(qos: QoS, retain: bool, subscription_id: u32) -> Way {
    let options = EntryOptions::with_qos(qos)
        .with_retain_as_published(retain)
        .with_id(subscription_id);
    Way {
        grant: options.grant(qos, retain),
        origin: Origin::ORDINARY,
    }
}

fn told<'a>(subscription: &'a Subscription<'_>) -> (SubscriptionText<'a>, EntryOptions) {
    let (share, filter) = topic::split_share(&subscription.filter);
    let options = EntryOptions::with_qos(subscription.qos)
        .with_no_local(subscription.no_local && share.is_none())
        .with_retain_as_published(subscription.retain_as_published)
        .with_id(subscription.id);
    (SubscriptionText { share, filter }, options)
}
