//! One io_uring and the memory that it shares with the kernel: ring, operations, provided buffers.
//!
//! Owned by one thread, which creates it, submits to it and reaps it (SINGLE_ISSUER, DEFER_TASKRUN: the kernel does
//! the work of a completion only inside that thread's own calls). Sockets are direct descriptors: slots of the ring's
//! file table, never file descriptors of the process. Nothing here knows what the bytes mean.
//!
//! Invariants:
//! - memory named by a submission is valid until its last completion has been collected; whoever pushes the entry
//!   vouches for that (`Ring::push` is unsafe for this reason alone);
//! - what a SENDMSG names besides its bytes (`msghdr`, `iovec`s) is copied by the kernel when it is submitted
//!   (IORING_FEAT_SUBMIT_STABLE, checked at start), so it may be reused after `Ring::submit`.

mod buffers;
mod errno;
mod error;
pub(crate) mod ops;
mod ring;
mod user_data;

#[cfg(test)]
mod tests;

pub(crate) use buffers::{BufferPlan, Filled, ReceiveBuffers};
pub(crate) use errno::{AcceptFailure, ReceiveFailure, SendFailure};
pub(crate) use error::RingError;
pub(crate) use ring::{Completion, IdleRing, Ring, Sizes};
pub(crate) use user_data::{Op, UserData};
