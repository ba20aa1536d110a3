//! A shard that is late: what came before a deadline is handled before it.

use super::world::{Plan, World, eventually};
use crate::limits;

const NAP_MS: u64 = 2000;

/// They connect and say hello while the shard does nothing, and a deadline passes meanwhile. An accept is one look, what an
/// accepted client has sent another one.
#[test]
fn who_came_while_a_shard_was_late_is_in_before_deadlines_count() {
    const CLIENTS: usize = 300;
    let world = World::new(Plan::default());
    let mut sleeper = world.established();
    sleeper.say("alarm 200");
    sleeper.say(&format!("nap {NAP_MS}"));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = world.connect();
            client.say("hello");
            client
        })
        .collect();
    eventually("the alarm", || world.seen(|seen| seen.alarms.len())[0] == 1);
    let seen = world.seen(|seen| (seen.alarms.clone(), seen.stood.clone()));
    let (alarms, stood) = &seen[0];
    assert_eq!(alarms, &[CLIENTS + 1]);
    assert!(stood.iter().sum::<u64>() >= NAP_MS, "{stood:?}");
    assert!(stood.iter().all(|&ms| ms >= limits::STANDSTILL_MS_MIN));
    drop(clients);
    drop(sleeper);
    world.end();
}
