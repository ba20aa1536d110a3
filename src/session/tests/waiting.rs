//! What waits, against a naive list, and how much work it is to take the oldest out of a long queue.

use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Waits, bounds, granted, message};
use crate::ids::{GroupId, ShardId};
use crate::mqtt::message::Message;
use crate::mqtt::{QoS, Topic};
use crate::session::{Backlog, Bounds, Delivery, Origin, Queue, Queued, SlowPolicy, Way};

fn delivery(topic: u32, qos: u8, origin: Origin) -> Delivery {
    let message = Message {
        topic: Topic::new(topic.to_string()).unwrap(),
        ..Arc::into_inner(message(10)).unwrap()
    };
    Delivery {
        message: Arc::new(message),
        grant: granted(QoS::from_bits(qos).unwrap()),
        origin,
        number: 0,
    }
}

/// So many that to look at all of them for each of them would take hours.
const MANY: u32 = 200_000;

/// A session that holds more than its share drops message by message, with retained ones in front of them.
#[test]
fn the_oldest_are_dropped_at_the_same_cost_however_many_wait() {
    let mut waits = Waits::with(SlowPolicy::Latest);
    let bounds = bounds(1, 0);
    waits.put(&delivery(0, 1, Origin::RETAINED), &bounds);
    for topic in 0..MANY {
        waits.put(&delivery(topic, 1, Origin::ORDINARY), &bounds);
    }
    for topic in 0..MANY {
        let oldest = waits.pop_oldest().unwrap();
        assert_eq!(&*oldest.message.topic, topic.to_string());
    }
    assert!(waits.pop_oldest().is_none());
    assert_eq!((waits.queue.len(), waits.queue.replaying()), (1, 1));
    assert!(
        waits.queue.memory() < 10_000,
        "what was known of them is gone"
    );
}

/// Whoever comes down to a small part of what it holds keeps that part.
#[test]
fn the_room_of_what_was_dropped_is_given_back() {
    for policy in [SlowPolicy::DropOldest, SlowPolicy::Latest] {
        let mut waits = Waits::with(policy);
        for topic in 0..MANY / 4 {
            waits.put(&delivery(topic, 1, Origin::ORDINARY), &bounds(1, 0));
        }
        waits.queue.charge();
        let most = waits.queue.weight() / 50;
        while waits.queue.weight() > most {
            assert!(waits.pop_oldest().is_some());
            waits.queue.charge();
        }
        let (left, all) = (waits.queue.len(), MANY as usize / 4);
        assert!(left > all / 100, "{policy:?}: {left} of {all}");
    }
}

/// Newer messages of topics whose retained message waits at the end: each has to come behind it.
#[test]
fn a_newer_message_takes_the_place_of_an_older_one_at_the_same_cost_however_many_wait() {
    let mut waits = Waits::with(SlowPolicy::Latest);
    let bounds = bounds(1, 0);
    for topic in 0..MANY {
        waits.put(&delivery(topic, 1, Origin::ORDINARY), &bounds);
    }
    waits.put(&delivery(0, 1, Origin::RETAINED), &bounds);
    for topic in 0..MANY {
        let newer = waits.put(&delivery(topic, 1, Origin::ORDINARY), &bounds);
        assert!(matches!(newer, Queued::Replaced(_)));
    }
    for topic in 1..MANY {
        assert_eq!(&*waits.pop().unwrap().message.topic, topic.to_string());
    }
    let last = [waits.pop().unwrap(), waits.pop().unwrap()];
    assert_eq!(
        last.map(|one| one.origin),
        [Origin::RETAINED, Origin::ORDINARY]
    );
}

/// The same message over and over, behind its retained one: the gaps that it leaves are no memory for good.
#[test]
fn gaps_are_closed() {
    let mut waits = Waits::with(SlowPolicy::Latest);
    let bounds = bounds(1, 0);
    for topic in 0..100 {
        waits.put(&delivery(topic, 1, Origin::ORDINARY), &bounds);
    }
    let memory = waits.queue.memory();
    for round in 0..10_000 {
        let topic = 1 + round % 99;
        waits.put(&delivery(topic, 1, Origin::RETAINED), &bounds);
        let newer = waits.put(&delivery(topic, 1, Origin::ORDINARY), &bounds);
        assert!(matches!(newer, Queued::Replaced(_)));
    }
    let references = waits.queue.replaying() * (size_of::<Delivery>() + 24) * 2;
    assert!(
        waits.queue.memory() < 4 * memory + 2 * references,
        "{}",
        waits.queue.memory()
    );
    assert_eq!(waits.queue.len(), 10_100);
}

