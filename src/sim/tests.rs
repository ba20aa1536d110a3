//! Seeds: fixed ones, and a fresh one each time, or as many as `FIREHOSE_SIM_FRESH` says.

use std::collections::BTreeMap;

use super::crash::{Crash, crash};
use super::link::Place;
use super::plan::Plan;
use super::restart;
use super::world::World;
use crate::mqtt::{Version, topic};

/// Steps between two crashes, on average.
const CRASH_STEPS: usize = 120;

/// Runs one world and checks everything. Panics, with the seed, where something does not hold.
fn run(play: fn(u64, u8, u64), seed: u64, shards: u8, steps: u64) {
    let result = std::panic::catch_unwind(|| play(seed, shards, steps));
    if let Err(panic) = result {
        eprintln!(
            "FIREHOSE_SIM_SEED={seed} FIREHOSE_SIM_SHARDS={shards} FIREHOSE_SIM_STEPS={steps}"
        );
        std::panic::resume_unwind(panic);
    }
}

fn play(seed: u64, shards: u8, steps: u64) {
    let mut world = World::new(seed, shards);
    world.run(steps, restart::check);
    heal(&mut world);
    restart::check(&mut world);
    check(&mut world);
    end(&mut world);
    world.check_mirrors();
}

/// One in which something is done between pieces of some steps.
pub(super) fn play_between(seed: u64, shards: u8, pieces: u32, between: impl Fn(&mut World)) {
    let mut world = World::new(seed, shards);
    for _ in 0..pieces {
        let steps = 1 + world.rng.below(40) as u64;
        world.run(steps, |_| {});
        between(&mut world);
    }
    heal(&mut world);
    check(&mut world);
    between(&mut world);
    end(&mut world);
    world.check_mirrors();
}

/// One in which everything ends at once now and then, and once more when all is well.
fn play_crashing(seed: u64, shards: u8, steps: u64) {
    play_with_crashes(Plan::crashing(seed), shards, steps);
}

pub(super) fn play_with_crashes(plan: Plan, shards: u8, steps: u64) {
    let mut world = World::of(plan, shards);
    let mut left = steps;
    while left > 0 {
        let now = left.min(1 + world.rng.below(2 * CRASH_STEPS) as u64);
        world.run(now, |_| {});
        let kind = world.rng.pick(&[Crash::Kill, Crash::Power]);
        crash(&mut world, kind);
        left -= now;
    }
    heal(&mut world);
    crash(&mut world, Crash::Power);
    heal(&mut world);
    check(&mut world);
    end(&mut world);
    world.check_mirrors();
}

/// No more faults: everybody comes back and everything is let run empty.
fn heal(world: &mut World) {
    world.settle();
    for _ in 0..3 {
        for index in 0..world.clients.len() {
            if world.clients[index].link.is_none() && world.clients[index].durable {
                world.connect(index);
            }
        }
        world.settle();
    }
}

fn check(world: &mut World) {
    for link in &world.links {
        if let Some(will) = &link.forbids
            && !link.lost_bytes
            && link.to_broker.is_empty()
        {
            world.oracle.wills_forbidden.insert(will.clone());
        }
    }
    let reached: Vec<bool> = world
        .links
        .iter()
        .map(|link| !link.lost_bytes && link.to_broker.is_empty())
        .collect();
    let lasting: Vec<bool> = world
        .links
        .iter()
        .map(|link| {
            matches!(link.place, Place::At(..)) && !link.client_closed && link.closing.is_none()
        })
        .collect();
    world
        .oracle
        .check_promises(|link| reached[link], |link| lasting[link]);
    check_shared(world);
    if !world.oracle.may_drop_retained {
        let retained = check_retained(world, &reached);
        if !world.oracle.may_drop {
            world.oracle.check_orders(&retained, |link| lasting[link]);
        }
    }
}

