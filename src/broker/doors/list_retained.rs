//! The retained messages that this shard owns are looked at, and one is forgotten on demand.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::placement::is_broker_topic;
use crate::broker::queries::{Page, RetainedRow};
use crate::limits;
use crate::mqtt::message::{Message, NEVER};
use crate::routing::{Cursor, PageBounds};

impl Broker {
    /// The next retained messages that a filter matches.
    pub(in crate::broker) fn list_retained(
        &self,
        now_ms: u64,
        filter: &str,
        from: Cursor,
        limit: usize,
    ) -> Page<RetainedRow, Cursor> {
        let bounds = PageBounds {
            messages: limit.clamp(1, limits::QUERY_ROWS_MAX),
            nodes: limits::QUERY_NODES_MAX,
            slots: limits::QUERY_NODES_MAX,
        };
        let page = self.routing.retained.page(filter, from, now_ms, &bounds);
        let rows = page.messages.iter().map(|message| row(now_ms, message));
        Page {
            rows: rows.collect(),
            next: page.next,
        }
    }

    /// The retained message of a topic.
    pub(in crate::broker) fn retained_of(&self, now_ms: u64, topic: &str) -> Option<RetainedRow> {
        let message = self.routing.retained.get(topic)?;
        (message.expires_at_ms > now_ms).then(|| row(now_ms, message))
    }

    /// Forgets the retained message of a topic, as when it has expired: nobody is told but who keeps it on a disk. What the broker
    /// says of itself stays. Returns whether there was one.
    pub(in crate::broker) fn forget_asked(&mut self, now_ms: u64, topic: &str) -> bool {
        let forgot = !is_broker_topic(topic) && self.forget_retained(topic);
        self.charge_retained();
        self.end_event(now_ms);
        forgot
    }
}

fn row(now_ms: u64, message: &Arc<Message>) -> RetainedRow {
    let at_ms = message.expires_at_ms;
    let expires_in_s = (at_ms < NEVER).then(|| at_ms.saturating_sub(now_ms).div_ceil(1000));
    RetainedRow {
        message: message.clone(),
        expires_in_s,
    }
}
