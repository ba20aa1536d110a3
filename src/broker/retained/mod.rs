//! Retained messages: their owners, their order, and how they come to who subscribes.
//!
//! They are stored by the shard that owns the topic (docs/decisions/0501), and replayed to new subscriptions a page at a time.
//! Three races are closed here: a store that a question overtakes (`stores`), a message that overtakes an answer (`live`), and a
//! slow client that takes page after page while messages go on being stored: each page is a question of its own, so that what
//! has passed the asker by then has reached the owner; and all leave out the stores after the first question, because those were
//! delivered live.

pub(super) mod asking;
pub(super) mod live;
pub(super) mod lookups;
pub(super) mod ordered;
pub(super) mod question;
pub(super) mod stores;
pub(super) mod under_way;
