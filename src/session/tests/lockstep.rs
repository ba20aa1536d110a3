//! What many sessions that wait take of memory, against one reference for each message in each of their queues.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{bounds, granted, message};
use crate::mqtt::QoS;
use crate::mqtt::message::Message;
use crate::session::{Backlog, Delivery, Origin, Queue, Queued, Way};

fn way() -> Way {
    Way {
        grant: granted(QoS::AtLeastOnce),
        origin: Origin::ORDINARY,
    }
}

/// Sessions whose messages lie in one list.
struct Sessions {
    backlog: Backlog,
    queues: Vec<Queue>,
}

impl Sessions {
    fn new(count: usize) -> Sessions {
        Sessions {
            backlog: Backlog::default(),
            queues: (0..count).map(|_| Queue::default()).collect(),
        }
    }

    fn put(&mut self, session: usize, message: &Arc<Message>) {
        let queued = self.queues[session].put(&mut self.backlog, message, way(), &bounds(1, 0));
        assert_eq!(queued, Queued::Yes);
    }

    fn pop(&mut self, session: usize) -> Option<Delivery> {
        self.queues[session].pop(&mut self.backlog)
    }

    /// Bytes of the list, the queues, and what refers to them, without the messages.
    fn memory(&self) -> usize {
        let queues = self.queues.iter();
        let queues = queues.map(|queue| size_of::<Box<Queue>>() + queue.memory());
        self.backlog.memory() + queues.sum::<usize>()
    }
}

/// Bytes of a queue with a reference for each message, when so many have been put into it.
fn references(count: usize) -> usize {
    type Reference = Option<(Arc<()>, Way)>;
    let mut queue = VecDeque::<Reference>::new();
    let message = Arc::new(());
    (0..count).for_each(|_| queue.push_back(Some((message.clone(), way()))));
    queue.capacity() * size_of::<Reference>()
}

#[test]
fn sessions_that_wait_for_the_same_take_a_fiftieth() {
    const SESSIONS: usize = 100_000;
    const MESSAGES: usize = 200;
    let mut sessions = Sessions::new(SESSIONS);
    for _ in 0..MESSAGES {
        let message = message(1);
        (0..SESSIONS).for_each(|session| sessions.put(session, &message));
    }
    let (before, after) = (SESSIONS * references(MESSAGES), sessions.memory());
    assert!(50 * after <= before, "{after} bytes, {before} before");
    assert!(sessions.queues[7].len() == MESSAGES && sessions.queues[7].bytes() == 200);
    // They are taken in their order, and the last one takes what is left of the list along.
    for session in 0..SESSIONS {
        assert!(sessions.pop(session).is_some());
    }
    assert_eq!(sessions.backlog.references().count(), MESSAGES - 1);
}

/// Each session has topics of its own. A queue of references is as large as the next power of two: so it is the sum over queues of
/// many lengths that counts.
#[test]
fn sessions_that_wait_for_their_own_take_no_more_than_references() {
    const SESSIONS: usize = 100;
    // What the state of each session had for such a queue.
    const FIXED: usize = 96;
    let (mut before, mut after) = (0, 0);
    for count in (16..=512).step_by(16) {
        let mut sessions = Sessions::new(SESSIONS);
        for _ in 0..count {
            (0..SESSIONS).for_each(|session| sessions.put(session, &message(1)));
        }
        before += SESSIONS * (FIXED + references(count));
        after += sessions.memory();
    }
    assert!(after <= before, "{after} bytes, {before} before");
}

/// Whoever never comes back keeps what waits for it, and nothing of what others have taken.
#[test]
fn a_slow_session_keeps_little() {
    let mut sessions = Sessions::new(2);
    let oldest = message(1);
    sessions.put(0, &oldest);
    for _ in 0..200_000 {
        let message = message(1);
        sessions.put(1, &message);
        assert!(Arc::ptr_eq(&sessions.pop(1).unwrap().message, &message));
        assert_eq!(Arc::strong_count(&message), 1, "it is gone from the list");
    }
    assert_eq!(sessions.backlog.references().count(), 1);
    assert!(sessions.backlog.memory() < 4096);
    // Here and there one of many that others take.
    const KEPT: usize = 1000;
    for _ in 0..KEPT {
        for nth in 0..64 {
            let message = message(1);
            sessions.put(1, &message);
            if nth == 7 {
                sessions.put(0, &message);
            }
        }
    }
    while sessions.pop(1).is_some() {}
    assert_eq!(sessions.backlog.references().count(), KEPT + 1);
    let each = sessions.backlog.memory() / KEPT;
    assert!(each < 128, "{each} bytes each");
    while sessions.pop(0).is_some() {}
    assert_eq!(sessions.backlog.references().count(), 0);
    assert!(sessions.backlog.memory() <= 64 * 16);
}
