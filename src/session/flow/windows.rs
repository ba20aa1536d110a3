//! The two windows of a session, and which identifiers are free: a message that is never acknowledged keeps its own, and nobody
//! else from having one.

use crate::limits;
use crate::session::window::{InFlight, SHARED_ID_BIT, Window, next_private, shared_id};

/// See the module.
#[derive(Default)]
pub(super) struct Windows {
    own: Window,
    shared: Window,
    last_private: u16,
}

impl Windows {
    /// How many messages are in flight.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.own.len() + self.shared.len()
    }

    /// Bytes of memory beside themselves, without the messages.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        self.own.memory() + self.shared.memory()
    }

    /// The window of an identifier.
    #[inline]
    pub(super) fn of(&mut self, id: u16) -> &mut Window {
        if id & SHARED_ID_BIT != 0 {
            &mut self.shared
        } else {
            &mut self.own
        }
    }

    /// All that are in flight: those with private identifiers, then the others, each oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &InFlight> {
        self.own.iter().chain(self.shared.iter())
    }

    /// The order of the oldest message.
    pub(super) fn first_order(&self) -> Option<u64> {
        let first = self.own.first().into_iter().chain(self.shared.first());
        first.map(|entry| entry.order).min()
    }

    /// Places that they have.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.own.places() + self.shared.places()
    }

    /// Whether the shared identifier of this frame is free here.
    #[inline]
    pub(super) fn admits_shared(&mut self, order: u64) -> bool {
        let id = shared_id(order);
        self.shared.admits(id, order) || self.admits_beyond(id, order)
    }

    /// Whether a private identifier is free; those in use are left out.
    #[inline]
    pub(super) fn has_id(&mut self) -> bool {
        self.own.admits(next_private(self.last_private), 0) || self.skips_ids()
    }

    /// The next private identifier, if one is free.
    pub(super) fn next_id(&mut self) -> Option<u16> {
        self.has_id().then(|| {
            self.last_private = next_private(self.last_private);
            self.last_private
        })
    }

    /// Makes way for an identifier that was used in another run, and goes on behind it. False if it cannot be.
    pub(super) fn takes_up(&mut self, id: u16, order: u64) -> bool {
        if id & SHARED_ID_BIT != 0 {
            return id == shared_id(order) && self.admits_shared(order);
        }
        while id != 0 && !self.own.admits(id, order) {
            if self.own.is_aside(id) || !self.own.put_aside() {
                return false;
            }
        }
        self.last_private = id;
        id != 0
    }

    /// Goes on behind identifiers in use, and puts the oldest messages aside that all others would wait for. Whether one is
    /// free then, which is the next.
    #[cold]
    fn skips_ids(&mut self) -> bool {
        for _ in 0..=2 * limits::WINDOW_ASIDE_MAX {
            let next = next_private(self.last_private);
            if self.own.admits(next, 0) {
                return true;
            }
            if self.own.is_aside(next) {
                self.last_private = next;
            } else if !self.own.put_aside() {
                return false;
            }
        }
        false
    }

    /// The same for the identifier of a frame that many share: those are given, and either free or not.
    #[cold]
    fn admits_beyond(&mut self, id: u16, order: u64) -> bool {
        debug_assert!(id & SHARED_ID_BIT != 0);
        while self.shared.is_out_of_reach(order) && self.shared.put_aside() {}
        self.shared.admits(id, order)
    }
}
