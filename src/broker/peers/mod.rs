//! Connections: what each is to the broker, what has come of a packet, what holds one back, who is told what about it.

pub(super) mod admission;
pub(super) mod conn;
pub(super) mod partial;
pub(super) mod particulars;
pub(super) mod peer;
pub(super) mod rates;
pub(super) mod refusals;
pub(super) mod role;
pub(super) mod state;
pub(super) mod table;
