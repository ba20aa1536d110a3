//! What waits, against a naive list, and how much work it is to take the oldest out of a long queue.

use std::sync::Arc;

use proptest::prelude::*;

use super::{bounds, granted, message};
use crate::ids::{GroupId, ShardId};
use crate::mqtt::message::Message;
use crate::mqtt::{QoS, Topic};
use crate::session::{Delivery, Flow, Origin, Queued, SlowPolicy};

fn delivery(topic: u32, qos: u8, origin: Origin) -> Delivery {
    let message = Message {
        topic: Topic::new(topic.to_string()).unwrap(),
        ..Arc::into_inner(message(10)).unwrap()
    };
    Delivery {
        message: Arc::new(message),
        grant: granted(QoS::from_bits(qos).unwrap()),
        origin,
    }
}

/// So many that to look at all of them for each of them would take hours.
const MANY: u32 = 200_000;

/// A session that holds more than its share drops message by message, with retained ones in front of them.
#[test]
fn the_oldest_are_dropped_at_the_same_cost_however_many_wait() {
    let mut flow = Flow::default();
    flow.set_policy(Some(SlowPolicy::Latest));
    let bounds = bounds(1, 0);
    flow.enqueue(delivery(0, 1, Origin::RETAINED), &bounds);
    for topic in 0..MANY {
        flow.enqueue(delivery(topic, 1, Origin::ORDINARY), &bounds);
    }
    for topic in 0..MANY {
        let oldest = flow.pop_oldest().unwrap();
        assert_eq!(&*oldest.message.topic, topic.to_string());
    }
    assert!(flow.pop_oldest().is_none());
    assert_eq!((flow.queued(), flow.replaying()), (1, 1));
    assert!(flow.memory() < 10_000, "what was known of them is gone");
}

/// Whoever comes down to a small part of what it holds keeps that part.
#[test]
fn the_room_of_what_was_dropped_is_given_back() {
    for policy in [None, Some(SlowPolicy::Latest)] {
        let mut flow = Flow::default();
        flow.set_policy(policy);
        for topic in 0..MANY / 4 {
            flow.enqueue(delivery(topic, 1, Origin::ORDINARY), &bounds(1, 0));
        }
        flow.charge();
        let most = flow.weight() / 50;
        while flow.weight() > most {
            assert!(flow.pop_oldest().is_some());
            flow.charge();
        }
        let (left, all) = (flow.queued(), MANY as usize / 4);
        assert!(left > all / 100, "{policy:?}: {left} of {all}");
    }
}

/// Newer messages of topics whose retained message waits at the end: each has to come behind it.
#[test]
fn a_newer_message_takes_the_place_of_an_older_one_at_the_same_cost_however_many_wait() {
    let mut flow = Flow::default();
    flow.set_policy(Some(SlowPolicy::Latest));
    let bounds = bounds(1, 0);
    for topic in 0..MANY {
        flow.enqueue(delivery(topic, 1, Origin::ORDINARY), &bounds);
    }
    flow.enqueue(delivery(0, 1, Origin::RETAINED), &bounds);
    for topic in 0..MANY {
        let newer = flow.enqueue(delivery(topic, 1, Origin::ORDINARY), &bounds);
        assert!(matches!(newer, Queued::Replaced(_)));
    }
    for topic in 1..MANY {
        assert_eq!(&*flow.pop().unwrap().message.topic, topic.to_string());
    }
    let last = [flow.pop().unwrap(), flow.pop().unwrap()];
    assert_eq!(
        last.map(|one| one.origin),
        [Origin::RETAINED, Origin::ORDINARY]
    );
}

/// The same message over and over, behind its retained one: the gaps that it leaves are no memory for good.
#[test]
fn gaps_are_closed() {
    let mut flow = Flow::default();
    flow.set_policy(Some(SlowPolicy::Latest));
    let bounds = bounds(1, 0);
    for topic in 0..100 {
        flow.enqueue(delivery(topic, 1, Origin::ORDINARY), &bounds);
    }
    let memory = flow.memory();
    for round in 0..10_000 {
        let topic = 1 + round % 99;
        flow.enqueue(delivery(topic, 1, Origin::RETAINED), &bounds);
        let newer = flow.enqueue(delivery(topic, 1, Origin::ORDINARY), &bounds);
        assert!(matches!(newer, Queued::Replaced(_)));
    }
    let references = flow.replaying() * (size_of::<Delivery>() + 24) * 2;
    assert!(
        flow.memory() < 4 * memory + 2 * references,
        "{}",
        flow.memory()
    );
    assert_eq!(flow.queued(), 10_100);
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32, u8, Origin),
    Pop,
    PopOldest,
    Doubt,
    TakeShared,
    Policy(SlowPolicy),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let origin = prop_oneof![
        4 => Just(Origin::ORDINARY),
        2 => Just(Origin::RETAINED),
        1 => Just(Origin::shared(ShardId(0), GroupId(1))),
    ];
    let policy = prop_oneof![
        3 => Just(SlowPolicy::Latest),
        1 => Just(SlowPolicy::DropOldest)
    ];
    let step = prop_oneof![
        12 => (0..6u32, 0..2u8, origin).prop_map(|(topic, qos, origin)| Step::Put(topic, qos, origin)),
        4 => Just(Step::Pop),
        3 => Just(Step::PopOldest),
        1 => Just(Step::Doubt),
        1 => Just(Step::TakeShared),
        1 => policy.prop_map(Step::Policy),
    ];
    proptest::collection::vec(step, 1..300)
}