/// Exactly one member gets a message while nobody leaves.
fn check_shared(world: &World) {
    let sessions = world.oracle.sessions.iter();
    let members: Vec<_> = sessions
        .filter(|(_, session)| session.alive)
        .flat_map(|(key, session)| session.subscriptions.iter().map(|one| (key.0, one)))
        .filter(|(_, one)| topic::share(&one.filter).is_some() && !one.ended)
        .filter_map(|(client, one)| Some((client, one.acknowledged_at?)))
        .collect();
    for (index, published) in world.oracle.published.iter().enumerate() {
        let count = world.oracle.shared.get(&index).copied().unwrap_or(0);
        // One that its publisher has sent again may have another member.
        if !members.is_empty() && !world.oracle.member_left && !published.resent {
            assert!(count <= 1, "message {index} came to {count} members");
        }
        let (sent_at, topic) = (published.sent_at, &published.topic);
        let due = !published.empty
            && topic.starts_with("s/")
            && published.qos > 0
            && published.acknowledged;
        // One that may read it is enough.
        let is_for = |&(client, since): &(usize, u64)| {
            sent_at > since && world.oracle.rules.must_come(client, sent_at, topic)
        };
        if due && !world.oracle.may_drop && members.iter().any(is_for) {
            assert!(count > 0, "message {index} came to no member");
        }
    }
}

/// Everyone who asks now is told the same, and it is the last word of one of the publishers.
fn check_retained(world: &mut World, reached: &[bool]) -> BTreeMap<String, usize> {
    let mut answers: Vec<BTreeMap<String, usize>> = Vec::new();
    for index in 0..3 {
        let client = world.observer(&format!("observer{index}"), Version::V5);
        world.connect(client);
        world.settle();
        world.oracle.seen.clear();
        world.subscribe_to(client, &[("#", 0)]);
        world.settle();
        let told = world
            .oracle
            .seen
            .iter()
            .filter(|(name, _)| !name.starts_with("w/"));
        let told: Vec<_> = told.cloned().collect();
        answers.push(told.iter().cloned().collect());
        assert_eq!(
            answers[index].len(),
            told.len(),
            "each comes once: {told:?}"
        );
        world.goodbye(client);
        world.settle();
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    for name in ["a/b", "a/c", "c", "d/b", "s/x", "s/y"] {
        let told = answers[0].get(name).copied();
        let possible = world.oracle.retained_candidates(name, |link| reached[link]);
        let fine = possible.contains(&told) || (possible.is_empty() && told.is_none());
        assert!(fine, "{name}: {told:?} is none of {possible:?}");
    }
    answers.swap_remove(0)
}

/// Everybody leaves: every account is back to where it was.
fn end(world: &mut World) {
    for index in 0..world.clients.len() {
        world.clients[index].durable = false;
        if world.clients[index].link.is_some() {
            world.goodbye(index);
        }
    }
    world.settle();
    // A clean start ends what is left of a durable session.
    for index in 0..world.clients.len() {
        world.connect(index);
    }
    world.settle();
    for index in 0..world.clients.len() {
        world.goodbye(index);
    }
    world.settle();
    world.settle();
    for broker in &mut world.brokers {
        let counters = broker.counters();
        let levels = [
            counters.clients_connected,
            counters.clients_disconnected,
            counters.subscriptions,
            counters.shared_subscriptions,
            counters.stored_messages,
            counters.stored_bytes,
            counters.outbound_bytes,
        ];
        assert_eq!(levels, [0; 7]);
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

fn seeds(shards: u8) {
    let steps = number("FIREHOSE_SIM_STEPS").unwrap_or(1500);
    play_all(play, 100, (shards, steps));
}

fn crashing_seeds(shards: u8) {
    let steps = number("FIREHOSE_SIM_STEPS").unwrap_or(600);
    play_all(play_crashing, 100, (shards, steps));
}

fn play_all(play: fn(u64, u8, u64), seeds: u64, (shards, steps): (u8, u64)) {
    if let Some(seed) = number("FIREHOSE_SIM_SEED") {
        return run(play, seed, shards, steps);
    }
    for seed in 1..=seeds {
        run(play, seed * 0x1_0001 + u64::from(shards), shards, steps);
    }
    let mut fresh = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    for _ in 0..number("FIREHOSE_SIM_FRESH").unwrap_or(1) {
        run(play, fresh, shards, steps);
        fresh = fresh.wrapping_add(0x1_0001);
    }
}

#[test]
fn one_shard() {
    seeds(1);
}

#[test]
fn two_shards() {
    seeds(2);
}

#[test]
fn three_shards() {
    seeds(3);
}

#[test]
fn seven_shards() {
    seeds(7);
}

#[test]
fn one_shard_crashes() {
    crashing_seeds(1);
}

#[test]
fn two_shards_crash() {
    crashing_seeds(2);
}

#[test]
fn three_shards_crash() {
    crashing_seeds(3);
}
