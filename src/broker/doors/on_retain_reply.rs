//! An owner has answered a question about retained messages: with a page, and where there is more.

use crate::broker::Broker;
use crate::broker::mesh_message::RetainReply;
use crate::broker::retained::question::Question;
use crate::broker::waits::Then;
use crate::ids::{NONE, SessionId, ShardId};
use crate::routing::Target;
use crate::session::Replay;

impl Broker {
    /// The session that the answer to a question would be taken by.
    fn asker_of(&mut self, ticket: u32) -> Option<SessionId> {
        let session = self.waits.session_of(&self.clients.sessions, ticket)?;
        match self.waits.then(ticket)? {
            Then::Replay(question) => {
                let subscriptions = &self.routing.subscriptions;
                let filter = subscriptions.find(&question.filter)?;
                let entry = subscriptions.entry(filter, Target::Session(session));
                entry.map(|_| session)
            }
            _ => None,
        }
    }

    /// Whether the answer to a question would be taken.
    pub(in crate::broker) fn is_still_asked(&mut self, ticket: u32) -> bool {
        self.asker_of(ticket).is_some()
    }

    /// An owner has answered.
    pub(in crate::broker) fn on_retain_reply(
        &mut self,
        now_ms: u64,
        owner: ShardId,
        reply: RetainReply,
    ) {
        let RetainReply {
            ticket,
            mut messages,
            mut next,
        } = reply;
        let asker = self.asker_of(ticket);
        let known = self.waits.session_of(&self.clients.sessions, ticket);
        let Some(Then::Replay(question)) = self.waits.then(ticket) else {
            return;
        };
        let (options, asked_at) = (question.options, question.asked_at);
        let hot = known.map(|session| self.clients.sessions.hot(session));
        if hot.is_none_or(|hot| hot.conn == NONE || hot.epoch != question.rest.epoch) {
            // What the client has missed in between may be newer: asked for again when it is there.
            next = Some(question.from.clone());
            messages.clear();
        }
        let rest = next.map(|cursor| (owner, cursor));
        question.rest.owners.extend(rest);
        self.live.leave_out_older(&mut messages, asked_at);
        let (lease, sessions) = (&mut self.clients.memory.lease, &self.clients.sessions);
        let over = self.waits.answer(lease, sessions, ticket);
        if over.is_some() {
            self.live.close();
        }
        let Some(session) = known else {
            return;
        };
        if let Some(Then::Replay(question)) = over.map(|over| over.then) {
            self.clients.sessions.note_answered(session);
            if asker.is_some() && !question.rest.owners.is_empty() {
                self.goes_on_later(session, question);
            }
        }
        if asker.is_some() {
            self.replay_messages(now_ms, session, options, &messages);
        }
        self.next_replays(now_ms, session);
    }

    /// There is more to be asked for when the client has taken what there was.
    fn goes_on_later(&mut self, session: SessionId, question: Question) {
        let replay = Replay {
            filter: question.filter,
            options: question.options,
            rest: Some(question.rest),
        };
        self.clients
            .change_session(session, |entry| entry.await_replay(replay));
    }
}