/// One that waits: its message, which tells it from all others, where it came from, and whether other rules held then.
struct Known {
    delivery: Delivery,
    is_doubted: bool,
}

/// What the queue is to be like, step by step, as slow as it may be.
#[derive(Default)]
struct Naive {
    list: Vec<Known>,
    is_latest: bool,
}

impl Naive {
    fn put(&mut self, delivery: Delivery) -> Option<Arc<Message>> {
        let topic = delivery.message.topic.clone();
        let is_same = |known: &Known, origin: Origin| {
            known.delivery.origin == origin && known.delivery.message.topic == topic
        };
        let is_older = |known: &Known| is_same(known, Origin::ORDINARY);
        let newer = delivery.clone();
        let known = Known {
            delivery,
            is_doubted: false,
        };
        let may_replace = self.is_latest && newer.origin == Origin::ORDINARY;
        let index = self.list.iter().position(is_older);
        let Some(index) = index.filter(|_| may_replace) else {
            self.list.push(known);
            return None;
        };
        let mut behind = self.list[index..].iter();
        if behind.any(|known| is_same(known, Origin::RETAINED)) {
            self.list.push(known);
            return Some(self.list.remove(index).delivery.message);
        }
        let older = std::mem::replace(&mut self.list[index].delivery, newer);
        Some(older.message)
    }
}

fn is_one(taken: Option<Delivery>, wanted: Option<Known>) -> bool {
    match (taken, wanted) {
        (Some(taken), Some(wanted)) => Arc::ptr_eq(&taken.message, &wanted.delivery.message),
        (None, None) => true,
        _ => false,
    }
}

proptest! {
    #[test]
    fn what_waits_is_a_list(steps in steps()) {
        let mut flow = Flow::default();
        let mut naive = Naive::default();
        let bounds = bounds(1, 0);
        for step in steps {
            match step {
                Step::Put(topic, qos, origin) => {
                    let one = delivery(topic, qos, origin);
                    let wanted = naive.put(one.clone());
                    let queued = flow.enqueue(one, &bounds);
                    match (queued, wanted) {
                        (Queued::Yes, None) => {}
                        (Queued::Replaced(older), Some(wanted)) => prop_assert!(Arc::ptr_eq(&older, &wanted)),
                        (other, wanted) => prop_assert!(false, "{other:?} for {wanted:?}"),
                    }
                }
                Step::Pop => {
                    let wanted = (!naive.list.is_empty()).then(|| naive.list.remove(0));
                    prop_assert!(is_one(flow.pop(), wanted));
                }
                Step::PopOldest => {
                    let index = naive.list.iter().position(|known| known.delivery.origin != Origin::RETAINED);
                    let wanted = index.map(|index| naive.list.remove(index));
                    prop_assert!(is_one(flow.pop_oldest(), wanted));
                }
                Step::Doubt => {
                    naive.list.iter_mut().for_each(|known| known.is_doubted = true);
                    flow.doubt(0);
                }
                Step::TakeShared => {
                    let taken = flow.take_shared_waiting();
                    let (wanted, rest) = std::mem::take(&mut naive.list)
                        .into_iter()
                        .partition(|known| known.delivery.origin.group().is_some());
                    naive.list = rest;
                    let wanted: Vec<Known> = wanted;
                    prop_assert_eq!(taken.len(), wanted.len());
                    for (taken, wanted) in taken.iter().zip(&wanted) {
                        prop_assert!(Arc::ptr_eq(&taken.message, &wanted.delivery.message));
                    }
                }
                Step::Policy(policy) => {
                    // With several of one topic it is not said whose place is taken.
                    if policy == SlowPolicy::Latest && !naive.is_latest {
                        while flow.pop().is_some() {}
                        naive.list.clear();
                    }
                    naive.is_latest = policy == SlowPolicy::Latest;
                    flow.set_policy(Some(policy));
                }
            }
            let (replayed, kept): (Vec<&Known>, Vec<&Known>) =
                naive.list.iter().partition(|known| known.delivery.origin == Origin::RETAINED);
            prop_assert_eq!((flow.queued(), flow.replaying()), (naive.list.len(), replayed.len()));
            prop_assert_eq!(flow.queued_bytes(), 10 * kept.len() as u64);
            let holds = !replayed.is_empty() || kept.iter().any(|known| known.delivery.grant.is_qos0());
            prop_assert_eq!(flow.holds_qos0(), holds);
            let front = naive.list.first();
            prop_assert_eq!(flow.has_doubted(), front.is_some_and(|known| known.is_doubted));
            let front = front.map(|known| Arc::as_ptr(&known.delivery.message));
            prop_assert_eq!(flow.front().map(|one| Arc::as_ptr(&one.message)), front);
            prop_assert_eq!(flow.held().count(), naive.list.len());
        }
    }
}
