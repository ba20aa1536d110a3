//! From a database to the ledger that a journal of the same would have made.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::layout::STAND_IN_TOPIC;
use super::model::{Client, Database, Delivery, Stage, Stored, Subscription};
use super::properties::joined;
use crate::journal::{
    AuthorText, Broken, KeptMessage, Ledger, Members, MessageText, Record, SubscriptionText,
};
use crate::mqtt::{QoS, topic};
use crate::routing::EntryOptions;
use crate::session::{EXPIRY_NEVER, Origin, SHARED_ID_BIT, SHARED_IDS, Way};

/// The session that holds all messages while others are given theirs: a message to which nothing refers is forgotten. It is ended
/// before the ledger is given out.
const HOLDER: u32 = u32::MAX;

/// What a database has for a broker that starts.
#[derive(Debug)]
pub struct Import {
    /// As one shard would have left it: all clients are away.
    pub ledger: Ledger,
    /// Messages with QoS 2 that clients have sent and not released, in their order. Mosquitto routes at PUBREL and has routed none of
    /// them. Here a message is routed when it comes, so that these are to be routed once all sessions are there, or they are lost:
    /// their identifiers are kept, and a repetition is nothing new.
    pub to_route: Vec<KeptMessage>,
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

/// See [`Database::to_ledger`].
pub(super) fn import(
    database: &Database<'_>,
    now: u64,
    listeners: &[(u16, &str)],
) -> Result<Import, Broken> {
    let durable = database.clients.iter().filter(|client| client.expiry_s > 0);
    let serials = (1..).zip(durable.clone());
    let mut importing = Importing {
        import: Import {
            ledger: Ledger::default(),
            to_route: Vec::new(),
            left_out: LeftOut::default(),
        },
        now,
        names: listeners,
        serials: serials
            .map(|(serial, client)| (client.id, serial))
            .collect(),
        known: HashMap::default(),
        own: HashMap::default(),
        own_bytes: database.messages.iter().map(|one| one.payload.len()).sum(),
        next_number: 0,
        order: 0,
    };
    importing.import.left_out.sessions = (database.clients.len() - importing.serials.len()) as u64;
    importing.messages(database)?;
    for (session, client) in (0..).zip(durable) {
        importing.client(session, client)?;
    }
    importing.retained(database)?;
    importing.apply(Record::Ended { session: HOLDER })?;
    Ok(importing.import)
}

/// Where a message of the file is.
enum Place<'a> {
    /// In the ledger, under this number.
    Kept(u64, &'a Stored<'a>),
    /// Nowhere: it has expired.
    Expired,
}

struct Importing<'a> {
    import: Import,
    now: u64,
    names: &'a [(u16, &'a str)],
    serials: HashMap<&'a str, u64, FixedState>,
    known: HashMap<u64, Place<'a>, FixedState>,
    /// Messages of their own, for those with several subscription identifiers.
    own: HashMap<(u64, &'a [u32]), u64, FixedState>,
    /// Bytes of payloads of which messages of their own may be made: as many as the file has.
    own_bytes: usize,
    next_number: u64,
    /// Of the last frame.
    order: u64,
}

impl<'a> Importing<'a> {
    fn apply(&mut self, record: Record<'_>) -> Result<(), Broken> {
        self.import.ledger.apply(&record)
    }

    /// The name of the listener with this port. If there is none, it is as if one of this port had been closed.
    fn listener(&self, port: u16) -> String {
        let name = self.names.iter().find(|&&(known, _)| known == port);
        name.map_or_else(|| format!("*:{port}"), |(_, name)| (*name).into())
    }

    /// All messages that have not expired, in the order in which they came.
    fn messages(&mut self, database: &'a Database<'_>) -> Result<(), Broken> {
        self.apply(Record::Opened {
            session: HOLDER,
            serial: 0,
            client_id: "",
        })?;
        let mut stored: Vec<&Stored<'_>> = database.messages.iter().collect();
        stored.sort_unstable_by_key(|stored| stored.number);
        for stored in stored {
            let place = match milliseconds(stored.expires_at_s) {
                Some(at) if at <= self.now => {
                    self.import.left_out.expired += 1;
                    Place::Expired
                }
                _ => {
                    let number = self.message(stored, &stored.properties)?;
                    self.apply(Record::Queued {
                        number,
                        way: way_of(QoS::AtMostOnce, false, 0),
                        members: Members::One(HOLDER),
                    })?;
                    Place::Kept(number, stored)
                }
            };
            self.known.insert(stored.number, place);
        }
        Ok(())
    }

