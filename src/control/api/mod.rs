//! What is answered over HTTP (`protocol http_api`): a table of routes (`routes.rs`), and handlers, which are functions of what is
//! asked.
//!
//! A handler looks at what shards have published (`site.rs`), or asks them by a command and waits for a time that is bounded in
//! `limits`: a shard that stands still holds up nobody.

mod clients;
mod connections;
mod early;
mod figures;
mod health;
mod histogram;
mod history;
mod hour;
mod live;
mod metrics;
mod mosquitto;
mod names;
mod page;
mod routes;
mod shown;
mod site;
#[cfg(test)]
mod tests;
mod trace;
mod traces;
mod viewers;
mod web;

pub(crate) use early::Early;
pub(crate) use shown::shown;
pub(super) use site::Sources;
pub(super) use web::Web;
pub(crate) use web::{Http, HttpChange};
