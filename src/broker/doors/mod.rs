//! What happens to a shard, one event a file.

pub(super) mod close;
pub(super) mod give_way;
pub(super) mod on_ack;
pub(super) mod on_bytes;
pub(super) mod on_connect;
pub(super) mod on_drain;
pub(super) mod on_durable;
pub(super) mod on_identified;
pub(super) mod on_interest;
pub(super) mod on_look;
pub(super) mod on_mesh;
pub(super) mod on_offer;
pub(super) mod on_pressure;
pub(super) mod on_publish;
pub(super) mod on_reload;
pub(super) mod on_retain_ask;
pub(super) mod on_shared;
pub(super) mod on_shares;
pub(super) mod on_standstill;
pub(super) mod on_subscribe;
pub(super) mod on_timers;
pub(super) mod on_verified;
pub(super) mod on_wait;
pub(super) mod settle;
