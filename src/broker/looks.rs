//! A deadline that has come is acted upon when what had arrived before it has been looked at: a PINGREQ that waits in its
//! socket (MQTT-3.1.2-22), the CONNECT of a client that is back before its session ends (MQTT-3.1.2-23) or its will is due
//! (MQTT-3.1.3-9). A shard may be late, or the whole process may have stood still.
//!
//! The thread says when it has handled all that had come to its shard: then it calls `on_timers`, and until then
//! `on_timers_behind`. That is enough for what is about a connection. A client that comes back may be accepted by any shard,
//! so before sessions end, or their wills are published, all others are asked to look too (`Look`), and answer when they have
//! (`Looked`). What they hand over comes before their answer; a last look of the home takes it in.
//!
//! After a standstill the clocks of connections go on from where they stood, and sessions are left alone for a while.
//!
//! Invariants: nothing waits for longer than `limits::LOOK_MS_MAX`, or `limits::LOOKS_MS_MAX` where other shards are asked,
//! beyond that while; what waits is looked at anew before it is done, for it may be due no more.

use std::collections::VecDeque;

use super::desk::Desk;
use super::mesh_message::MeshMessage;
use crate::ids::{ConnId, SessionId, ShardId};
use crate::limits;

/// A question of another shard.
struct Asker {
    shard: ShardId,
    ticket: u32,
    asked_ms: u64,
    /// A turn has ended since it came, so that a look has begun after it.
    is_old: bool,
}

/// A question to all other shards.
struct Round {
    ticket: u32,
    /// What was due then is what it is about.
    began_ms: u64,
    /// Shards that have not answered, as bits.
    missing: u64,
    /// When the last one did.
    answered_ms: u64,
}

impl Round {
    /// Whether it is over: all have answered, and this shard has looked since; or it took too long.
    fn is_over(&self, now_ms: u64, has_looked: bool) -> bool {
        let has_looked = has_looked || now_ms >= self.answered_ms + limits::LOOK_MS_MAX;
        (self.missing == 0 && has_looked) || now_ms >= self.began_ms + limits::LOOKS_MS_MAX
    }
}

/// What is due and waits for a look.
#[derive(Default)]
pub(super) struct Looks {
    /// Connections, and when they were found to be due.
    conns: VecDeque<(ConnId, u64)>,
    /// Sessions.
    sessions: VecDeque<SessionId>,
    /// Sessions for which all shards have looked, up to this moment.
    looked_for: VecDeque<SessionId>,
    looked_ms: u64,
    round: Option<Round>,
    tickets: u32,
    askers: Vec<Asker>,
    /// Sessions are left alone until then.
    rest_until_ms: u64,
    /// When it makes sense to ask again whether this shard has looked.
    again_ms: u64,
}

impl Looks {
    /// The deadline of a connection has come.
    pub(super) fn note_conn(&mut self, now_ms: u64, conn: ConnId) {
        self.conns.push_back((conn, now_ms));
    }

    /// The next connection for which there has been a look.
    pub(super) fn next_conn(&mut self, now_ms: u64, has_looked: bool) -> Option<ConnId> {
        let is_over =
            |&(_, since_ms): &(ConnId, u64)| has_looked || now_ms >= since_ms + limits::LOOK_MS_MAX;
        self.conns.front().filter(|front| is_over(front))?;
        self.conns.pop_front().map(|(conn, _)| conn)
    }

    /// A will of a session is due, or its end.
    pub(super) fn note_session(&mut self, session: SessionId) {
        self.sessions.push_back(session);
    }

    /// The next session for which all shards have looked, and up to when.
    pub(super) fn next_session(&mut self) -> Option<(SessionId, u64)> {
        let session = self.looked_for.pop_front()?;
        Some((session, self.looked_ms))
    }

    /// Asks all other shards to look, if sessions wait for that; and goes on when they have.
    pub(super) fn go_on(&mut self, now_ms: u64, has_looked: bool, desk: &mut Desk) {
        if !self.looked_for.is_empty() {
            return;
        }
        let waits = self.round.is_none() && !self.sessions.is_empty();
        if waits && now_ms >= self.rest_until_ms {
            self.begin_round(now_ms, desk);
        }
        let is_over = |round: &mut Round| round.is_over(now_ms, has_looked);
        if let Some(round) = self.round.take_if(is_over) {
            self.looked_ms = round.began_ms;
            self.looked_for = std::mem::take(&mut self.sessions);
        }
    }