    /// Adds a message with these properties; returns its number.
    fn message(&mut self, stored: &Stored<'_>, properties: &[u8]) -> Result<u64, Broken> {
        let source = stored.source;
        let listener = self.listener(source.port);
        // What the broker itself says is nobody's.
        let client_id = source.client_id.filter(|_| stored.retain);
        let number = self.next_number;
        self.next_number += 1;
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
        self.apply(Record::Message { number, message })?;
        Ok(number)
    }

    fn client(&mut self, session: u32, client: &'a Client<'_>) -> Result<(), Broken> {
        self.apply(Record::Opened {
            session,
            serial: u64::from(session) + 1,
            client_id: client.id,
        })?;
        let listener = self.listener(client.port);
        self.apply(Record::Identified {
            session,
            user: client.user,
            listener: &listener,
        })?;
        self.apply(Record::ExpirySet {
            session,
            seconds: client.expiry_s,
        })?;
        // Who was there when the file was written goes away now.
        let ends_at = match (client.ends_at_s, client.expiry_s) {
            (0, EXPIRY_NEVER) => None,
            (0, seconds) => Some(self.now.saturating_add(u64::from(seconds) * 1000)),
            (at, _) => milliseconds(at),
        };
        self.apply(Record::Away { session, ends_at })?;
        for subscription in &client.subscriptions {
            let (to, options) = told(subscription);
            self.apply(Record::Subscribed {
                session,
                to,
                options,
            })?;
        }
        client
            .deliveries
            .iter()
            .try_for_each(|delivery| self.delivery(session, delivery))
    }

    fn delivery(&mut self, session: u32, delivery: &'a Delivery) -> Result<(), Broken> {
        let (id, stage) = (delivery.id, delivery.stage);
        if stage == Stage::Inbound {
            self.apply(Record::InboundStored { session, id })?;
        }
        let kept = match self.known.get(&delivery.number) {
            Some(&Place::Kept(number, stored)) => Some((number, stored)),
            Some(Place::Expired) => None,
            None => {
                self.import.left_out.missing += 1;
                None
            }
        };
        let (Some((number, stored)), Stage::Waits | Stage::Sent | Stage::Inbound) = (kept, stage)
        else {
            return self.without_message(session, delivery);
        };
        if stage == Stage::Inbound {
            // One that is a stand-in has been routed.
            let message = self.import.ledger.message(number).cloned();
            let message = message.filter(|_| stored.topic != STAND_IN_TOPIC);
            self.import.to_route.extend(message);
            return Ok(());
        }
        let (number, subscription_id) = match &delivery.subscription_ids[..] {
            [] => (number, 0),
            &[id] => (number, id),
            ids => self.with_ids((number, stored), ids)?,
        };
        let way = way_of(delivery.qos, delivery.retain, subscription_id);
        match stage {
            Stage::Waits => self.apply(Record::Queued {
                number,
                way,
                members: Members::One(session),
            }),
            _ => {
                let order = self.next_order(id);
                self.apply(Record::SentAlone {
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
    ) -> Result<(u64, u32), Broken> {
        if let Some(&own) = self.own.get(&(number, ids)) {
            return Ok((own, 0));
        }
        let Some(left) = self.own_bytes.checked_sub(stored.payload.len()) else {
            return Ok((number, ids.last().copied().unwrap_or(0)));
        };
        self.own_bytes = left;
        let own = self.message(stored, &joined(ids, &stored.properties))?;
        self.own.insert((number, ids), own);
        Ok((own, 0))
    }

    /// A message that is not sent again, and what the client may still hold of it: with QoS 2 its identifier, until that is released.
    fn without_message(&mut self, session: u32, delivery: &Delivery) -> Result<(), Broken> {
        let is_held = matches!(delivery.stage, Stage::Sent | Stage::Received);
        if !is_held || delivery.qos != QoS::ExactlyOnce {
            return Ok(());
        }
        let order = self.next_order(delivery.id);
        self.apply(Record::SentBare {
            session,
            order,
            id: delivery.id,
            way: way_of(delivery.qos, delivery.retain, 0),
        })?;
        match delivery.stage {
            Stage::Received => self.apply(Record::Received { session, order }),
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

    fn retained(&mut self, database: &Database<'_>) -> Result<(), Broken> {
        for number in &database.retained {
            match self.known.get(number) {
                // What has no payload is no retained message (MQTT-3.3.1-10); `$SYS` is each broker's own.
                Some(&Place::Kept(number, stored)) => {
                    if !stored.payload.is_empty() && !topic::is_sys(stored.topic) {
                        self.apply(Record::RetainedStored { number })?;
                    }
                }
                Some(Place::Expired) => {}
                None => self.import.left_out.missing += 1,
            }
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
