//! The number of a filter: that of its node in the tree of subscriptions.

/// A filter that has at least one entry. The number is reused after its last entry was removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FilterId(pub(super) u32);

impl FilterId {
    /// The number, for who puts filters in an order.
    pub const fn number(self) -> u32 {
        self.0
    }
}
