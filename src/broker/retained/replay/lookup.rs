//! The owner's side: questions about the retained messages of this shard, answered with a page each, in turn and within
//! this shard's time for it. Nothing is kept of a question that has been answered.

use super::{Broker, Replays, has_wildcard};
use crate::broker::mesh_message::{MeshMessage, RetainQuery, RetainReply};
use crate::ids::ShardId;
use crate::limits;

impl Replays {
    /// When the next look-up may be made, if one waits.
    pub fn next_lookup_ms(&self) -> Option<u64> {
        let too_much = (self.spent + 1).saturating_sub(limits::LOOKUP_NODES_BURST);
        let wait_ms = too_much.div_ceil(limits::LOOKUP_NODES_PER_MS) as u64;
        (!self.lookups.is_empty()).then_some(self.spent_at_ms + wait_ms)
    }

    fn has_applied(&self, query: &RetainQuery, own: ShardId) -> bool {
        let pairs = self.applied.iter().zip(query.seen.iter()).enumerate();
        pairs
            .filter(|(shard, _)| *shard != own.index())
            .all(|(_, (applied, seen))| applied >= seen)
    }
}

impl Broker {
    /// Another shard asks for retained messages.
    pub(in crate::broker) fn on_retain_query(
        &mut self,
        now_ms: u64,
        from: ShardId,
        query: RetainQuery,
    ) {
        if self.replays.has_applied(&query, self.clients.desk.shard) {
            self.look_up(now_ms, from, query);
        } else {
            self.replays.held.push((from, query));
        }
    }

    /// Looks up what has waited for the stores that are here now.
    pub(in crate::broker) fn look_up_held(&mut self, now_ms: u64) {
        let mut index = 0;
        while index < self.replays.held.len() {
            let query = &self.replays.held[index].1;
            if self.replays.has_applied(query, self.clients.desk.shard) {
                let (asker, query) = self.replays.held.remove(index);
                self.look_up(now_ms, asker, query);
            } else {
                index += 1;
            }
        }
    }

    /// Looks up at once what is found at once; what has wildcards in its turn.
    pub(in crate::broker) fn look_up(&mut self, now_ms: u64, asker: ShardId, query: RetainQuery) {
        if !has_wildcard(&query.filter) {
            return self.answer(now_ms, asker, query);
        }
        self.replays.lookups.push_back((asker, query));
        self.run_lookups(now_ms);
    }

    /// Looks up what waits, as far as this shard's time for it goes.
    pub(in crate::broker) fn run_lookups(&mut self, now_ms: u64) {
        let replays = &mut self.replays;
        let passed_ms = now_ms.saturating_sub(replays.spent_at_ms) as usize;
        let earned = passed_ms.saturating_mul(limits::LOOKUP_NODES_PER_MS);
        replays.spent = replays.spent.saturating_sub(earned);
        replays.spent_at_ms = now_ms;
        // What is found may make room for the next look-up of its client, which joins the others here.
        if std::mem::replace(&mut replays.looking, true) {
            return;
        }
        while self.replays.spent < limits::LOOKUP_NODES_BURST
            && let Some((asker, query)) = self.replays.lookups.pop_front()
        {
            self.answer(now_ms, asker, query);
        }
        self.replays.looking = false;
    }

    /// Answers a question with a page; the asker comes again for the next one.
    fn answer(&mut self, now_ms: u64, asker: ShardId, query: RetainQuery) {
        let RetainQuery {
            ticket,
            filter,
            seen,
            from,
        } = query;
        let is_own = asker == self.clients.desk.shard;
        let mut reply = RetainReply {
            ticket,
            messages: Vec::new(),
            next: None,
        };
        // Nothing is looked for that nobody waits for any more.
        if !is_own || self.is_still_asked(ticket) {
            let retained = &self.routing.retained;
            let page = retained.page(&filter, from.knowing(seen), now_ms, &self.replays.page);
            // A page that finds nothing is something to do as well.
            self.replays.spent += page.visited.max(1);
            (reply.messages, reply.next) = (page.messages, page.next);
        }
        if is_own {
            return self.on_retain_reply(now_ms, asker, reply);
        }
        self.clients
            .desk
            .mesh(asker, MeshMessage::RetainReply(Box::new(reply)));
    }
}
