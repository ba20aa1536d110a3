//! What is new needs one file, and a line elsewhere: here for a wait, a fact, a figure, a role.

mod fact;
#[allow(unreachable_pub)] // what the macro makes is public elsewhere
mod figure;
pub(in crate::broker) mod role;
pub(in crate::broker) mod wait;
