//! Another shard asks for retained messages of which this one is the owner (`retained::lookups`).

use crate::broker::Broker;
use crate::broker::mesh_message::{MeshMessage, RetainQuery, RetainReply};
use crate::broker::retained::question::has_wildcard;
use crate::ids::ShardId;

impl Broker {
    /// Another shard asks for retained messages.
    pub(in crate::broker) fn on_retain_query(
        &mut self,
        now_ms: u64,
        from: ShardId,
        query: RetainQuery,
    ) {
        match self.stores.has_applied(&query, self.clients.desk.shard) {
            true => self.look_up(now_ms, from, query),
            false => self.lookups.hold(from, query),
        }
    }

    /// Looks up what has waited for the stores that are here now.
    pub(in crate::broker) fn look_up_held(&mut self, now_ms: u64) {
        let due = (self.lookups).take_held(&self.stores, self.clients.desk.shard);
        for (asker, query) in due {
            self.look_up(now_ms, asker, query);
        }
    }

    /// Looks up at once what is found at once; what has wildcards in its turn.
    pub(in crate::broker) fn look_up(&mut self, now_ms: u64, asker: ShardId, query: RetainQuery) {
        if !has_wildcard(&query.filter) {
            return self.answer(now_ms, asker, query);
        }
        self.lookups.put(asker, query);
        self.run_lookups(now_ms);
    }

    /// Looks up what waits, as far as this shard's time for it goes.
    pub(in crate::broker) fn run_lookups(&mut self, now_ms: u64) {
        // What is found may make room for the next look-up of its client, which joins the others here.
        if !self.lookups.begin(now_ms) {
            return;
        }
        while let Some((asker, query)) = self.lookups.next() {
            self.answer(now_ms, asker, query);
        }
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
            let page = retained.page(&filter, from.knowing(seen), now_ms, self.lookups.page());
            self.lookups.spend(page.visited);
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
