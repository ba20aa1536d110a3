//! Tests of the bus model: what it says, how often, and to whom.

mod events;
mod load;

use super::{Bus, Event};

/// The events of the first `seconds`.
fn events_of(mut bus: Bus, seconds: u64) -> Vec<Event> {
    let mut events = Vec::new();
    let mut event = Event::default();
    loop {
        bus.next(&mut event);
        if event.at_ns >= seconds * 1_000_000_000 {
            return events;
        }
        events.push(event.clone());
    }
}
