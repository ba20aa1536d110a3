//! What few sessions have, out of the way of those that have not.
//!
//! Invariant: `text_bytes` is the sum of the lengths of the names and filters of the shared subscriptions.

use super::inbound::Inbound;
use super::policy::SlowPolicy;
use super::replay::Replays;

/// A shared subscription of a session.
#[derive(Clone, Debug)]
pub(crate) struct SharedSubscription {
    /// The share name.
    pub group: Box<str>,
    /// The filter behind it, with the mount point.
    pub filter: Box<str>,
    /// Nodes by which it made it more what a topic can lead to, when it was subscribed to.
    pub reach: u32,
}

impl SharedSubscription {
    fn text_bytes(&self) -> usize {
        self.group.len() + self.filter.len()
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Rare {
    shared: Vec<SharedSubscription>,
    has_left: bool,
    /// QoS 2 from the client.
    pub inbound: Inbound,
    /// Subscriptions whose retained messages are still to be fetched; those that have been begun are in front.
    pub replays: Replays,
    /// What is done when too much waits.
    pub policy: Option<SlowPolicy>,
    text_bytes: usize,
}

impl Rare {
    /// The shared subscriptions.
    pub(super) fn shared(&self) -> &[SharedSubscription] {
        &self.shared
    }

    /// Whether it has ever left one by its own wish.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    /// One more; false if it is there.
    pub(super) fn join(&mut self, subscription: SharedSubscription) -> bool {
        let is_it = |known: &SharedSubscription| {
            known.group == subscription.group && known.filter == subscription.filter
        };
        if self.shared.iter().any(is_it) {
            return false;
        }
        self.text_bytes += subscription.text_bytes();
        self.shared.push(subscription);
        true
    }

    /// Takes out the one of which this holds.
    pub(super) fn leave(
        &mut self,
        is_it: impl FnMut(&SharedSubscription) -> bool,
    ) -> Option<SharedSubscription> {
        let index = self.shared.iter().position(is_it)?;
        self.has_left = true;
        let subscription = self.shared.swap_remove(index);
        self.text_bytes -= subscription.text_bytes();
        Some(subscription)
    }

    /// Takes all out.
    pub(super) fn leave_all(&mut self) -> Vec<SharedSubscription> {
        self.text_bytes = 0;
        std::mem::take(&mut self.shared)
    }

    /// Bytes of memory, its own included.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.shared.capacity() * size_of::<SharedSubscription>()
            + self.inbound.memory()
            + self.replays.memory()
            + self.text_bytes
    }
}
