//! The subscriber's side: which retained messages are wanted, asked for at their owners, and queued for the client.
//!
//! A replay that has more than a page waits with the session until less than half a page does, and goes on from there;
//! those behind it wait as well. It ends with its subscription (MQTT-3.10.4-2) and with its session. While the client of
//! a durable session is away nothing is added; when it is back the replay goes on from where it was, with what is
//! stored then.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::mesh_message::{MeshMessage, RetainQuery};
use crate::broker::placement::owner_of_topic;
use crate::broker::retained::question::{Question, has_wildcard};
use crate::broker::sessions::change::Change;
use crate::broker::waits::{Then, WaitOf};
use crate::budget::Account;
use crate::ids::{NONE, SessionId, ShardId};
use crate::limits;
use crate::mqtt::ReasonCode;
use crate::mqtt::message::Message;
use crate::routing::{Cursor, EntryOptions};
use crate::session::{Origin, Replay, Rest};

impl Broker {
    /// Replays the retained messages of subscriptions that have not been taken back meanwhile, as far as the client takes them: it
    /// makes the broker hold, and look for, no more than a bound.
    pub(in crate::broker) fn want_replays(
        &mut self,
        now_ms: u64,
        session: SessionId,
        filters: impl IntoIterator<Item = (Box<str>, EntryOptions)>,
    ) {
        for (filter, options) in filters {
            if !self.has_subscribed(session, &filter) {
                continue;
            }
            let replay = Replay {
                filter,
                options,
                rest: None,
            };
            let may_replay = self.may_replay(session);
            // Here, in a question, and on its way to each owner.
            let bytes = replay.filter.len() * (1 + usize::from(self.clients.desk.shards));
            let lease = &self.clients.memory.lease;
            let has_room = lease.has_room(Account::Connections, bytes as u64);
            let Some(entry) = self.clients.sessions.get(session) else {
                return;
            };
            let waiting = entry.replays();
            if waiting == 0 && may_replay && has_room {
                self.replay(now_ms, session, replay);
            } else if waiting < limits::REPLAYS_WAITING_MAX && has_room {
                self.clients
                    .change_session(session, |entry| entry.await_replay(replay));
            } else if let Some(conn) = self.clients.sessions.conn_of(session) {
                return self.protocol_error(now_ms, conn, ReasonCode::QUOTA_EXCEEDED);
            }
        }
        self.next_replays(now_ms, session);
    }

    /// Goes on where `want_replays` stopped.
    pub(in crate::broker) fn next_replays(&mut self, now_ms: u64, session: SessionId) {
        while self.may_replay(session) {
            let is_asking = self.clients.sessions.hot(session).asking > 0;
            let Some(entry) = self.clients.sessions.get(session) else {
                return;
            };
            if !entry.has_replays() || (is_asking && entry.has_begun_replay()) {
                return;
            }
            let next = |entry: &mut Change<'_>| entry.next_replay();
            let Some(replay) = self.clients.change_session(session, next).flatten() else {
                return;
            };
            if self.has_subscribed(session, &replay.filter) {
                self.replay(now_ms, session, replay);
            }
        }
    }

    /// Whether there is room for a page.
    fn may_replay(&mut self, session: SessionId) -> bool {
        let hot = self.clients.sessions.hot(session);
        let queue = self.clients.sessions.queue(session);
        let waiting = queue.map_or(0, |queue| queue.replaying());
        let page = self.lookups.page().messages * usize::from(self.clients.desk.shards);
        hot.conn != NONE && hot.asking < limits::REPLAY_QUESTIONS_MAX && waiting < page.div_ceil(2)
    }

