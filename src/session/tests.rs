//! Windows against a naive list, flows against their rules.

mod lockstep;
mod waiting;

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::alias::{InboundAliases, OutboundAliases};
use super::window::{Progress, SHARED_IDS, Window, next_private};
use super::*;
use crate::ids::{GroupId, ShardId};
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{QoS, Topic, TopicName};
use crate::routing::{EntryOptions, Grant};

fn granted(qos: QoS) -> Grant {
    EntryOptions::with_qos(qos).grant(qos, false)
}

fn message(payload: usize) -> Arc<Message> {
    Arc::new(Message {
        topic: Topic::new("t").unwrap(),
        payload: Bytes::from(vec![0; payload]),
        properties: Bytes::new(),
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: NEVER,
        origin: 0,
        author: None,
        sent: Sent::default(),
        holders: Holders::default(),
    })
}

/// What waits for one session, and the list that it is in.
#[derive(Default)]
struct Waits {
    queue: Queue,
    backlog: Backlog,
}

impl Waits {
    fn with(policy: SlowPolicy) -> Waits {
        let mut waits = Waits::default();
        waits
            .queue
            .set_latest(&waits.backlog, policy == SlowPolicy::Latest);
        waits
    }

    fn put(&mut self, one: &Delivery, bounds: &Bounds) -> Queued {
        let way = Way {
            grant: one.grant,
            origin: one.origin,
        };
        self.queue.put(&mut self.backlog, &one.message, way, bounds)
    }

    fn pop(&mut self) -> Option<Delivery> {
        self.queue.pop(&mut self.backlog)
    }

    fn pop_oldest(&mut self) -> Option<Delivery> {
        self.queue.pop_oldest(&mut self.backlog)
    }
}

