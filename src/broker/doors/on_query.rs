//! Somebody asks a page of who is connected, who gets what, what is retained (`queries`).

use crate::broker::Broker;
use crate::broker::queries::{Order, Query, Reply};

impl Broker {
    /// Answers.
    pub fn on_query(&mut self, now_ms: u64, query: Query) -> Reply {
        if let Query::Ranking(ranking) = &query
            && ranking.order == Order::Slowest
        {
            self.clients.look_for_stuck(now_ms, ranking.from);
        }
        let clients = &self.clients;
        match query {
            Query::Clients { which, from, limit } => {
                Reply::Clients(clients.list(now_ms, &which, from, limit))
            }
            Query::Ranking(ranking) => Reply::Ranked(clients.rank(now_ms, &ranking)),
            Query::Rows(sessions) => Reply::Clients(clients.rows_of(now_ms, &sessions)),
            Query::Client(client) => Reply::Client(self.details_of(now_ms, &client)),
            Query::SubscriptionsOf {
                client,
                from,
                limit,
            } => Reply::SubscriptionsOf(self.list_subscriptions_of(&client, from, limit)),
            Query::Who {
                wanted,
                from,
                limit,
            } => Reply::Who(self.who(&wanted, from, limit)),
            Query::Retained {
                filter,
                from,
                limit,
            } => Reply::Retained(self.list_retained(now_ms, &filter, from, limit)),
            Query::RetainedOf(topic) => Reply::RetainedOf(self.retained_of(now_ms, &topic)),
            Query::Trace(look) => Reply::Traced(Box::new(self.look_at_trace(now_ms, *look))),
            Query::BusiestTopics => Reply::BusiestTopics(self.busiest.tell(now_ms)),
        }
    }
}
