//! What a shard holds for its sessions and topics, read from the brain itself: for comparison with what was told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::broker::{Broker, UnixMs};
use crate::ids::SessionId;
use crate::mqtt::message::Message;
use crate::routing::{EntryOptions, Target};
use crate::session::{InFlight, Progress, Session};

/// Which message it is, by what it says.
pub(crate) type Place = u64;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By serial.
    pub sessions: BTreeMap<u64, SessionState>,
    /// By topic.
    pub retained: BTreeMap<String, Place>,
}

/// What is known of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    pub id: u32,
    pub client_id: String,
    /// The user name, and the name of the listener.
    pub owner: Option<(Option<String>, String)>,
    pub is_there: bool,
    pub expiry_s: u32,
    pub ends_at: Option<UnixMs>,
    /// Its topic, and when it is due, meaningful while the client is away.
    pub will: Option<(String, Option<UnixMs>)>,
    /// By share name and filter; the options of its own ones.
    pub subscriptions: BTreeMap<(Option<String>, String), Option<Options>>,
    /// How often each message waits.
    pub waiting: BTreeMap<Place, usize>,
    /// By packet identifier: when it was sent, whether it was received, and the copy that is kept.
    pub in_flight: BTreeMap<u16, (u64, bool, Option<Place>)>,
    pub inbound: BTreeSet<u16>,
}

/// Subscription options that can be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Options(pub EntryOptions);

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} id {}", self.0.qos(), self.0.id())
    }
}

/// Which message it is.
pub fn place(message: &Message) -> Place {
    let text = (&*message.topic, &message.payload, &message.properties);
    let flags = (message.qos as u8, message.retain, message.origin);
    FixedState::with_seed(0).hash_one((text, flags))
}

impl Broker {
    /// What it holds.
    pub fn state(&self) -> State {
        let sessions = self.clients.sessions.iter();
        let retained = self.routing.retained.messages();
        State {
            sessions: sessions
                .map(|(session, entry)| (entry.serial(), self.state_of(session, entry)))
                .collect(),
            retained: retained
                .map(|message| (message.topic.as_str().into(), place(message)))
                .collect(),
        }
    }

    fn owner_of_session(&self, session: SessionId) -> Option<(Option<String>, String)> {
        let (user, listener) = match self.clients.sessions.conn_of(session) {
            Some(conn) => {
                let user = self.clients.peers.particulars.user_name(conn);
                (user, &self.clients.listener(conn).name)
            }
            None => self.clients.sessions.owner(session)?,
        };
        Some((user.map(String::from), listener.text().into()))
    }

    fn state_of(&self, session: SessionId, entry: &Session) -> SessionState {
        let is_there = self.clients.sessions.conn_of(session).is_some();
        let clock = self.clients.sessions.clock();
        let mut state = SessionState {
            id: session.0,
            client_id: entry.client_id().into(),
            owner: self.owner_of_session(session),
            is_there,
            expiry_s: entry.expiry_s(),
            ends_at: clock.unix(entry.ends_at_ms()),
            ..SessionState::default()
        };
        if let Some(will) = entry.will() {
            let due = clock.unix(will.due_ms).filter(|_| !is_there);
            state.will = Some((will.message.topic.as_str().into(), due));
        }
        for &filter in entry.subscriptions() {
            let mut name = String::new();
            self.routing.subscriptions.filter_name(filter, &mut name);
            let known = (self.routing.subscriptions).entry(filter, Target::Session(session));
            let options = known.map(|entry| Options(entry.options()));
            state.subscriptions.insert((None, name), options);
        }
        for shared in entry.shared() {
            let key = (Some(shared.group.to_string()), shared.filter.to_string());
            state.subscriptions.insert(key, None);
        }
        if let Some(flow) = entry.flow() {
            let known = |one: &InFlight| {
                let is_received = one.progress == Progress::Pubcomp;
                let copy = one.message.as_deref().map(place);
                (one.id, (one.order, is_received, copy))
            };
            state.in_flight = flow.all_in_flight().map(known).collect();
        }
        if let Some(queue) = self.clients.sessions.queue(session) {
            for message in queue.iter(self.clients.sessions.backlog()) {
                *state.waiting.entry(place(message)).or_default() += 1;
            }
        }
        let inbound = entry.inbound().map(|inbound| inbound.ids());
        state.inbound = inbound.into_iter().flatten().copied().collect();
        state
    }
}