    fn begin_round(&mut self, now_ms: u64, desk: &mut Desk) {
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = self.tickets;
        let all = u64::MAX >> (64 - u32::from(desk.shards));
        self.round = Some(Round {
            ticket,
            began_ms: now_ms,
            missing: all & !(1 << desk.shard.0),
            answered_ms: now_ms,
        });
        desk.mesh_all(|| MeshMessage::Look { ticket });
    }

    /// Another shard wants to know when this one has looked at what has come to it by now.
    pub(super) fn note_asker(&mut self, now_ms: u64, shard: ShardId, ticket: u32) {
        self.askers.push(Asker {
            shard,
            ticket,
            asked_ms: now_ms,
            is_old: false,
        });
    }

    /// Another shard has looked.
    pub(super) fn note_answer(&mut self, now_ms: u64, shard: ShardId, ticket: u32) {
        if let Some(round) = &mut self.round
            && round.ticket == ticket
        {
            round.missing &= !(1 << shard.0);
            round.answered_ms = now_ms;
        }
    }

    /// Answers those who asked before this turn.
    pub(super) fn answer(&mut self, now_ms: u64, has_looked: bool, desk: &mut Desk) {
        self.askers.retain_mut(|asker| {
            let is_late = now_ms >= asker.asked_ms + limits::LOOK_MS_MAX;
            // The turn in which it came may have begun, and looked, before it was asked.
            let is_old = std::mem::replace(&mut asker.is_old, true);
            let is_answered = is_old && (has_looked || is_late);
            if is_answered {
                let ticket = asker.ticket;
                desk.mesh(asker.shard, MeshMessage::Looked { ticket });
            }
            !is_answered
        });
    }

    /// The shard has stood still for so long. The others may have too.
    pub(super) fn begin_anew(&mut self, now_ms: u64, lost_ms: u64) {
        self.round = None;
        for asker in &mut self.askers {
            asker.asked_ms = now_ms;
        }
        self.rest_until_ms = now_ms + lost_ms.clamp(limits::GRACE_MS_MIN, limits::GRACE_MS_MAX);
    }

    /// When this shard is to look, or not to wait for others any more.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let is_answered = (self.round.as_ref()).is_some_and(|round| round.missing == 0);
        let waits_here = !self.conns.is_empty() || !self.askers.is_empty();
        if waits_here || is_answered || !self.looked_for.is_empty() {
            return Some(self.again_ms);
        }
        match &self.round {
            Some(round) => Some(round.began_ms + limits::LOOKS_MS_MAX),
            None => (!self.sessions.is_empty()).then_some(self.rest_until_ms),
        }
    }

    /// When it makes sense to ask again whether this shard has looked.
    pub(super) fn again_ms(&self) -> u64 {
        self.again_ms
    }

    /// A turn has ended that looked, or that was behind.
    pub(super) fn put_off(&mut self, now_ms: u64, has_looked: bool) {
        self.again_ms = match has_looked {
            true => now_ms,
            false => now_ms + limits::LOOK_PAUSE_MS,
        };
    }

    /// Whether something waits for this shard to look.
    #[cfg(test)]
    pub(super) fn waits(&self) -> bool {
        let is_answered = (self.round.as_ref()).is_some_and(|round| round.missing == 0);
        let begins = self.round.is_none() && !self.sessions.is_empty();
        is_answered || begins || !self.conns.is_empty() || !self.askers.is_empty()
    }

    /// Whether something has waited for half of what it may.
    #[cfg(test)]
    pub(super) fn are_late(&self, now_ms: u64) -> bool {
        let is_late = |since_ms: u64| now_ms >= since_ms + limits::LOOK_MS_MAX / 2;
        let round = self.round.as_ref().map(|round| round.began_ms);
        self.conns.iter().any(|&(_, since_ms)| is_late(since_ms))
            || self.askers.iter().any(|asker| is_late(asker.asked_ms))
            || round.is_some_and(is_late)
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.conns.capacity() * size_of::<(ConnId, u64)>()
            + (self.sessions.capacity() + self.looked_for.capacity()) * size_of::<SessionId>()
            + self.askers.capacity() * size_of::<Asker>()
    }

    /// Gives memory back after much was due at once.
    pub(super) fn trim(&mut self) {
        self.conns.shrink_to_fit();
        self.sessions.shrink_to_fit();
        self.looked_for.shrink_to_fit();
    }
}
