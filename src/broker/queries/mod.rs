//! What is asked of a shard beside the path of messages: who is connected, who gets what, what is retained. Questions, which change
//! nothing, and what answers them; the answers are found in `doors`. What an administrator has done is in `deeds.rs`.
//!
//! A question is one page, which is bounded in what is looked at and in what is answered (`limits/queries.rs`), so that no turn is
//! longer for it. It says itself where to go on: a shard keeps nothing between two pages, and forgets nothing when nobody asks for
//! the next one (docs/decisions/0912).

mod page;
mod pager;
mod rows;

pub use page::Page;
pub(super) use pager::Pager;
pub use rows::*;

use crate::broker::BusyTopics;
use crate::broker::trace::{TraceLook, TracePage};
use crate::ids::SessionRef;
use crate::routing::Cursor;

/// What a shard is asked.
#[derive(Clone, Debug)]
pub enum Query {
    /// Sessions in the order of their places, from this one on.
    Clients {
        /// Which of them.
        which: Which,
        /// The first place.
        from: u32,
        /// Rows at most.
        limit: usize,
    },
    /// Of the sessions from a place on as many as are looked at for one page: those that come first in an order.
    Ranking(Ranking),
    /// The rows of these sessions, in this order. Those that have ended are left out.
    Rows(Vec<SessionRef>),
    /// All of one client, and its first subscriptions.
    Client(Box<str>),
    /// The subscriptions of one client, from the one with this number on.
    SubscriptionsOf {
        /// The client identifier.
        client: Box<str>,
        /// Its subscriptions are counted from 0; shared ones behind the others.
        from: usize,
        /// Rows at most.
        limit: usize,
    },
    /// Who gets what.
    Who {
        /// What.
        wanted: Wanted,
        /// Where to go on.
        from: WhoFrom,
        /// Rows at most.
        limit: usize,
    },
    /// The retained messages that a filter matches.
    Retained {
        /// The filter.
        filter: Box<str>,
        /// Where to go on.
        from: Cursor,
        /// Rows at most.
        limit: usize,
    },
    /// The retained message of one topic, which this shard owns.
    RetainedOf(Box<str>),
    /// What a trace has seen since the last time; it begins if there is none.
    Trace(Box<TraceLook>),
    /// The topics that clients of this shard publish to most: a page, since a shard remembers no more.
    BusiestTopics,
}

/// Which sessions are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Whether their clients are there; `None` for both.
    pub is_connected: Option<bool>,
    /// What their client identifiers start with.
    pub prefix: Box<str>,
}

/// An order of sessions. In one by a figure the greatest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Seconds since the client has taken something while it has more to take, then bytes.
    Lag,
    /// Bytes that wait for it.
    Bytes,
    /// Bytes that wait for it, of those clients only that are there and lag: that have taken nothing for `limits::LAG_SECONDS_MIN`,
    /// have `limits::LAG_BYTES_MIN` waiting, or have not acknowledged a message for `limits::STUCK_SECONDS_MIN`. Who does the latter is
    /// told of in the log, once for each message.
    Slowest,
    /// Messages that wait for it.
    Messages,
    /// By client identifier, in the order of its bytes.
    Name,
}

/// See `Query::Ranking`.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Which sessions.
    pub which: Which,
    /// In which order.
    pub order: Order,
    /// In the order of names: those behind this one.
    pub after: Option<Box<str>>,
    /// The first place.
    pub from: u32,
    /// Rows at most.
    pub limit: usize,
}

/// Who is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Who would be sent a message with this topic name.
    Topic(Box<str>),
    /// Who is subscribed to exactly this filter.
    Filter {
        /// The share name; `None` for subscriptions of a client's own and shared ones.
        share: Option<Box<str>>,
        /// The filter behind it.
        filter: Box<str>,
    },
}

/// How far the answer to `Query::Who` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhoFrom {
    /// Subscriptions of the sessions' own: from this place of a session on, and there from this number of a filter on.
    Own(u32, u32),
    /// Shared ones: from this number of a group on, and there from this member on. One that joins or leaves meanwhile may move
    /// another, which is then left out or comes twice.
    Shared(u32, u32),
}

impl WhoFrom {
    /// The start.
    pub const START: WhoFrom = WhoFrom::Own(0, 0);
}

/// What a shard answers, to each question in its way.
#[derive(Debug)]
pub enum Reply {
    /// To `Clients`, and to `Rows`: the next one is the number of the first that is still to be asked for.
    Clients(Page<ClientRow, u32>),
    /// To `Ranking`.
    Ranked(RankedPage),
    /// To `Client`.
    Client(Option<Box<ClientDetails>>),
    /// To `SubscriptionsOf`; `None` if there is no such client.
    SubscriptionsOf(Option<Page<SubscriptionRow, usize>>),
    /// To `Who`.
    Who(Page<SubscriptionRow, WhoFrom>),
    /// To `Retained`.
    Retained(Page<RetainedRow, Cursor>),
    /// To `RetainedOf`.
    RetainedOf(Option<RetainedRow>),
    /// To `Trace`.
    Traced(Box<TracePage>),
    /// To `BusiestTopics`.
    BusiestTopics(BusyTopics),
}
