//! A checkpoint: from where it begins all that this shard holds is written down again, a slice in each turn, so that nothing that was
//! written before is needed (docs/decisions/1110).
//!
//! Facts are written beside the images as always. Nothing is copied, and no turn waits: a session changes before its image is written
//! or after it.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::checkpoint::{CheckpointProgress, Stage};
use crate::broker::clients::Clients;
use crate::broker::mesh_message::MeshMessage;
use crate::broker::noted::{ms_of, will_text};
use crate::ids::{GroupId, SessionId, ShardId};
use crate::journal::{SessionText, SubscriptionText};
use crate::limits;
use crate::mqtt::author::ListenerName;
use crate::mqtt::topic;
use crate::routing::Target;

/// The user name of a client, and the listener that it came by.
type Owner = (Option<Box<str>>, Arc<ListenerName>);

impl Broker {
    /// A checkpoint begins, with the next chunk: unless one is under way, or nothing is written down. All other shards have to begin
    /// theirs; it goes on by itself from turn to turn.
    pub fn begin_checkpoint(&mut self, now_ms: u64) {
        if !self.clients.sessions.facts().are_written() || self.checkpoint.is_under_way() {
            return;
        }
        self.end_written_turn(now_ms);
        if let Some(journal) = self.clients.sessions.facts().journal() {
            journal.begin_checkpoint();
        }
        let (own_due, order) = (self.offers.pushed(), self.clients.order);
        let number = self.checkpoint.begin(own_due, order);
        let desk = &mut self.clients.desk;
        desk.mesh_all(|| MeshMessage::CheckpointMarker { number });
        self.end_event(now_ms);
    }

    /// How far checkpoints are. When another one is complete at the end of a turn, what is in the chunks up to there is enough.
    pub fn checkpoint_progress(&self) -> CheckpointProgress {
        self.checkpoint.progress()
    }

    /// All that another shard had sent before it began a checkpoint has been handled.
    pub(in crate::broker) fn on_checkpoint_marker(&mut self, from: ShardId, number: u64) {
        self.checkpoint.note_marker(from, number);
    }

    /// Writes the images that belong to this turn.
    pub(in crate::broker) fn write_images(&mut self) {
        if !self.checkpoint.is_writing() {
            return;
        }
        let Some(journal) = self.clients.sessions.facts().journal() else {
            return;
        };
        let (turn, end) = (
            journal.turn(),
            journal.written_bytes() + self.checkpoint.slice_bytes(),
        );
        for _ in 0..limits::CHECKPOINT_LOOKS_MAX {
            if !self.write_next_image(end) {
                break;
            }
        }
        self.checkpoint.note_slice(turn);
        // No answer waits for images.
        self.clients.sessions.facts().take_promised();
    }

    /// Writes what is next, unless the journal has so many bytes. False when that is all for this turn.
    fn write_next_image(&mut self, end: u64) -> bool {
        let written = self.clients.sessions.facts().journal();
        let written = written.map_or(end, |journal| journal.written_bytes());
        let Some(stage) = self.checkpoint.stage.filter(|_| written < end) else {
            return false;
        };
        let next = match stage {
            Stage::Groups(at) => self.write_group(at),
            Stage::Sessions(at) => match self.write_session(SessionId(at), end) {
                true => self.session_after(at),
                false => return false,
            },
            Stage::Retained(at) => self.write_retained(at),
        };
        match next {
            Some(_) => self.checkpoint.stage = next,
            None => self.end_images(),
        }
        next.is_some()
    }

    fn end_images(&mut self) {
        if let Some(journal) = self.clients.sessions.facts().journal() {
            journal.end_images();
        }
        self.checkpoint.end_images();
    }

    fn write_group(&mut self, at: u32) -> Option<Stage> {
        let Some(group) = self.routing.groups.at(GroupId(at)) else {
            return Some(Stage::Sessions(0));
        };
        if !group.members().is_empty() {
            let facts = self.clients.sessions.facts();
            facts.name_group(GroupId(at), &group.group, &group.filter);
        }
        Some(Stage::Groups(at + 1))
    }

    fn session_after(&self, at: u32) -> Option<Stage> {
        let next = SessionId(at + 1);
        Some(match next.index() < self.clients.sessions.places() {
            true => Stage::Sessions(at + 1),
            false => Stage::Retained(0),
        })
    }

    /// What is stored or removed while this goes on is a fact of its own, and stays where it is: so none is left out.
    fn write_retained(&mut self, at: u32) -> Option<Stage> {
        let retained = &self.routing.retained;
        if at as usize >= retained.places() {
            return None;
        }
        if let Some(message) = retained.at(at)
            && !topic::is_sys(&message.topic)
        {
            self.clients.sessions.write_retained(message);
        }
        Some(Stage::Retained(at + 1))
    }

    /// Writes the image of a session, or first some of the messages that it refers to, until the journal has so many bytes. False if
    /// the image is still to be written.
    fn write_session(&mut self, session: SessionId, end: u64) -> bool {
        let owner = self.clients.owner_of(session);
        let is_there = self.clients.sessions.conn_of(session).is_some();
        let (clients, checkpoint) = (&mut self.clients, &mut self.checkpoint);
        let Some(mut imaged) = clients.sessions.imaged(session) else {
            return true;
        };
        let last_order = checkpoint.last_order;
        if !imaged.write_texts(&mut checkpoint.numbers, last_order, end) {
            return false;
        }
        let (entry, clock) = (imaged.session, imaged.clock);
        let due_ms = entry.will().map_or(u64::MAX, |will| will.due_ms);
        imaged.journal.image(&SessionText {
            session: session.0,
            serial: entry.serial(),
            client_id: entry.client_id(),
            owner: owner
                .as_ref()
                .map(|(user, listener)| (user.as_deref(), listener.text())),
            expiry_s: entry.expiry_s(),
            will: entry.will().map(will_text),
            absence: (!is_there).then(|| (ms_of(entry.ends_at_ms(), clock), ms_of(due_ms, clock))),
        });
        let (subscriptions, guests) = (&self.routing.subscriptions, &self.routing.guests);
        let mut name = String::new();
        for &filter in entry.subscriptions() {
            name.clear();
            subscriptions.filter_name(filter, &mut name);
            if let Some(known) = subscriptions.entry(filter, Target::Session(session)) {
                let to = SubscriptionText {
                    share: None,
                    filter: &name,
                };
                imaged.journal.subscribed(session.0, to, known.options());
            }
        }
        let own = clients.desk.shard;
        for shared in entry.shared() {
            let member = guests.member(&shared.group, &shared.filter, own, session);
            if let Some(member) = member {
                let to = SubscriptionText {
                    share: Some(&shared.group),
                    filter: &shared.filter,
                };
                imaged.journal.subscribed(session.0, to, member.options);
            }
        }
        imaged.write_messages(&mut checkpoint.numbers);
        true
    }
}

impl Clients {
    /// Whose a session is, if that was told.
    fn owner_of(&self, session: SessionId) -> Option<Owner> {
        let (user, listener) = match self.sessions.conn_of(session) {
            Some(conn) => {
                let user = self.peers.particulars.user_name(conn);
                (user, &self.listener(conn).name)
            }
            None => self.sessions.owner(session)?,
        };
        Some((user.map(Box::from), listener.clone()))
    }
}