/// What happens to some sessions, whose messages are in one list.
#[derive(Clone, Debug)]
enum Step {
    /// A message is offered to those in the mask, with a QoS each.
    Put(u8, u32, u8, Origin),
    Pop(usize),
    PopOldest(usize),
    Doubt(usize),
    TakeShared(usize),
    Policy(usize, SlowPolicy),
    /// A session ends, and another one takes its place.
    End(usize),
}

const SESSIONS: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let origin = prop_oneof![
        5 => Just(Origin::ORDINARY),
        2 => Just(Origin::RETAINED),
        1 => Just(Origin::shared(ShardId(0), GroupId(1))),
        1 => Just(Origin::shared(ShardId(0), GroupId(2))),
    ];
    let policy = prop_oneof![
        3 => Just(SlowPolicy::Latest),
        2 => Just(SlowPolicy::DropOldest)
    ];
    let which = || 0..SESSIONS;
    let mask = prop_oneof![
        Just(0xff),
        any::<u8>(),
        (0..SESSIONS).prop_map(|one| 1 << one)
    ];
    let step = prop_oneof![
        16 => (mask, 0..6u32, any::<u8>(), origin).prop_map(|(mask, topic, qos, origin)| Step::Put(mask, topic, qos, origin)),
        9 => which().prop_map(Step::Pop),
        5 => which().prop_map(Step::PopOldest),
        1 => which().prop_map(Step::Doubt),
        2 => which().prop_map(Step::TakeShared),
        2 => (which(), policy).prop_map(|(one, policy)| Step::Policy(one, policy)),
        1 => which().prop_map(Step::End),
    ];
    proptest::collection::vec(step, 1..400)
}

/// One that waits: its message, which tells it from all others, where it came from, and whether other rules held then.
struct Known {
    delivery: Delivery,
    is_doubted: bool,
}

/// What a queue is to be like, step by step, as slow as it may be.
#[derive(Default)]
struct Naive {
    list: Vec<Known>,
    is_latest: bool,
}

impl Naive {
    fn kept(&self) -> impl Iterator<Item = &Known> {
        let kept = self.list.iter();
        kept.filter(|known| known.delivery.origin != Origin::RETAINED)
    }

    fn put(&mut self, delivery: Delivery, bounds: &Bounds) -> Queued {
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
        let index = self.list.iter().rposition(is_older);
        let Some(index) = index.filter(|_| may_replace) else {
            let is_full = bounds.queued > 0 && self.kept().count() >= bounds.queued as usize;
            if is_full && newer.origin != Origin::RETAINED {
                return Queued::Full;
            }
            self.list.push(known);
            return Queued::Yes;
        };
        let mut behind = self.list[index..].iter();
        if behind.any(|known| is_same(known, Origin::RETAINED)) {
            self.list.push(known);
            return Queued::Replaced(self.list.remove(index).delivery);
        }
        let older = std::mem::replace(&mut self.list[index].delivery, newer);
        Queued::Replaced(older)
    }
}

fn is_one(taken: Option<&Delivery>, wanted: Option<&Known>) -> bool {
    match (taken, wanted) {
        (Some(taken), Some(wanted)) => is_same(taken, &wanted.delivery),
        (None, None) => true,
        _ => false,
    }
}

fn is_same(one: &Delivery, other: &Delivery) -> bool {
    Arc::ptr_eq(&one.message, &other.message)
        && (one.grant, one.origin, one.number) == (other.grant, other.origin, other.number)
}

/// The sessions, what they are to be like, and what their account has been charged.
#[derive(Default)]
struct World {
    backlog: Backlog,
    queues: [Queue; SESSIONS],
    naive: [Naive; SESSIONS],
    charged: i64,
}

