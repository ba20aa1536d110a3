//! A keeper of facts that knows nothing else: what it believes a shard to hold must be what the shard holds. So no change is
//! without a fact, and none is told that did not happen.

use std::sync::{Arc, Mutex};

use crate::broker::{
    Answer, Broker, Fact, Keeper, Options, SessionState, State, Subscription, place,
};
use crate::ids::SessionRef;
use crate::mqtt::{AckKind, ReasonCode};

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Mirror(Arc<Mutex<State>>);

impl Mirror {
    /// One that hears of all that happens to a shard from here on.
    pub(super) fn of(broker: &mut Broker) -> Mirror {
        let mirror = Mirror::default();
        broker.listen(Box::new(mirror.clone()));
        mirror
    }

    /// Compares what was told with what there is.
    pub(super) fn check(&self, held: &State) {
        let told = self.0.lock().unwrap();
        for (serial, session) in &held.sessions {
            assert_eq!(
                told.sessions.get(serial),
                Some(session),
                "what was told, and what is held"
            );
        }
        assert_eq!(*told, *held, "what was told, and what is held");
    }
}

impl Keeper for Mirror {
    fn keep(&mut self, fact: &Fact<'_>) {
        let mut state = self.0.lock().unwrap();
        match *fact {
            Fact::Opened { session, client_id } => {
                let new = SessionState {
                    id: session.id.0,
                    client_id: client_id.into(),
                    ..SessionState::default()
                };
                let before = state.sessions.insert(session.serial, new);
                assert_eq!(before, None, "a serial is given once");
            }
            Fact::Ended { session } => {
                state.sessions.remove(&session.serial).unwrap();
            }
            Fact::RetainedStored { message } => {
                let message = message.message;
                let topic = message.topic.as_str().into();
                state.retained.insert(topic, place(message));
            }
            Fact::RetainedRemoved { topic } => {
                state.retained.remove(topic);
            }
            Fact::Resumed { session }
            | Fact::Identified { session, .. }
            | Fact::ExpirySet { session, .. }
            | Fact::Away { session, .. }
            | Fact::WillSet { session, .. }
            | Fact::WillDue { session, .. }
            | Fact::WillTaken { session }
            | Fact::Subscribed { session, .. }
            | Fact::Unsubscribed { session, .. } => come_and_go(known(&mut state, session), fact),
            Fact::Queued { session, .. }
            | Fact::Unqueued { session, .. }
            | Fact::Sent { session, .. }
            | Fact::CopyGivenUp { session, .. }
            | Fact::Received { session, .. }
            | Fact::Acknowledged { session, .. }
            | Fact::InboundStored { session, .. }
            | Fact::InboundReleased { session, .. } => deliver(known(&mut state, session), fact),
            Fact::Example { .. } => unreachable!("nobody tells it here"),
            Fact::Answered { session, answer } => is_true(known(&mut state, session), answer),
        }
    }
}

fn known(state: &mut State, session: SessionRef) -> &mut SessionState {
    let known = state.sessions.get_mut(&session.serial);
    let known = known.expect("only of a session that exists something is told");
    assert_eq!(known.id, session.id.0);
    known
}

fn key(subscription: Subscription<'_>) -> (Option<String>, String) {
    let Subscription { share, filter } = subscription;
    (share.map(str::to_string), filter.to_string())
}

/// The session, its will, its subscriptions.
fn come_and_go(session: &mut SessionState, fact: &Fact<'_>) {
    match *fact {
        Fact::Resumed { .. } => {
            (session.is_there, session.ends_at) = (true, None);
            if let Some((_, due)) = &mut session.will {
                *due = None;
            }
        }
        Fact::Identified { user, listener, .. } => {
            session.owner = Some((user.map(String::from), listener.into()));
        }
        Fact::ExpirySet { seconds, .. } => session.expiry_s = seconds,
        Fact::Away { ends_at, .. } => (session.is_there, session.ends_at) = (false, ends_at),
        Fact::WillSet { will, .. } => {
            session.will = Some((will.message.topic.as_str().into(), None));
        }
        Fact::WillDue { at, .. } => session.will.as_mut().unwrap().1 = at,
        Fact::WillTaken { .. } => {
            session.will.take().expect("a will is taken once");
        }
        Fact::Subscribed { to, options, .. } => {
            let is_own = to.share.is_none();
            session
                .subscriptions
                .insert(key(to), is_own.then_some(Options(options)));
        }
        Fact::Unsubscribed { from, .. } => {
            let was_there = session.subscriptions.remove(&key(from));
            was_there.expect("what is unsubscribed from was subscribed to");
        }
        _ => {}
    }
}

/// What waits and is in flight, in both directions.
fn deliver(session: &mut SessionState, fact: &Fact<'_>) {
    match *fact {
        Fact::Queued { message, .. } => {
            *session.waiting.entry(place(message.message)).or_default() += 1;
        }
        Fact::Unqueued { message, .. } => {
            let place = place(message);
            let times = session.waiting.get_mut(&place).expect("it waited");
            *times -= 1;
            if *times == 0 {
                session.waiting.remove(&place);
            }
        }
        Fact::Sent {
            id, order, message, ..
        } => {
            let new = (order, false, message.map(|one| place(one.message)));
            let before = session.in_flight.insert(id, new);
            assert_eq!(before, None, "an identifier in use is not given again");
        }
        Fact::CopyGivenUp { id, .. } => session.in_flight.get_mut(&id).unwrap().2 = None,
        Fact::Received { id, .. } => {
            let known = session.in_flight.get_mut(&id).unwrap();
            (known.1, known.2) = (true, None);
        }
        Fact::Acknowledged { id, .. } => {
            session.in_flight.remove(&id).expect("it was in flight");
        }
        Fact::InboundStored { id, .. } => {
            session.inbound.insert(id);
        }
        Fact::InboundReleased { id, .. } => {
            assert!(session.inbound.remove(&id), "it was stored");
        }
        _ => {}
    }
}

/// An answer is given after all that it says was told.
fn is_true(session: &SessionState, answer: Answer) {
    match answer {
        Answer::Connack { .. } => assert!(session.is_there),
        Answer::Ack(AckKind::Pubrec, id, reason) if !reason.is_error() => {
            assert!(session.inbound.contains(&id.get()), "PUBREC comes after it");
        }
        Answer::Ack(AckKind::Pubcomp, id, _) => {
            assert!(
                !session.inbound.contains(&id.get()),
                "PUBCOMP comes after it"
            );
        }
        Answer::Ack(AckKind::Pubrel, id, ReasonCode::SUCCESS) => {
            let known = session.in_flight.get(&id.get());
            assert!(known.is_some_and(|known| known.1), "PUBREL comes after it");
        }
        Answer::Ack(..) | Answer::Suback(_) | Answer::Unsuback(_) => {}
    }
}