    /// Replays the retained messages that match a filter to a session that has subscribed: the first page of every
    /// owner, or the next one of one of those that have more.
    fn replay(&mut self, now_ms: u64, session: SessionId, replay: Replay) {
        let own = self.clients.desk.shard;
        let epoch = self.clients.sessions.hot(session).epoch;
        let Some(mut rest) = replay.rest else {
            let wildcard = has_wildcard(&replay.filter);
            let only =
                (!wildcard).then(|| owner_of_topic(&replay.filter, self.clients.desk.shards));
            if only == Some(own) {
                return self.replay_one(now_ms, session, &replay.filter, replay.options);
            }
            let owners = (0..self.clients.desk.shards).map(ShardId);
            let rest = Rest {
                epoch,
                owners: VecDeque::new(),
            };
            let replay = Replay {
                rest: Some(Box::new(rest)),
                ..replay
            };
            let owners: Vec<ShardId> = match only {
                Some(owner) => vec![owner],
                // This shard looks while the others do.
                None => owners.filter(|&shard| shard != own).chain([own]).collect(),
            };
            return self.ask(now_ms, session, replay, &owners, Cursor::default());
        };
        if rest.epoch != epoch {
            // What was published while the client was away is not left out.
            rest.epoch = epoch;
            for (_, cursor) in &mut rest.owners {
                *cursor = cursor.renewed();
            }
        }
        let Some((owner, from)) = rest.owners.pop_front() else {
            return;
        };
        let replay = Replay {
            rest: Some(rest),
            ..replay
        };
        self.ask(now_ms, session, replay, &[owner], from);
    }

    /// The retained message of one topic that this shard owns.
    fn replay_one(&mut self, now_ms: u64, session: SessionId, topic: &str, options: EntryOptions) {
        let message = self.routing.retained.get(topic);
        let message = message.filter(|message| message.expires_at_ms > now_ms);
        if let Some(message) = message.cloned() {
            self.replay_messages(now_ms, session, options, &[message]);
        }
    }

    fn ask(
        &mut self,
        now_ms: u64,
        session: SessionId,
        replay: Replay,
        owners: &[ShardId],
        from: Cursor,
    ) {
        let Some(reference) = self.clients.sessions.reference(session) else {
            return;
        };
        let Some(rest) = replay.rest else {
            return;
        };
        let own = self.clients.desk.shard;
        let question = Question {
            filter: replay.filter.clone(),
            options: replay.options,
            asked_at: self.live.open(),
            from: from.renewed(),
            rest,
        };
        let owner = WaitOf::Session(reference);
        let ticket = self.waits.open(owner, Then::Replay(question));
        self.waits.await_more(ticket, owners.len() as u32 - 1);
        self.clients.sessions.note_asked(session);
        // The filter, here and on its way to the owners.
        let bytes = replay.filter.len() * (1 + owners.len());
        self.waits
            .lend(&mut self.clients.memory.lease, ticket, bytes);
        for &owner in owners {
            let query = RetainQuery {
                ticket,
                filter: replay.filter.clone(),
                seen: self.stores.known_at(owner, own),
                from: from.clone(),
            };
            if owner == own {
                self.look_up(now_ms, own, query);
            } else {
                self.clients
                    .desk
                    .mesh(owner, MeshMessage::RetainQuery(Box::new(query)));
            }
        }
    }

    /// Puts retained messages behind what waits for a session; they follow as fast as the client takes them.
    pub(in crate::broker) fn replay_messages(
        &mut self,
        now_ms: u64,
        session: SessionId,
        options: EntryOptions,
        messages: &[Arc<Message>],
    ) {
        let serial = self
            .clients
            .sessions
            .get(session)
            .map_or(0, |entry| entry.serial());
        for message in messages {
            if options.no_local() && message.origin == serial {
                continue;
            }
            if !self
                .clients
                .sessions
                .may_read(session, &message.topic, &mut 0)
                || !(self.clients.sessions).is_from_writer(&self.clients.desk.settings, message)
            {
                continue;
            }
            let grant = self.clients.grant(options, message.qos, true);
            self.clients
                .enqueue(session, grant.as_retained(), Origin::RETAINED, message);
        }
        self.clients.pump(now_ms, session);
    }
}
