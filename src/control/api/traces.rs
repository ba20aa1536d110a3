//! The traces that there are: each has one viewer, or had one just now, who may go on with it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::control::queries::tracing::TraceWanted;
use crate::limits;

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Traces(Rc<RefCell<Vec<Open>>>);

struct Open {
    number: u64,
    wanted: TraceWanted,
    user: Option<String>,
    /// Since when nobody looks; `None` while somebody does.
    left: Option<Instant>,
}

/// A trace that is looked at, as long as this lives.
pub(super) struct Held {
    all: Traces,
    /// Its number.
    pub number: u64,
    /// Its viewer has looked at it before.
    pub is_resumed: bool,
}

impl Traces {
    /// One more, or the one of this number if it is the same user's and of the same; `None` if there are too many.
    pub(super) fn enter(
        &self,
        wanted: &TraceWanted,
        user: Option<&str>,
        number: Option<u64>,
    ) -> Option<Held> {
        let mut all = self.0.borrow_mut();
        let lease = Duration::from_millis(limits::TRACE_LEASE_MS);
        all.retain(|open| open.left.is_none_or(|left| left.elapsed() < lease));
        let held = |number, is_resumed| Held {
            all: self.clone(),
            number,
            is_resumed,
        };
        let is_same = |open: &&mut Open| {
            Some(open.number) == number
                && open.left.is_some()
                && open.wanted == *wanted
                && open.user.as_deref() == user
        };
        if let Some(open) = all.iter_mut().find(is_same) {
            open.left = None;
            return Some(held(open.number, true));
        }
        if all.len() >= limits::TRACES_MAX {
            let place = all.iter().position(|open| open.left.is_some())?;
            all.remove(place);
        }
        let number = fastrand::u64(..);
        all.push(Open {
            number,
            wanted: wanted.clone(),
            user: user.map(String::from),
            left: None,
        });
        Some(held(number, false))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.all.0.borrow_mut();
        if let Some(open) = all.iter_mut().find(|open| open.number == self.number) {
            open.left = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::TraceSubject;

    fn wanted(client: &str) -> TraceWanted {
        TraceWanted {
            subject: TraceSubject::Client(client.into()),
            rate: 1,
            payload_bytes: 0,
        }
    }

    /// Whether somebody goes on with a trace that ann has left, or still looks at.
    fn goes_on(looks: bool, client: &str, user: Option<&str>, change: u64) -> bool {
        let traces = Traces::default();
        let first = traces.enter(&wanted("a"), Some("ann"), None).unwrap();
        let number = first.number ^ change;
        let first = looks.then_some(first);
        let held = traces.enter(&wanted(client), user, Some(number)).unwrap();
        drop(first);
        held.is_resumed
    }

    #[test]
    fn who_left_just_now_may_go_on() {
        assert!(goes_on(false, "a", Some("ann"), 0));
        assert!(!goes_on(true, "a", Some("ann"), 0), "it is looked at");
        assert!(!goes_on(false, "b", Some("ann"), 0));
        assert!(!goes_on(false, "a", Some("bob"), 0));
        assert!(!goes_on(false, "a", None, 0));
        assert!(!goes_on(false, "a", Some("ann"), 1));
    }

    #[test]
    fn there_is_room_for_some_and_who_has_left_makes_room() {
        let traces = Traces::default();
        let enter = || traces.enter(&wanted("a"), None, None);
        let mut all: Vec<Held> = (0..limits::TRACES_MAX).map(|_| enter().unwrap()).collect();
        assert!(enter().is_none());
        all.pop();
        assert!(enter().is_some_and(|held| !held.is_resumed));
    }
}