impl World {
    fn step(&mut self, step: Step, bounds: &Bounds) {
        match step {
            Step::Put(mask, topic, qos, origin) => {
                let one = delivery(topic, 1, origin);
                for index in (0..SESSIONS).filter(|index| mask & 1 << index != 0) {
                    let qos = QoS::from_bits(qos >> index & 1).unwrap();
                    let grant = granted(qos);
                    let one = Delivery {
                        grant,
                        ..one.clone()
                    };
                    let way = Way { grant, origin };
                    let queue = &mut self.queues[index];
                    let queued = queue.put(&mut self.backlog, &one.message, way, bounds);
                    // What is at hand has one number, with which it is told later that it has been taken.
                    let number = self.backlog.number(&one.message);
                    let wanted = self.naive[index].put(Delivery { number, ..one }, bounds);
                    assert_eq!(queued, wanted);
                    if let (Queued::Replaced(one), Queued::Replaced(other)) = (&queued, &wanted) {
                        assert!(is_same(one, other));
                    }
                }
            }
            Step::Pop(index) => {
                let naive = &mut self.naive[index];
                let wanted = (!naive.list.is_empty()).then(|| naive.list.remove(0));
                let taken = self.queues[index].pop(&mut self.backlog);
                assert!(is_one(taken.as_ref(), wanted.as_ref()));
            }
            Step::PopOldest(index) => {
                let naive = &mut self.naive[index];
                let is_kept = |known: &Known| known.delivery.origin != Origin::RETAINED;
                let at = naive.list.iter().position(is_kept);
                let wanted = at.map(|at| naive.list.remove(at));
                let taken = self.queues[index].pop_oldest(&mut self.backlog);
                assert!(is_one(taken.as_ref(), wanted.as_ref()));
            }
            Step::Doubt(index) => {
                let naive = &mut self.naive[index];
                let all = naive.list.iter_mut();
                all.for_each(|known| known.is_doubted = true);
                self.queues[index].doubt();
            }
            Step::TakeShared(index) => {
                let taken = self.queues[index].take_shared(&mut self.backlog);
                let naive = &mut self.naive[index];
                let (wanted, rest): (Vec<Known>, _) = std::mem::take(&mut naive.list)
                    .into_iter()
                    .partition(|known| known.delivery.origin.group().is_some());
                naive.list = rest;
                assert_eq!(taken.len(), wanted.len());
                let mut both = taken.iter().zip(&wanted);
                assert!(both.all(|(taken, wanted)| is_same(taken, &wanted.delivery)));
            }
            Step::Policy(index, policy) => {
                let is_latest = policy == SlowPolicy::Latest;
                self.naive[index].is_latest = is_latest;
                self.queues[index].set_latest(&self.backlog, is_latest);
            }
            Step::End(index) => self.end(index),
        }
    }

    fn end(&mut self, index: usize) {
        let is_latest = self.naive[index].is_latest;
        while self.queues[index].pop(&mut self.backlog).is_some() {}
        self.naive[index] = Naive::default();
        self.queues[index] = Queue::default();
        self.naive[index].is_latest = is_latest;
        self.queues[index].set_latest(&self.backlog, is_latest);
    }

