//! From the ledgers of a broker's shards to a database.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::{SmallVec, smallvec};

use super::layout::STAND_IN_TOPIC;
use super::model::{Client, Database, Delivery, Source, Stage, Stored, Subscription};
use super::properties::parts;
use crate::journal::{InFlightRead, KeptMessage, Ledger, SessionRead};
use crate::mqtt::QoS;
use crate::session::{EXPIRY_NEVER, Way};

/// A message by its ledger and its number there; the stand-in is of none.
type Key = Option<(usize, u64)>;

/// The numbers that messages get.
struct Numbers(BTreeMap<Key, u64>);

impl Numbers {
    fn of(&self, key: Key) -> Option<u64> {
        self.0.get(&key).copied()
    }

    /// Of a message of this ledger; `None` also if it has expired.
    fn of_kept(&self, ledger: usize, number: Option<u64>) -> Option<u64> {
        self.of(Some((ledger, number?)))
    }
}

/// See [`Database::of_ledgers`].
pub(super) fn database<'a>(ledgers: &[&'a Ledger], now: u64) -> Database<'a> {
    let mut sessions = Vec::new();
    for (index, ledger) in ledgers.iter().enumerate() {
        let all = ledger.sessions().map(|(_, session)| (index, session));
        sessions.extend(all.filter(|(_, session)| is_alive(session, now)));
    }
    sessions.sort_unstable_by_key(|(_, session)| &session.client_id);
    let by_serial = sessions.iter().map(|&(_, one)| (one.serial, one));
    let by_serial: HashMap<u64, &SessionRead, FixedState> = by_serial.collect();
    let numbers = number(ledgers, &sessions, now);
    let messages = numbers.0.iter().filter_map(|(&key, &number)| match key {
        None => Some(stand_in(number)),
        Some((index, kept)) => {
            let kept = ledgers[index].message(kept)?;
            Some(stored(number, kept, &by_serial))
        }
    });
    let mut retained: Vec<u64> = Vec::new();
    for (index, ledger) in ledgers.iter().enumerate() {
        let all = ledger.retained();
        retained.extend(all.filter_map(|(number, _)| numbers.of(Some((index, number)))));
    }
    retained.sort_unstable();
    let clients = sessions.iter().map(|&(index, session)| {
        let mut client = client_of(session, now);
        client.take_deliveries(session, (index, ledgers[index]), &numbers);
        client
    });
    Database {
        clients: clients.collect(),
        messages: messages.collect(),
        retained,
    }
}

fn is_alive(session: &SessionRead, now: u64) -> bool {
    session.expiry_s > 0 && session.ends_at.is_none_or(|at| at > now)
}

/// Numbers all messages that are written: those that have not expired, ledger by ledger, in the order in which they came.
fn number(ledgers: &[&Ledger], sessions: &[(usize, &SessionRead)], now: u64) -> Numbers {
    let is_kept = |index: usize, number: u64| {
        let kept = ledgers[index].message(number);
        kept.is_some_and(|kept| kept.expires_at().is_none_or(|at| at > now))
    };
    let mut keys = BTreeSet::new();
    for &(index, session) in sessions {
        let waiting = session.waiting().map(|(number, _)| number);
        let in_flight = session.in_flight().filter_map(|one| one.number);
        let all = waiting.chain(in_flight);
        let kept = all.filter(|&number| is_kept(index, number));
        keys.extend(kept.map(|number| Some((index, number))));
        let is_bare = |one: &InFlightRead| !one.number.is_some_and(|number| is_kept(index, number));
        if !session.inbound.is_empty() || session.in_flight().any(is_bare) {
            keys.insert(None);
        }
    }
    for (index, ledger) in ledgers.iter().enumerate() {
        let kept = ledger
            .retained()
            .filter(|&(number, _)| is_kept(index, number));
        keys.extend(kept.map(|(number, _)| Some((index, number))));
    }
    Numbers(keys.into_iter().zip(1..).collect())
}

fn stand_in(number: u64) -> Stored<'static> {
    Stored {
        number,
        topic: STAND_IN_TOPIC,
        payload: &[],
        properties: (&[]).into(),
        qos: QoS::ExactlyOnce,
        retain: false,
        expires_at_s: 0,
        source: Source::default(),
        source_packet: 0,
    }
}

fn stored<'a>(
    number: u64,
    kept: &'a KeptMessage,
    by_serial: &HashMap<u64, &'a SessionRead, FixedState>,
) -> Stored<'a> {
    let message = &kept.message;
    let publisher = by_serial.get(&message.origin);
    let source = match (&message.author, publisher) {
        (Some(author), _) => Source {
            client_id: match &author.client_id {
                Some(id) => Some(id),
                None => publisher.map(|session| &*session.client_id),
            },
            user: author.user.as_deref(),
            port: port_of(author.came_by.name().text()),
        },
        (None, Some(session)) => source_of(session),
        (None, None) => Source::default(),
    };
    Stored {
        number,
        topic: message.topic.as_str(),
        payload: &message.payload,
        properties: parts(&message.properties)
            .map(|parts| parts.forwarded)
            .unwrap_or_default(),
        qos: message.qos,
        retain: message.retain,
        expires_at_s: seconds(kept.expires_at()),
        source,
        source_packet: 0,
    }
}

