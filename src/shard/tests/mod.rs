//! The thread of a shard over real sockets on 127.0.0.1, one test per hazard. The brains are puppets of their clients.

mod brain;
mod closing;
mod limits;
mod memory;
mod mesh;
mod moving;
mod overload;
mod short_sends;
mod standstill;
mod streams;
mod wires;
mod with_broker;
mod world;
