//! What must hold, kept by a naive model that knows nothing of how the broker works: who published what when, who was
//! subscribed to what since when, who got what.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::Rules;
use crate::mqtt::topic;

/// A published message; its index is in its payload.
#[derive(Debug)]
pub(super) struct Published {
    pub publisher: usize,
    /// The session of the publisher, which orders its messages.
    pub topic: String,
    pub qos: u8,
    pub retain: bool,
    pub empty: bool,
    /// The step in which its bytes were handed to the network.
    pub sent_at: u64,
    /// PUBACK or PUBREC has come.
    pub acknowledged: bool,
    /// Its publisher had no answer and sent it again, so with QoS 1 it may come late.
    pub resent: bool,
    /// The link it was first sent by.
    pub link: usize,
}

/// A subscription of one session.
#[derive(Clone, Debug)]
pub(super) struct Subscribed {
    pub filter: String,
    pub qos: u8,
    /// The step in which SUBACK came.
    pub acknowledged_at: Option<u64>,
    /// UNSUBSCRIBE was sent.
    pub ended: bool,
    /// The step in which UNSUBACK came.
    pub ended_at: Option<u64>,
}

/// What is known of a subscriber's session.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub subscriptions: Vec<Subscribed>,
    /// By message: how often it was delivered (other than as a retained one).
    pub got: BTreeMap<usize, u32>,
    /// The same with QoS 2.
    got_exactly: BTreeMap<usize, u32>,
    /// Whether the session still exists for sure.
    pub alive: bool,
    /// Every link that it had since its start.
    pub links: Vec<usize>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Oracle {
    /// Whether bounds are so small that messages are dropped: then none has to come, and order has to hold all the same.
    pub may_drop: bool,
    /// Whether so little may wait that a retained message may find no place.
    pub may_drop_retained: bool,
    pub published: Vec<Published>,
    pub rules: Rules,
    /// By client and incarnation of its session.
    pub sessions: BTreeMap<(usize, u32), Session>,
    /// By link: the last message of each publisher, topic and QoS that came by it.
    last: BTreeMap<(usize, usize, String, u8), usize>,
    /// By session: the last message of each publisher, topic and QoS that came for the first time, over all its links.
    first: BTreeMap<((usize, u32), usize, String, u8), usize>,
    /// By session: the newest retained publication that came live, by publisher and topic.
    newest: BTreeMap<((usize, u32), usize, String), usize>,
    /// By link, topic and QoS: the retained publications that came live, in their order.
    orders: BTreeMap<(usize, String, u8), Vec<usize>>,
    /// By will: how often it was seen by the watcher, and how much had been written down when it was.
    pub wills: BTreeMap<String, (u32, usize)>,
    pub wills_due: BTreeSet<String>,
    pub wills_forbidden: BTreeSet<String>,
    /// How often each message was delivered to members of the shared group.
    pub shared: BTreeMap<usize, u32>,
    /// Whether a member of the shared group ever left.
    pub member_left: bool,
    /// Retained messages that came, by topic and message, while somebody notes them.
    pub seen: Vec<(String, usize)>,
    /// So many messages had been published when the broker last ended at once.
    published_before: usize,
}

/// What came with a PUBLISH.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub session: (usize, u32),
    pub link: usize,
    pub topic: &'a str,
    pub qos: u8,
    pub dup: bool,
    pub retain: bool,
    pub message: usize,
}

impl Session {
    /// How many of its subscriptions match a message that was sent in this step.
    fn matching(&self, name: &str, sent_at: u64) -> usize {
        let subscriptions = self.subscriptions.iter();
        // After UNSUBACK nothing new comes.
        let subscriptions = subscriptions.filter(|subscribed| {
            subscribed
                .ended_at
                .is_none_or(|ended_at| ended_at >= sent_at)
        });
        let matches = |subscribed: &&Subscribed| {
            let inner = topic::share(&subscribed.filter)
                .map_or(subscribed.filter.as_str(), |share| share.unwrap().1);
            topic::matches(inner, name)
        };
        subscriptions.filter(matches).count()
    }

    /// Whether it has a shared subscription.
    fn shares(&self) -> bool {
        let mut subscriptions = self.subscriptions.iter();
        subscriptions.any(|subscribed| topic::share(&subscribed.filter).is_some())
    }

    /// Whether it had asked for a message with this QoS before that was sent.
    fn had_asked(&self, published: &Published, qos: u8) -> bool {
        self.subscriptions.iter().any(|subscribed| {
            let asked_at = subscribed.acknowledged_at;
            asked_at.is_some_and(|at| at < published.sent_at)
                && subscribed.qos.min(published.qos) == qos
                && !subscribed.ended
                && topic::matches(&subscribed.filter, &published.topic)
        })
    }
}