fn bounds(in_flight: u16, queued: u32) -> Bounds {
    Bounds {
        in_flight,
        in_flight_bytes: 0,
        queued,
        queued_bytes: 0,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    /// Skip so many identifiers before the next one (shared identifiers have gaps).
    Skip(u64),
    /// Acknowledge the one at this place.
    Acknowledge(prop::sample::Index),
    /// Acknowledge one that is not there.
    AcknowledgeOther(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => Just(Step::Send),
        1 => prop_oneof![0..40u64, 8_000..30_000u64].prop_map(Step::Skip),
        4 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        1 => any::<u16>().prop_map(Step::AcknowledgeOther),
    ];
    proptest::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn a_window_is_a_list(steps in steps(), is_shared in any::<bool>()) {
        let mut window = Window::default();
        let mut list: Vec<u16> = Vec::new();
        let (mut order, mut last) = (0u64, 0u16);
        for step in steps {
            match step {
                Step::Send => {
                    order += 1;
                    let id = if is_shared { SHARED_ID_BIT | (order & 0x7fff) as u16 } else { next_private(last) };
                    if window.admits(id, order) {
                        prop_assert!(!list.contains(&id));
                        let progress = Progress::Puback;
                        window.push(InFlight { order, message: None, origin: Origin::ORDINARY, grant: granted(QoS::AtLeastOnce), id, progress });
                        list.push(id);
                        last = id;
                    }
                }
                Step::Skip(by) => order += by,
                Step::Acknowledge(index) if !list.is_empty() => {
                    let id = list.remove(index.index(list.len()));
                    prop_assert_eq!(window.remove(id).map(|entry| entry.id), Some(id));
                    prop_assert!(window.remove(id).is_none());
                }
                Step::Acknowledge(_) => {}
                Step::AcknowledgeOther(id) => {
                    if !list.contains(&id) {
                        prop_assert!(window.remove(id).is_none());
                        prop_assert!(window.get_mut(id).is_none());
                    }
                }
            }
            prop_assert_eq!(window.len(), list.len());
            prop_assert_eq!(window.iter().map(|entry| entry.id).collect::<Vec<_>>(), list.clone());
        }
    }
}

#[test]
fn private_identifiers_run_out_before_they_repeat() {
    let mut flow = Flow::default();
    let mut ids = std::collections::BTreeSet::new();
    while let Some(id) = flow.next_id() {
        assert!(ids.insert(id));
        flow.sent(
            id,
            u64::from(id),
            granted(QoS::AtLeastOnce),
            Origin::ORDINARY,
            None,
        );
    }
    assert_eq!(ids.len(), 32_767);
    assert_eq!((ids.first(), ids.last()), (Some(&1), Some(&32_767)));
    assert!(!flow.has_id(), "all are out");
    for id in 2..=32_767 {
        assert!(flow.complete(id).is_some());
    }
    // The first is left out, again and again.
    for order in 40_000..140_000u64 {
        let id = flow.next_id().unwrap();
        assert_ne!(id, 1);
        flow.sent(id, order, granted(QoS::AtLeastOnce), Origin::ORDINARY, None);
        assert!(flow.complete(id).is_some());
    }
    assert_eq!(flow.ids().collect::<Vec<_>>(), [1]);
    assert!(flow.complete(1).is_some());
    assert_eq!(flow.in_flight(), 0);
}

#[test]
fn a_shared_identifier_is_not_used_twice() {
    let mut flow = Flow::default();
    flow.sent(
        SHARED_ID_BIT | 5,
        5,
        granted(QoS::AtLeastOnce),
        Origin::ORDINARY,
        None,
    );
    assert!(!flow.admits_shared(5));
    assert!(flow.admits_shared(6));
    assert!(flow.admits_shared(5 + SHARED_IDS - 1));
    assert!(!flow.admits_shared(5 + SHARED_IDS));
    assert!(flow.complete(SHARED_ID_BIT | 5).is_some());
    assert!(flow.admits_shared(5 + SHARED_IDS));
}

#[test]
fn the_queue_has_its_bounds() {
    let mut waits = Waits::default();
    let delivery = |origin| Delivery {
        message: message(10),
        grant: granted(QoS::AtLeastOnce),
        origin,
        number: 0,
    };
    let ordinary = delivery(Origin::ORDINARY);
    assert_eq!(waits.put(&ordinary, &bounds(1, 2)), Queued::Yes);
    assert_eq!(waits.put(&ordinary, &bounds(1, 2)), Queued::Yes);
    assert_eq!(waits.put(&ordinary, &bounds(1, 2)), Queued::Full);
    // Retained messages are references to what is kept anyway.
    let retained = delivery(Origin::RETAINED);
    assert_eq!(waits.put(&retained, &bounds(1, 2)), Queued::Yes);
    assert!(waits.queue.holds_qos0() && waits.queue.len() == 3);
    (0..3).for_each(|_| assert!(waits.pop().is_some()));
    assert!(!waits.queue.holds_qos0() && waits.queue.is_empty());
    let small = Bounds {
        queued_bytes: 15,
        ..bounds(1, 0)
    };
    assert_eq!(waits.put(&ordinary, &small), Queued::Yes);
    assert_eq!(waits.put(&ordinary, &small), Queued::Full);
}

#[test]
fn resending_keeps_the_order_and_the_receive_maximum() {
    let mut flow = Flow::default();
    for order in 1..=6u64 {
        let id = if order % 2 == 0 {
            SHARED_ID_BIT | order as u16
        } else {
            flow.next_id().unwrap()
        };
        flow.sent(
            id,
            order,
            granted(QoS::AtLeastOnce),
            Origin::ORDINARY,
            Some(message(1)),
        );
    }
    flow.resend();
    let two = bounds(2, 0);
    let mut sent = Vec::new();
    while let Some(entry) = flow.next_later(&two) {
        sent.push((entry.order, entry.id));
    }
    assert_eq!(sent.len(), 2);
    assert!(flow.is_resending() && !flow.has_room(&bounds(10, 0)));
    for index in 0..6 {
        flow.complete(sent[index].1);
        sent.extend(flow.next_later(&two).map(|entry| (entry.order, entry.id)));
    }
    assert!(sent.iter().map(|&(order, _)| order).eq(1..=6));
    assert!(!flow.is_resending() && flow.in_flight() == 0);
}

#[test]
fn what_is_shared_goes_back_and_the_rest_stays() {
    let mut flow = Flow::default();
    let shared = Origin::shared(ShardId(3), GroupId(77));
    assert_eq!(shared.group(), Some((ShardId(3), GroupId(77))));
    assert_eq!(Origin::ORDINARY.group(), None);
    assert_eq!(Origin::RETAINED.group(), None);
    for (order, origin, qos) in [
        (1, shared, QoS::AtLeastOnce),
        (2, Origin::ORDINARY, QoS::AtLeastOnce),
        (3, shared, QoS::ExactlyOnce),
    ] {
        let id = flow.next_id().unwrap();
        flow.sent(
            id,
            order,
            granted(qos),
            origin,
            Some(message(order as usize)),
        );
    }
    let mut waits = Waits::default();
    for origin in [Origin::ORDINARY, shared] {
        let one = Delivery {
            message: message(9),
            grant: granted(QoS::AtLeastOnce),
            origin,
            number: 0,
        };
        waits.put(&one, &bounds(10, 0));
    }
    assert_eq!(waits.queue.take_shared(&mut waits.backlog).len(), 1);
    let taken = flow.take_shared_in_flight();
    assert_eq!(
        taken
            .iter()
            .map(|one| one.message.as_ref().unwrap().payload.len())
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!((flow.in_flight(), waits.queue.len()), (2, 1));
}

#[test]
fn inbound_identifiers_are_a_set() {
    let mut inbound = Inbound::default();
    assert!(inbound.insert(5) && inbound.insert(9) && inbound.insert(7));
    assert!(!inbound.insert(7) && inbound.contains(7));
    assert!(inbound.remove(7) && !inbound.remove(7) && !inbound.contains(7));
    assert_eq!(inbound.len(), 2);
}

#[test]
fn aliases_are_kept_per_direction() {
    let alias = |number| std::num::NonZeroU16::new(number).unwrap();
    let mut inbound = InboundAliases::default();
    for name in ["a", "b"] {
        inbound.set(alias(3), TopicName::new(name).unwrap());
    }
    let get = |number| inbound.get(alias(number)).map(Topic::as_str);
    assert_eq!((get(3), get(1), get(9)), (Some("b"), None, None));
    let mut outbound = OutboundAliases::new(2);
    assert_eq!(outbound.of("a"), Some((1, false)));
    assert_eq!(outbound.of("b"), Some((2, false)));
    assert_eq!(outbound.of("a"), Some((1, true)));
    assert_eq!(outbound.of("c"), None);
}

/// A client that leaves its first message unacknowledged and takes all others holds no place for each of them.
#[test]
fn one_slow_message_does_not_make_the_window_grow() {
    let mut flow = Flow::default();
    for order in 1..=20_000u64 {
        let id = flow.next_id().unwrap();
        flow.sent(id, order, granted(QoS::AtLeastOnce), Origin::ORDINARY, None);
        if order > 10 {
            assert!(flow.complete(id).is_some());
            assert!(flow.complete(id).is_none());
        }
    }
    assert_eq!(flow.in_flight(), 10);
    assert!(flow.places() < 200, "{}", flow.places());
    for id in 1..=10 {
        assert!(flow.complete(id).is_some());
    }
    assert_eq!(flow.places(), 0);
}

/// Newer messages take the place of older ones, and are bounded as all that wait.
#[test]
fn the_newest_of_a_topic_waits_within_the_bounds() {
    let mut waits = Waits::with(SlowPolicy::Latest);
    let delivery = |payload| Delivery {
        message: message(payload),
        grant: granted(QoS::AtLeastOnce),
        origin: Origin::ORDINARY,
        number: 0,
    };
    let bounds = Bounds {
        queued_bytes: 100,
        ..bounds(1, 0)
    };
    assert_eq!(waits.put(&delivery(10), &bounds), Queued::Yes);
    let replaced = waits.put(&delivery(90), &bounds);
    assert!(matches!(replaced, Queued::Replaced(older) if older.message.payload.len() == 10));
    assert_eq!((waits.queue.len(), waits.queue.bytes()), (1, 90));
    assert_eq!(waits.put(&delivery(101), &bounds), Queued::Full);
    assert_eq!(waits.queue.bytes(), 90);
    let taken = waits.pop();
    assert_eq!(taken.map(|taken| taken.message.payload.len()), Some(90));
    assert_eq!(waits.put(&delivery(101), &bounds), Queued::Yes);
}