fn source_of(session: &SessionRead) -> Source<'_> {
    let (user, port) = match &session.owner {
        Some((user, listener)) => (user.as_deref(), port_of(listener)),
        None => (None, 0),
    };
    Source {
        client_id: Some(&session.client_id),
        user,
        port,
    }
}

/// The port in the name of a listener; 0 for one that has none, as Mosquitto has it.
fn port_of(listener: &str) -> u16 {
    let address = listener.split(' ').next().unwrap_or_default();
    let port = address
        .rsplit_once(':')
        .filter(|_| !address.starts_with('/'));
    port.and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
}

/// Seconds of milliseconds since 1970, not too few; 0 for never.
fn seconds(at: Option<u64>) -> u64 {
    at.map_or(0, |at| at.div_ceil(1000).clamp(1, i64::MAX as u64))
}

fn client_of(session: &SessionRead, now: u64) -> Client<'_> {
    let Source { user, port, .. } = source_of(session);
    let absent_from_now = match session.expiry_s {
        EXPIRY_NEVER => None,
        seconds => Some(now.saturating_add(u64::from(seconds) * 1000)),
    };
    let ends_at = match session.is_there {
        true => absent_from_now,
        false => session.ends_at,
    };
    let subscriptions = session.subscriptions.iter();
    let subscriptions = subscriptions.map(|((share, filter), options)| Subscription {
        filter: match share {
            Some(share) => format!("$share/{share}/{filter}").into(),
            None => (&**filter).into(),
        },
        qos: options.qos(),
        no_local: options.no_local(),
        retain_as_published: options.retain_as_published(),
        id: options.id(),
    });
    Client {
        id: &session.client_id,
        user,
        port,
        expiry_s: session.expiry_s,
        ends_at_s: seconds(ends_at),
        last_id: 0,
        // A filter fits, but its share name may be one too many.
        subscriptions: subscriptions
            .filter(|one| one.filter.len() <= usize::from(u16::MAX))
            .collect(),
        deliveries: Vec::new(),
    }
}

impl Client<'_> {
    /// What is open from the client, what is in flight to it, what waits for it: in the order in which Mosquitto writes them.
    fn take_deliveries(
        &mut self,
        session: &SessionRead,
        ledger: (usize, &Ledger),
        numbers: &Numbers,
    ) {
        let stand_in = numbers.of(None).unwrap_or(0);
        let inbound = session.inbound.iter();
        let inbound = inbound.map(|&id| bare(stand_in, id, Stage::Inbound));
        // What is released comes first: of more than there is room for in flight, Mosquitto sends the rest anew.
        let released = session.in_flight().filter(|one| {
            let is_kept = numbers.of_kept(ledger.0, one.number).is_some();
            !is_kept && one.way.grant.qos() == QoS::ExactlyOnce
        });
        let released = released.map(|one| bare(stand_in, one.id, Stage::Received));
        let sent = session.in_flight().filter_map(|one| {
            let number = numbers.of_kept(ledger.0, one.number)?;
            let message = ledger.1.message(one.number?)?;
            Some(delivery(number, one.id, one.way, Stage::Sent, message))
        });
        self.deliveries.extend(inbound.chain(released).chain(sent));
        let mut ids = Ids::behind(session);
        for (kept, way) in session.waiting() {
            let number = numbers.of_kept(ledger.0, Some(kept));
            let (Some(number), Some(message)) = (number, ledger.1.message(kept)) else {
                continue;
            };
            let id = match way.grant.is_qos0() {
                true => 0,
                false => ids.next(),
            };
            self.deliveries
                .push(delivery(number, id, way, Stage::Waits, message));
        }
        self.last_id = ids.last;
    }
}

fn bare(number: u64, id: u16, stage: Stage) -> Delivery {
    Delivery {
        number,
        id,
        qos: QoS::ExactlyOnce,
        stage,
        retain: false,
        subscription_ids: SmallVec::new(),
    }
}

fn delivery(number: u64, id: u16, way: Way, stage: Stage, kept: &KeptMessage) -> Delivery {
    let grant = way.grant;
    let subscription_ids = match grant.id() {
        0 => parts(&kept.message.properties)
            .map(|parts| parts.subscription_ids)
            .unwrap_or_default(),
        id => smallvec![id],
    };
    Delivery {
        number,
        id,
        qos: grant.qos(),
        stage,
        retain: grant.retain(),
        subscription_ids,
    }
}

/// Packet identifiers for what waits: Mosquitto gives them before it sends.
struct Ids {
    last: u16,
    in_flight: BTreeSet<u16>,
}

impl Ids {
    /// Begins behind what was sent last.
    fn behind(session: &SessionRead) -> Ids {
        Ids {
            last: session.in_flight().last().map_or(0, |one| one.id),
            in_flight: session.in_flight().map(|one| one.id).collect(),
        }
    }

    /// The next that is not in flight. With all in flight there is none, and any is as good.
    fn next(&mut self) -> u16 {
        for _ in 0..=self.in_flight.len() {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.in_flight.contains(&self.last) {
                break;
            }
        }
        self.last
    }
}
