//! What a shard writes down is read again, at any moment, and must say what the shard holds: of sessions that outlive their
//! connection all, of others the will.

use std::collections::BTreeMap;

use crate::broker::{Options, SessionState, State, UnixMs, place};
use crate::journal::{Ledger, SessionRead};

/// What a shard's ledger says.
pub(super) struct Written<'a>(pub &'a Ledger);

impl Written<'_> {
    /// Compares what was read with what there is.
    pub(super) fn check(&self, mut held: State) {
        held.retained.retain(|topic, _| !topic.starts_with("$SYS"));
        let told = self.state();
        for (serial, held) in &held.sessions {
            let told = told.sessions.get(serial);
            if held.expiry_s > 0 {
                assert_eq!(told, Some(held), "what was written, and what is held");
            } else if held.will.is_some() {
                let of = |one: &SessionState| (one.client_id.clone(), one.will.clone());
                assert_eq!(told.map(of), Some(of(held)), "what was written of a will");
            }
        }
        for serial in told.sessions.keys() {
            assert!(
                held.sessions.contains_key(serial),
                "one that is gone was written to be there"
            );
        }
        assert_eq!(told.retained, held.retained, "what was written as retained");
        assert!(
            !self.0.is_whole() || self.0.messages() <= 1 + self.referred(),
            "messages that nothing refers to are gone"
        );
    }

    fn referred(&self) -> usize {
        let sessions = self.0.sessions();
        let of = |(_, session): (u32, &SessionRead)| {
            session.waiting().count() + session.in_flight().count()
        };
        let handed = (0..u8::MAX).map(|to| self.0.handed(to).count());
        sessions.map(of).sum::<usize>() + self.0.retained().count() + handed.sum::<usize>()
    }

    fn state(&self) -> State {
        let sessions = self.0.sessions();
        let retained = self.0.retained();
        let retained = retained.map(|(_, kept)| &kept.message);
        State {
            sessions: sessions
                .map(|(id, session)| (session.serial, self.session(id, session)))
                .collect(),
            retained: retained
                .map(|message| (message.topic.as_str().into(), place(message)))
                .collect(),
        }
    }

    fn session(&self, id: u32, session: &SessionRead) -> SessionState {
        let place_of = |number: u64| place(&self.0.message(number).unwrap().message);
        let mut waiting = BTreeMap::new();
        for (number, _) in session.waiting() {
            *waiting.entry(place_of(number)).or_default() += 1;
        }
        let subscriptions = session.subscriptions.iter();
        let will = session.will.as_ref();
        let in_flight = session.in_flight();
        SessionState {
            id,
            client_id: session.client_id.to_string(),
            owner: session.owner.as_ref().map(|(user, listener)| {
                let user = user.as_ref().map(|user| user.to_string());
                (user, listener.to_string())
            }),
            is_there: session.is_there,
            expiry_s: session.expiry_s,
            ends_at: session.ends_at.map(UnixMs),
            will: will.map(|will| {
                let topic = will.message.topic.as_str().to_string();
                (topic, will.due_at.map(UnixMs))
            }),
            subscriptions: subscriptions
                .map(|((share, filter), &options)| {
                    let is_own = share.is_none();
                    let share = share.as_ref().map(|share| share.to_string());
                    let options = is_own.then_some(Options(options));
                    ((share, filter.to_string()), options)
                })
                .collect(),
            waiting,
            in_flight: in_flight
                .map(|one| {
                    (
                        one.id,
                        (one.order, one.is_received, one.number.map(place_of)),
                    )
                })
                .collect(),
            inbound: session.inbound.clone(),
        }
    }
}
