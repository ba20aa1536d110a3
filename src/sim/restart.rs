//! A start with what another run has written down: any number of shards finds the same again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::journals::Journal;
use super::plan::Plan;
use super::world::World;
use crate::broker::{Broker, Effect, MeshMessage, SessionState, State, UnixMs};
use crate::budget::Pool;
use crate::ids::ShardId;

/// Brokers of the next run, with what goes on between them.
struct Next {
    brokers: Vec<Broker>,
    journals: Vec<Journal>,
    mesh: VecDeque<(usize, usize, MeshMessage)>,
}

impl Next {
    /// Shards that take up what others have written down.
    fn begin(world: &World, seed: u64, shards: u8, unix: UnixMs) -> Next {
        let plan = Plan::of(seed);
        let pool = Arc::new(Pool::new(&plan.memory(), shards));
        let mut next = Next {
            brokers: Vec::new(),
            journals: Vec::new(),
            mesh: VecDeque::new(),
        };
        for shard in 0..shards {
            let mut broker = plan.broker(shard, shards, &world.settings, &pool);
            broker.on_wall_clock(world.now_ms, unix);
            next.journals.push(Journal::of(&mut broker, seed));
            for journal in &world.journals {
                broker.on_restore(world.now_ms, journal.ledger());
            }
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

/// What is held would be there again after a start with as many shards, or another number of them.
pub(super) fn check(world: &mut World, seed: u64) {
    world.check_mirrors();
    let unix = world.unix();
    let mut held = State::default();
    for broker in &world.brokers {
        let State { sessions, retained } = broker.state();
        held.sessions.extend(sessions);
        held.retained.extend(retained);
    }
    for shards in [world.brokers.len() as u8, 1 + (seed % 4) as u8] {
        let mut next = Next::begin(world, seed, shards, unix);
        let again = next.state();
        let lasting = held.sessions.iter().filter(|(_, one)| one.expiry_s > 0);
        let lasting: BTreeMap<_, _> = lasting
            .map(|(serial, one)| (serial, what_lasts(one)))
            .collect();
        let found = again.sessions.iter().filter(|(_, one)| one.expiry_s > 0);
        let mut found: BTreeMap<_, _> = found
            .map(|(serial, one)| (serial, what_lasts(one)))
            .collect();
        if Plan::of(seed).is_short() {
            // What does not fit is dropped.
            for (serial, found) in &mut found {
                let held = &lasting[serial].waiting;
                found.waiting.iter().for_each(|(message, &count)| {
                    assert!(held.get(message).is_some_and(|&held| held >= count));
                });
                found.waiting = held.clone();
            }
        }
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
        assert_eq!(again.retained, held.retained, "retained messages");
        for (broker, journal) in next.brokers.iter_mut().zip(&mut next.journals) {
            let held = broker.state();
            journal.check(broker, held, world.now_ms);
        }
    }
}