impl Oracle {
    /// A message has reached a client.
    pub(super) fn arrived(&mut self, arrival: &Arrival<'_>) {
        let matching = self.check_allowed(arrival);
        if arrival.retain {
            return self.check_retained(arrival);
        }
        let Arrival {
            session: key,
            topic: name,
            message,
            ..
        } = *arrival;
        let published = &self.published[message];
        if published.retain {
            let newest = (key, published.publisher, name.to_string());
            let entry = self.newest.entry(newest).or_insert(message);
            *entry = (*entry).max(message);
        }
        if self.sessions[&key].shares() {
            let count = self.shared.entry(message).or_default();
            // With DUP it may be the same one again.
            *count = if arrival.dup {
                (*count).max(1)
            } else {
                *count + 1
            };
        }
        self.check_first(arrival);
        let session = self.sessions.entry(key).or_default();
        if arrival.dup {
            session.got.entry(message).or_insert(1);
            return;
        }
        let count = session.got.entry(message).or_default();
        *count += 1;
        let count = *count;
        if arrival.qos == 2 {
            let exactly = session.got_exactly.entry(message).or_default();
            *exactly += 1;
            // What came with QoS 1 before a crash may come again.
            let is_crossing = message < self.published_before;
            let times = if is_crossing { *exactly } else { count };
            assert!(
                times as usize <= matching,
                "QoS 2 message {message} came {times} times to {key:?}"
            );
        }
        // Again: for an overlapping subscription, or because a publisher had no answer (QoS 1).
        if count == 1 && !self.is_late(arrival) {
            self.check_last(arrival, matching);
        }
    }

    /// Whether its publisher had no answer and sent it again, so that it may come late.
    fn is_late(&self, arrival: &Arrival<'_>) -> bool {
        self.published[arrival.message].resent && arrival.qos < 2
    }

    /// It is what was published, and its session may have it. Returns how many subscriptions it is for.
    fn check_allowed(&mut self, arrival: &Arrival<'_>) -> usize {
        let (key, name) = (arrival.session, arrival.topic);
        let (message, qos) = (arrival.message, arrival.qos);
        let published = &self.published[message];
        assert_eq!(
            published.topic, name,
            "message {message} came with another topic"
        );
        assert!(
            qos <= published.qos,
            "message {message} came with QoS {qos}"
        );
        assert!(
            self.rules.may_come(arrival.link, name),
            "message {message} on {name} came to {key:?}, who may not read it"
        );
        // What is retained may have been on its way when UNSUBACK was sent.
        let sent_at = if arrival.retain { 0 } else { published.sent_at };
        let matching = self.sessions.entry(key).or_default();
        let matching = matching.matching(name, sent_at);
        assert!(
            matching > 0,
            "message {message} on {name} came to {key:?}, who never asked for it"
        );
        matching
    }

    /// A retained message that comes for a new subscription is not older than what came live.
    fn check_retained(&self, arrival: &Arrival<'_>) {
        let message = arrival.message;
        let publisher = self.published[message].publisher;
        let newest = (arrival.session, publisher, arrival.topic.to_string());
        if let Some(&live) = self.newest.get(&newest) {
            assert!(
                message >= live || self.is_late(arrival) || arrival.dup,
                "retained message {message} came after the newer live one {live}"
            );
        }
    }

    /// Messages of a publisher come for the first time in their order, over all links of a session.
    fn check_first(&mut self, arrival: &Arrival<'_>) {
        let (key, message, qos) = (arrival.session, arrival.message, arrival.qos);
        let published = &self.published[message];
        let session = &self.sessions[&key];
        // What came before it was subscribed to may be sent again behind what came after.
        let is_ordered = match self.is_late(arrival) {
            true => {
                let rules = &self.rules;
                // Its first copy may have been dropped before it was sent.
                !self.may_drop
                    && session.had_asked(published, qos)
                    && rules.must_come(key.0, published.sent_at, arrival.topic)
            }
            false => true,
        };
        if session.got.contains_key(&message) || qos == 0 || !is_ordered || session.shares() {
            return;
        }
        let order = (key, published.publisher, arrival.topic.to_string(), qos);
        let last = self.first.entry(order).or_insert(message);
        assert!(
            *last <= message,
            "message {message} came for the first time after {last} to {key:?}"
        );
        *last = message;
    }

    /// Messages of a publisher come in their order by each link.
    fn check_last(&mut self, arrival: &Arrival<'_>, matching: usize) {
        let (link, message, qos) = (arrival.link, arrival.message, arrival.qos);
        let published = &self.published[message];
        let is_shared = self.sessions[&arrival.session].shares();
        let name = arrival.topic.to_string();
        if published.retain && matching == 1 && !is_shared {
            let order = self.orders.entry((link, name.clone(), qos));
            order.or_default().push(message);
        }
        let order = (link, published.publisher, name, qos);
        let last = self.last.entry(order).or_insert(message);
        assert!(
            *last <= message || is_shared,
            "message {message} came after {last} to {:?}",
            arrival.session
        );
        *last = (*last).max(message);
    }