    fn check(&mut self) {
        let mut messages = std::collections::BTreeMap::new();
        let mut references = std::collections::BTreeMap::new();
        for (queue, naive) in self.queues.iter().zip(&self.naive) {
            let kept: Vec<&Known> = naive.kept().collect();
            let replaying = naive.list.len() - kept.len();
            assert_eq!(
                (queue.len(), queue.replaying()),
                (naive.list.len(), replaying)
            );
            let bytes = kept.iter().map(|one| one.delivery.message.payload.len());
            assert_eq!(queue.bytes(), bytes.sum::<usize>() as u64);
            let costs = naive.list.iter().map(|one| one.delivery.message.cost());
            let held = costs.sum::<usize>() as u64;
            assert_eq!(queue.weight(), held + queue.charged() as u64);
            let has_qos0 = kept.iter().any(|known| known.delivery.grant.is_qos0());
            assert_eq!(queue.holds_qos0(), replaying > 0 || has_qos0);
            let front = naive.list.first();
            let is_doubted = front.is_some_and(|known| known.is_doubted);
            assert_eq!(queue.has_doubted(), is_doubted);
            let way = queue.front().map(|way| (way.grant, way.origin));
            let wanted = front.map(|known| (known.delivery.grant, known.delivery.origin));
            assert_eq!(way, wanted);
            assert_eq!(queue.iter(&self.backlog).count(), naive.list.len());
            for position in queue.positions() {
                *references.entry(position).or_default() += 1;
            }
            for known in &naive.list {
                let message = &known.delivery.message;
                messages.insert(Arc::as_ptr(message), message.cost() as i64);
            }
        }
        assert!(self.backlog.references().eq(references));
        assert_eq!(self.backlog.memory(), self.backlog.counted());
        self.charged += self.backlog.take_owed();
        let held = messages.values().sum::<i64>();
        assert_eq!(self.charged, held + self.backlog.memory() as i64);
    }
}

proptest! {
    #[test]
    fn what_waits_is_a_list(steps in steps(), queued in prop_oneof![Just(0u32), 1..12u32]) {
        let mut world = World::default();
        let bounds = bounds(1, queued);
        for step in steps {
            world.step(step, &bounds);
            world.check();
        }
        (0..SESSIONS).for_each(|index| world.end(index));
        world.check();
        prop_assert_eq!(world.backlog.references().count(), 0);
    }
}

proptest! {
    /// What is told of all that waits, for who writes it down, is what is taken one by one.
    #[test]
    fn what_waits_is_told_in_its_order(
        is_latest: bool,
        steps in proptest::collection::vec((0u32..6, 0u8..3, 0u8..5), 0..120),
    ) {
        let policy = [SlowPolicy::DropOldest, SlowPolicy::Latest][usize::from(is_latest)];
        let mut waits = Waits::with(policy);
        for (topic, qos, what) in steps {
            let origin = match what {
                0 => Origin::RETAINED,
                1 => Origin::shared(ShardId(0), GroupId(1)),
                _ => Origin::ORDINARY,
            };
            match what {
                4 => drop(waits.pop()),
                _ => drop(waits.put(&delivery(topic, qos, origin), &bounds(1, 0))),
            }
        }
        let mut told = Vec::new();
        let all = waits.queue.each_waiting(|one| {
            let known = one.retained.or_else(|| waits.backlog.get(one.number));
            assert!(known.is_some());
            let numbers = (0..u64::from(one.len)).map(|place| one.number + place);
            told.extend(numbers.map(|number| (number, one.way)));
            ControlFlow::Continue(())
        });
        prop_assert!(all.is_continue());
        let first = waits.queue.each_waiting(|_| ControlFlow::Break(()));
        prop_assert_eq!(first.is_break(), !told.is_empty());
        let taken = std::iter::from_fn(|| waits.pop());
        let taken: Vec<_> = taken.map(|one| (one.number, one.way())).collect();
        prop_assert_eq!(told, taken);
    }
}

/// Several of a topic may wait from before the policy was this one: what comes between the older ones and the newest stays behind
/// them.
#[test]
fn a_newer_message_takes_the_place_of_the_newest_that_waits() {
    let mut waits = Waits::with(SlowPolicy::DropOldest);
    let [first, second, third] = [0; 3].map(|topic| delivery(topic, 1, Origin::ORDINARY));
    let other = delivery(1, 1, Origin::ORDINARY);
    for one in [&first, &other, &second] {
        assert_eq!(waits.put(one, &bounds(1, 0)), Queued::Yes);
    }
    waits.queue.set_latest(&waits.backlog, true);
    match waits.put(&third, &bounds(1, 0)) {
        Queued::Replaced(older) => assert!(Arc::ptr_eq(&older.message, &second.message)),
        other => panic!("{other:?}"),
    }
    for wanted in [&first, &other, &third] {
        let taken = waits.pop().unwrap();
        assert!(Arc::ptr_eq(&taken.message, &wanted.message));
    }
}
