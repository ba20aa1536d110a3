//! A fact: told where the change is made, heard by who keeps it. Elsewhere: a variant in `facts.rs`.

use std::sync::Mutex;

use crate::broker::sessions::change::Change;
use crate::broker::tests::*;

impl Change<'_> {
    /// Somebody has made a note about the session.
    fn note(&mut self, noted: u32) {
        let session = self.reference();
        self.tell(|_| Fact::Example { session, noted });
    }
}

struct Notes(Arc<Mutex<Vec<(u32, u32)>>>);

impl Keeper for Notes {
    fn keep(&mut self, fact: &Fact<'_>) {
        if let Fact::Example { session, noted } = *fact {
            self.0.lock().unwrap().push((session.id.0, noted));
        }
    }
}

#[test]
fn a_fact_is_told_to_who_keeps_it() {
    let mut world = World::new(Settings::default());
    let notes = Arc::new(Mutex::new(Vec::new()));
    world.broker.listen(Box::new(Notes(notes.clone())));
    world.connect("a", Version::V5);
    let session = world.broker.clients.sessions.find("a").unwrap();
    let sessions = &mut world.broker.clients.sessions;
    sessions.change(session).unwrap().note(7);
    assert_eq!(*notes.lock().unwrap(), [(session.0, 7)]);
}
