//! A wait: what is kept meanwhile, who opens it, and how it goes on. Elsewhere: a line of `continuations` in `waits.rs`.

use crate::broker::continuation::{Continuation, Late};
use crate::broker::tests::*;
use crate::broker::waits::{Over, Then, WaitOf};
use crate::budget::Account;

/// A client has asked for a line of a book that another thread reads.
pub(in crate::broker) struct Example {
    book: String,
}

impl Continuation for Example {
    fn memory(&self) -> usize {
        self.book.capacity()
    }

    fn be_late(&mut self) -> Late {
        Late::Closes("its book was not found in time")
    }
}

impl Broker {
    fn ask_for(&mut self, now_ms: u64, conn: ConnId, book: &str) -> u32 {
        let book = book.into();
        let ticket = (self.waits).open(WaitOf::Conn(conn), Then::Example(Example { book }));
        self.waits.charge(&mut self.clients.memory.lease, ticket);
        self.waits.end_at(ticket, now_ms + 100);
        ticket
    }

    fn on_example(&mut self, ticket: u32, line: &str) -> Option<String> {
        let (lease, sessions) = (&mut self.clients.memory.lease, &self.clients.sessions);
        match self.waits.answer(lease, sessions, ticket)? {
            Over {
                then: Then::Example(example),
                ..
            } => Some(format!("{}: {line}", example.book)),
            _ => None,
        }
    }

    fn is_balanced(&mut self) -> bool {
        self.settle(1000);
        let audit = self.audit();
        audit.held[Account::Connections as usize] == audit.charged[Account::Connections as usize]
    }
}

#[test]
fn an_answer_comes_once_and_to_who_asked() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("a", Version::V5);
    let ticket = world.broker.ask_for(1000, conn, "Emma");
    assert!(world.broker.is_balanced());
    let answer = world
        .broker
        .on_example(ticket, "handsome, clever, and rich");
    assert_eq!(answer.as_deref(), Some("Emma: handsome, clever, and rich"));
    assert_eq!(world.broker.on_example(ticket, "again"), None);
    let ticket = world.broker.ask_for(1000, conn, "Persuasion");
    world.broker.on_eof(1000, conn, CloseCause::Error(104));
    assert_eq!(world.broker.on_example(ticket, "too late"), None);
    assert!(world.broker.is_balanced());
}

#[test]
fn who_waits_for_too_long_is_closed() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("a", Version::V5);
    world.broker.ask_for(1000, conn, "Emma");
    world.broker.on_timers(1099);
    assert!(world.broker.is_established(conn));
    world.broker.on_timers(1100);
    assert!(!world.broker.is_established(conn) && world.broker.is_balanced());
    assert_eq!(world.broker.counters().clients_connected, 0);
}