    /// The end: everything has been let run empty. `reached` says whether all bytes of a link reached the broker, and
    /// `lasting` whether a link was up from its start to the end.
    pub(super) fn check_promises(
        &self,
        reached: impl Fn(usize) -> bool,
        lasting: impl Fn(usize) -> bool,
    ) {
        for (&key, session) in self.sessions.iter().filter(|(_, session)| session.alive) {
            for (index, published) in self.published.iter().enumerate() {
                if published.empty {
                    // Without a payload nobody can tell which one it was.
                    continue;
                }
                for subscribed in &session.subscriptions {
                    let Some(since) = subscribed.acknowledged_at else {
                        continue;
                    };
                    if topic::share(&subscribed.filter).is_some()
                        || subscribed.ended
                        || published.sent_at <= since
                        || !topic::matches(&subscribed.filter, &published.topic)
                        || !(self.rules).must_come(key.0, published.sent_at, &published.topic)
                    {
                        continue;
                    }
                    let qos = published.qos.min(subscribed.qos);
                    let got = session.got.get(&index).copied().unwrap_or(0);
                    // QoS 0: promised by nobody, but nothing is lost between two that stay connected.
                    let stays =
                        session.links.len() == 1 && session.links.iter().all(|&link| lasting(link));
                    let due = match qos {
                        0 => stays && reached(published.link),
                        _ => published.acknowledged,
                    };
                    assert!(
                        !due || got > 0 || self.may_drop,
                        "message {index} ({published:?}) never came to {key:?}, subscribed to {subscribed:?}"
                    );
                }
            }
        }
        for (will, &(count, _)) in &self.wills {
            assert!(count <= 1, "will {will} came {count} times");
            assert!(
                !self.wills_forbidden.contains(will),
                "will {will} came after a goodbye"
            );
        }
        for will in &self.wills_due {
            let came = self.wills.contains_key(will);
            assert!(came || self.may_drop, "will {will} never came");
        }
    }

    /// All who were sent the same retained publications have had them in one order, and who was there to the end has ended
    /// with what is retained, as far as one QoS goes.
    pub(super) fn check_orders(
        &self,
        retained: &BTreeMap<String, usize>,
        lasting: impl Fn(usize) -> bool,
    ) {
        // What was sent twice has come twice.
        let once = |message: &&usize| !self.published[**message].resent;
        for ((link, name, qos), order) in &self.orders {
            let order: Vec<usize> = order.iter().filter(once).copied().collect();
            let places: BTreeMap<usize, usize> = (order
                .iter()
                .enumerate()
                .map(|(place, &message)| (message, place)))
            .collect();
            for ((other, _, _), theirs) in
                (self.orders.iter()).filter(|((_, other, _), _)| other == name)
            {
                let common: Vec<usize> = theirs
                    .iter()
                    .filter_map(|message| places.get(message).copied())
                    .collect();
                assert!(
                    common.is_sorted(),
                    "{name}: by link {link} came {order:?}, by {other} {theirs:?}"
                );
            }
            if let Some(message) = retained.get(name)
                && lasting(*link)
                && order.contains(message)
                && once(&message)
            {
                assert_eq!(
                    order.last(),
                    Some(message),
                    "{name}: what is retained is not what link {link} had last with QoS {qos}"
                );
            }
        }
    }

    /// The newest retained publication of every publisher on a topic: one of them is its retained message. `None` in it:
    /// removed.
    pub(super) fn retained_candidates(
        &self,
        name: &str,
        reached: impl Fn(usize) -> bool,
    ) -> Vec<Option<usize>> {
        let mut candidates = Vec::new();
        // Publishers of whom something is there for sure.
        let mut is_sure_of = BTreeSet::new();
        for (index, published) in self.published.iter().enumerate().rev() {
            if !published.retain || published.topic != name {
                continue;
            }
            // What is not acknowledged may go with a crash.
            let reached = reached(published.link) && index >= self.published_before;
            if published.resent || !is_sure_of.contains(&published.publisher) {
                candidates.push((!published.empty).then_some(index));
            }
            if published.acknowledged || reached {
                is_sure_of.insert(published.publisher);
            }
        }
        if is_sure_of.is_empty() {
            candidates.push(None);
        }
        candidates
    }

    /// The broker has ended at once; so much of what was written down since the last time is there.
    pub(super) fn crashed(&mut self, kept: usize) {
        self.member_left = true;
        self.published_before = self.published.len();
        let published = &self.published;
        (self.newest).retain(|_, message| published[*message].acknowledged);
        for (count, written) in self.wills.values_mut() {
            // That it was published may be forgotten.
            *count = if *written > kept { 0 } else { *count };
            *written = 0;
        }
    }

    /// The watcher has got a will; so much had been written down. `None` if nobody knows.
    pub(super) fn will_came(&mut self, will: String, dup: bool, written: Option<usize>) {
        let (count, at) = self.wills.entry(will).or_default();
        let Some(written) = written else {
            return;
        };
        // With DUP it may be the same one again: the watcher's connection has been lost.
        *count = if dup { (*count).max(1) } else { *count + 1 };
        *at = written;
    }
}
