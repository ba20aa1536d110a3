//! HTTP/1.1 on the control thread's executor: connections within bounds, who may ask for what, files. What is answered is a
//! table of routes that somebody else owns ([`Route`]).
//!
//! hyper reads heads and writes answers; glommio has the sockets. A connection is counted, has a time for each of its phases,
//! and holds a head's bytes and a piece of an answer at most. A handler is a function of what is asked ([`Ask`]): no test needs a
//! socket for it.

mod answer;
mod any;
mod ask;
mod body;
mod changing;
mod closer;
mod connection;
mod door;
mod files;
mod gate;
mod heads;
mod host;
mod job;
mod kinds;
mod layer;
mod page;
mod peer;
mod percent;
mod places;
mod progress;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod users;

pub(crate) use answer::Answer;
pub(crate) use any::any_requests;
pub(crate) use ask::Ask;
pub(crate) use body::{Live, News};
pub(crate) use door::{Answering, Handler, Route};
pub(crate) use gate::Gate;
pub(crate) use page::Page;
pub(crate) use percent::{Fault, decoded};
pub(crate) use server::{Bound, Server};
