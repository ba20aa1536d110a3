//! How much publishers may have under way by owners of topics (`ordered`). Who has reached its bound, or comes when all
//! together have reached theirs, is held until owners have passed on what was sent before, and then goes on like one that was
//! cut off (`cut`): what was received of it is kept, charged like any packet that has not come whole.
//!
//! Invariants: clients have no more under way together than the bound and a message beyond it, but for wills and what was
//! received of those that end; who is held here is the one that waits with its window, or in the crowd, and is let go when its
//! window, or room for all, opens.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::crowd::Crowd;
use crate::ids::{ConnId, NONE};
use crate::limits;

/// So many messages, with so many bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Size {
    pub messages: u64,
    pub bytes: u64,
}

impl Size {
    fn add(&mut self, bytes: u32) {
        self.messages += 1;
        self.bytes += u64::from(bytes);
    }

    fn take(&mut self, bytes: u32) {
        self.messages -= 1;
        self.bytes -= u64::from(bytes);
    }

    fn reaches(self, most: Size) -> bool {
        self.messages >= most.messages || self.bytes >= most.bytes
    }
}

/// What one publisher has under way.
struct Window {
    size: Size,
    /// The connection that waits until there is less; `NONE` if none does.
    waits: u32,
}

/// See the module.
pub(crate) struct UnderWay {
    /// What one publisher may have, and all of them.
    most: Size,
    most_of_all: Size,
    /// By the serial of the publisher's session.
    windows: HashMap<u64, Window, FixedState>,
    all: Size,
    /// Publishers that have all they may.
    full: usize,
    /// Connections that wait for room among all: who came first is first.
    crowd: Crowd,
    /// Whether somebody may have to wait.
    presses: bool,
    /// Nobody has to wait: what was received of one that ends is handled.
    is_lifted: bool,
}

impl Default for UnderWay {
    fn default() -> Self {
        UnderWay {
            most: Size {
                messages: limits::UNDER_WAY_MESSAGES_MAX,
                bytes: limits::UNDER_WAY_BYTES_MAX,
            },
            most_of_all: Size {
                messages: limits::UNDER_WAY_ALL_MESSAGES_MAX,
                bytes: limits::UNDER_WAY_ALL_BYTES_MAX,
            },
            windows: HashMap::with_hasher(FixedState::with_seed(0)),
            all: Size::default(),
            full: 0,
            crowd: Crowd::default(),
            presses: false,
            is_lifted: false,
        }
    }
}

impl UnderWay {
    /// A message of a publisher is given to an owner.
    pub(crate) fn give(&mut self, serial: u64, bytes: u32) {
        let window = self.windows.entry(serial).or_insert(Window {
            size: Size::default(),
            waits: NONE,
        });
        let was_full = window.size.reaches(self.most);
        window.size.add(bytes);
        self.all.add(bytes);
        self.full += usize::from(!was_full && window.size.reaches(self.most));
        self.look();
    }

    /// It has been passed on. The connection that waited for that goes on, behind those that wait for room among all.
    pub(crate) fn take_back(&mut self, serial: u64, bytes: u32) -> Option<ConnId> {
        self.all.take(bytes);
        let window = self.windows.get_mut(&serial)?;
        let was_full = window.size.reaches(self.most);
        window.size.take(bytes);
        let opens = was_full && !window.size.reaches(self.most);
        self.full -= usize::from(opens);
        let waited = match opens {
            true => std::mem::replace(&mut window.waits, NONE),
            false => NONE,
        };
        if window.size.messages == 0 {
            self.windows.remove(&serial);
        }
        self.look();
        let waited = (waited != NONE).then_some(ConnId(waited))?;
        if self.crowd.is_empty() {
            return Some(waited);
        }
        self.crowd.push_back(waited);
        None
    }

    fn look(&mut self) {
        self.presses = self.full > 0 || self.all.reaches(self.most_of_all);
    }

    /// Whether a publisher may have to wait.
    #[inline]
    pub(crate) fn presses(&self) -> bool {
        self.presses && !self.is_lifted
    }

    /// Whether a message of a publisher has to wait, and if so notes its connection; `by_owner`: it may go by an owner.
    pub(crate) fn waits(&mut self, conn: ConnId, serial: u64, by_owner: bool) -> bool {
        if !self.presses() {
            return false;
        }
        if let Some(window) = self.windows.get_mut(&serial)
            && window.size.reaches(self.most)
        {
            window.waits = conn.0;
            return true;
        }
        let waits = by_owner && self.all.reaches(self.most_of_all);
        if waits {
            self.crowd.push_back(conn);
        }
        waits
    }

    /// Whether there is room for somebody who waits for it.
    #[inline]
    pub(crate) fn can_let_in(&self) -> bool {
        !self.crowd.is_empty() && !self.all.reaches(self.most_of_all)
    }

    /// Who goes on first, if there is room.
    pub(crate) fn let_in(&mut self) -> Option<ConnId> {
        match self.can_let_in() {
            true => self.crowd.pop_front(),
            false => None,
        }
    }

    /// All that wait, which is nobody then.
    pub(crate) fn take_all(&mut self) -> Vec<ConnId> {
        let windows = self.windows.values_mut();
        let waits = windows.map(|window| std::mem::replace(&mut window.waits, NONE));
        let waits = waits.filter(|&waits| waits != NONE).map(ConnId);
        waits
            .chain(std::iter::from_fn(|| self.crowd.pop_front()))
            .collect()
    }

    /// A connection does not wait any more. Returns whether it did.
    pub(crate) fn forget(&mut self, conn: ConnId, serial: u64) -> bool {
        let left = self.crowd.remove(conn);
        let window = self.windows.get_mut(&serial);
        let window = window.filter(|window| window.waits == conn.0);
        let waited = window.map(|window| window.waits = NONE).is_some();
        waited || left
    }

    /// Nobody has to wait, for as long as this `is_lifted`.
    pub(crate) fn lift(&mut self, is_lifted: bool) {
        self.is_lifted = is_lifted;
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.windows.allocation_size() + self.crowd.memory()
    }

    /// Gives memory back.
    pub(crate) fn trim(&mut self) {
        self.windows.shrink_to_fit();
        self.crowd.shrink_to_fit();
    }

    /// Other bounds on the messages that one publisher and all of them may have.
    #[cfg(test)]
    pub(crate) fn set_most(&mut self, one: u64, all: u64) {
        self.most.messages = one;
        self.most_of_all.messages = all;
    }

    /// Whether a connection waits.
    #[cfg(test)]
    pub(crate) fn knows(&self, conn: ConnId) -> bool {
        let mut windows = self.windows.values();
        self.crowd.contains(conn) || windows.any(|window| window.waits == conn.0)
    }

    /// What all have under way.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Size {
        self.all
    }
}
