//! A start with what another run has written down: any number of shards finds the same again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::journals::Written;
use super::log::Log;
use super::start::Start;
use super::world::World;
use crate::broker::{Broker, Effect, MeshMessage, SessionState, State, UnixMs};
use crate::budget::Pool;
use crate::ids::ShardId;

/// Brokers of the next run, with what goes on between them.
struct Next {
    brokers: Vec<Broker>,
    log: Log,
    mesh: VecDeque<(usize, usize, MeshMessage)>,
}

impl Next {
    /// Shards that take up what others have written down.
    fn begin(world: &World, shards: u8, unix: UnixMs) -> Next {
        let plan = &world.plan;
        let pool = Arc::new(Pool::new(&plan.memory(), shards));
        let start = Start {
            plan,
            shards,
            settings: &world.settings,
            pool: &pool,
            now_ms: world.now_ms,
            unix,
        };
        let mut next = Next {
            brokers: Vec::new(),
            log: Log::new(shards, false),
            mesh: VecDeque::new(),
        };
        for shard in 0..shards {
            let mut broker = start.broker(shard);
            start.take_up(&mut broker, world.log.legacy(), (shard, &mut next.log));
            next.brokers.push(broker);
        }
        next.settle(world.now_ms);
        next
    }

    /// Lets them tell each other what they have to.
    fn settle(&mut self, now_ms: u64) {
        loop {
            for (from, broker) in self.brokers.iter_mut().enumerate() {
                while let Some(effect) = broker.next_effect() {
                    if let Effect::Mesh { to, message } = effect {
                        self.mesh.push_back((from, to.index(), message));
                    }
                }
            }
            let Some((from, to, message)) = self.mesh.pop_front() else {
                assert!(self.brokers.iter().all(|broker| !broker.is_restoring()));
                return;
            };
            self.brokers[to].on_mesh(now_ms, ShardId(from as u8), message);
        }
    }

    fn state(&self) -> State {
        let mut all = State::default();
        for broker in &self.brokers {
            let State { sessions, retained } = broker.state();
            all.sessions.extend(sessions);
            all.retained.extend(retained);
        }
        all
    }
}

/// What has to be there again of a session.
fn what_lasts(session: &SessionState) -> SessionState {
    let mut lasts = SessionState {
        id: 0,
        is_there: false,
        ends_at: None,
        ..session.clone()
    };
    if let Some((_, due)) = &mut lasts.will {
        *due = None;
    }
    lasts
}

/// A session, by its serial.
type Sessions = BTreeMap<u64, SessionState>;

/// What may differ is made the same: what was on its way is there now, and what does not fit is dropped.
fn even_out(found: &mut Sessions, lasting: &Sessions, is_moving: bool, is_short: bool) {
    if is_moving {
        // What was on its way is there now.
        for (serial, found) in found.iter_mut() {
            let held = &lasting[serial].waiting;
            for (message, count) in held {
                let found = found.waiting.get(message);
                assert!(found >= Some(count) || is_short, "what waited is there");
            }
            found.waiting = held.clone();
            if is_short {
                // It has taken the place of copies.
                let held = &lasting[serial].in_flight;
                assert!(found.in_flight.keys().eq(held.keys()));
                found.in_flight = held.clone();
            }
        }
    } else if is_short {
        // What does not fit is dropped.
        for (serial, found) in found.iter_mut() {
            let SessionState {
                waiting, in_flight, ..
            } = &lasting[serial];
            found.waiting.iter().for_each(|(message, &count)| {
                assert!(waiting.get(message).is_some_and(|&held| held >= count));
            });
            found.waiting = waiting.clone();
            assert!(found.in_flight.keys().eq(in_flight.keys()));
            for (found, &held) in found.in_flight.values_mut().zip(in_flight.values()) {
                // Its copy may be given up.
                let (order, is_received, _) = held;
                assert!(*found == held || *found == (order, is_received, None));
                *found = held;
            }
        }
    }
}

/// What is held would be there again after a start with as many shards, or another number of them.
pub(super) fn check(world: &mut World) {
    world.check_mirrors();
    let unix = world.unix();
    let mut held = State::default();
    for broker in &world.brokers {
        let State { sessions, retained } = broker.state();
        held.sessions.extend(sessions);
        held.retained.extend(retained);
    }
    let is_moving = !world.log.legacy().in_transit().is_empty();
    let is_short = world.plan.is_short();
    for shards in [world.brokers.len() as u8, 1 + (world.plan.seed % 4) as u8] {
        let mut next = Next::begin(world, shards, unix);
        let again = next.state();
        let lasting = held.sessions.iter().filter(|(_, one)| one.expiry_s > 0);
        let lasting: Sessions = lasting
            .map(|(&serial, one)| (serial, what_lasts(one)))
            .collect();
        let found = again.sessions.iter().filter(|(_, one)| one.expiry_s > 0);
        let mut found: Sessions = found
            .map(|(&serial, one)| (serial, what_lasts(one)))
            .collect();
        even_out(&mut found, &lasting, is_moving, is_short);
        assert_eq!(
            found, lasting,
            "sessions after a start with {shards} shards"
        );
        let wills = |state: &State| -> Vec<String> {
            let sessions = state.sessions.values();
            sessions
                .filter_map(|one| one.will.as_ref().map(|(topic, _)| topic.clone()))
                .collect()
        };
        assert_eq!(wills(&again), wills(&held), "wills");
        if !is_moving {
            assert_eq!(again.retained, held.retained, "retained messages");
        }
        for (shard, broker) in next.brokers.iter_mut().enumerate() {
            next.log.end_turn(shard, broker, world.now_ms);
            let ledger = next.log.legacy().ledger(shard as u8).unwrap();
            Written(ledger).check(broker.state());
        }
    }
}
