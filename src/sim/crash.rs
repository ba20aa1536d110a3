//! Everything ends at once, and begins again with what the disk has of it: all that is durable, and some of what is not. Connections
//! are cut, what was between shards is lost, and the next run may have another number of shards, other rules, and a wall clock that was
//! set back. It may end before it has taken everything up.

use std::collections::VecDeque;
use std::sync::Arc;

use super::link::{Link, Place};
use super::log::{Log, Outbox, Past};
use super::mirror::Mirror;
use super::rng::Rng;
use super::short;
use super::start::Start;
use super::world::World;
use crate::budget::Pool;

/// Milliseconds until the next run begins, at most.
const DOWN_MS_MAX: usize = 4_000;

/// Milliseconds by which the wall clock is set back, at most.
const SET_BACK_MS_MAX: usize = 10_000;

/// What ends at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Crash {
    /// The process: clients still get what the kernel has.
    Kill,
    /// The machine.
    Power,
}

/// Everything ends at once, and begins again, with as many shards or another number of them.
pub(super) fn crash(world: &mut World, kind: Crash) {
    world.faults = true;
    let mut past = end_at_once(world, kind);
    for index in 0..world.clients.len() {
        if !world.rng.once_in(4) {
            notice_the_end(world, index);
        }
    }
    loop {
        world.now_ms += world.rng.below(DOWN_MS_MAX) as u64;
        world.set_back_ms +=
            u64::from(world.rng.once_in(4)) * world.rng.below(SET_BACK_MS_MAX) as u64;
        let before = world.brokers.len() as u8;
        let shards = world.rng.pick(&[before, 1, 2, 3, 4]);
        begin_again(world, past, shards);
        if finish_start(world) {
            break;
        }
        past = end_at_once(world, kind);
    }
    world.log.complete();
    world.faults = false;
}

/// Returns what the disk has of it.
fn end_at_once(world: &mut World, kind: Crash) -> Past {
    let (past, kept) = world.log.end(&mut world.rng);
    world.oracle.crashed(kept);
    let (now_ms, rng) = (world.now_ms, &mut world.rng);
    for link in &mut world.links {
        cut(link, kind, kept, rng);
        link.end.cut_ms = link.end.cut_ms.or(Some(now_ms));
    }
    world.conns.clear();
    for index in 0..world.clients.len() {
        if !world.clients[index].durable {
            let key = (index, world.clients[index].incarnation);
            world.oracle.sessions.entry(key).or_default().alive = false;
        }
    }
    past
}

/// A client reads what there still is for it, and notices that nobody is there any more.
fn notice_the_end(world: &mut World, index: usize) {
    let Some(link) = world.clients[index].link else {
        return;
    };
    world.links[link].stalled = false;
    while world.clients[index].link == Some(link) {
        world.client_reads(link);
    }
}

/// Shards that take up what was left.
fn begin_again(world: &mut World, past: Past, shards: u8) {
    let legacy = past.read();
    // Chance of its own: the run is the same with it and without.
    let mut rng = Rng(world.plan.seed ^ world.now_ms);
    short::check(&past, &legacy, &mut rng);
    if world.oracle.rules.exist() && world.rng.once_in(3) {
        world.change_rules();
    }
    if std::env::var_os("FIREHOSE_SIM_TRACE").is_some() {
        eprintln!("{} a run with {shards} shards begins", world.step);
    }
    world.log = Log::after(past, shards, world.plan.has_disk);
    world.log.cut_chunks(Rng(world.rng.next()));
    world.pool = Arc::new(Pool::new(&world.plan.memory(), shards));
    let unix = world.unix();
    let start = Start {
        plan: &world.plan,
        shards,
        settings: &world.settings,
        pool: &world.pool,
        now_ms: world.now_ms,
        unix,
    };
    world.brokers = (0..shards).map(|shard| start.broker(shard)).collect();
    world.mirrors = world.brokers.iter_mut().map(Mirror::of).collect();
    for (shard, broker) in world.brokers.iter_mut().enumerate() {
        start.take_up(broker, &legacy, (shard as u8, &mut world.log));
    }
    world.outboxes = (0..shards).map(|_| Outbox::default()).collect();
    let roads = || (0..shards).map(|_| VecDeque::new()).collect();
    world.mesh = (0..shards).map(|_| roads()).collect();
}

/// The shards tell each other what they have taken up. False if everything ends once more meanwhile.
fn finish_start(world: &mut World) -> bool {
    let ends = world.rng.once_in(4);
    loop {
        for shard in 0..world.brokers.len() {
            world.carry_out(shard);
            world.end_turn(shard);
        }
        if !world.brokers.iter().any(|broker| broker.is_restoring()) {
            return true;
        }
        if ends && world.rng.once_in(3) {
            return false;
        }
        for from in 0..world.brokers.len() {
            for to in 0..world.brokers.len() {
                while !world.rng.once_in(4) && world.move_mesh(from, to) {}
            }
        }
    }
}

/// The broker's end of a connection is gone.
fn cut(link: &mut Link, kind: Crash, kept: usize, rng: &mut Rng) {
    if matches!(link.place, Place::Gone) {
        // That it came to its end may be forgotten.
        link.lost_bytes |= link.end.written > kept;
        link.end.written = 0;
        return;
    }
    let sending = link.sending.take().unwrap_or_default();
    if !link.client_closed {
        let sent = rng.below(sending.len() + 1);
        link.to_client.extend(&sending[..sent]);
    }
    if let Crash::Power = kind {
        let there = rng.below(link.to_client.len() + 1);
        link.to_client.truncate(there);
    }
    link.place = Place::Gone;
    link.broker_closed = true;
    link.lost_bytes = true;
    link.stalled = false;
}
