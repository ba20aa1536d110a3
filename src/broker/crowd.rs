//! Connections that wait for their turn: who came first is first. Each stands there once, and whoever leaves, wherever it stands,
//! costs the others nothing: when a hundred thousand that wait are closed together, none looks for itself among all.
//!
//! Invariant: places that have been left are fewer than those that are taken, but for some.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::ids::ConnId;

/// Places that have been left for which nobody looks.
const LEFT_MIN: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Crowd {
    /// With the number of each place; those that were left are still there.
    order: VecDeque<(ConnId, u64)>,
    /// By connection, the number of its place.
    places: HashMap<u32, u64, FixedState>,
    numbers: u64,
}

impl Crowd {
    /// A connection comes to stand at the end, if it does not stand there already.
    pub(super) fn push_back(&mut self, conn: ConnId) {
        if let Entry::Vacant(place) = self.places.entry(conn.0) {
            self.numbers += 1;
            place.insert(self.numbers);
            self.order.push_back((conn, self.numbers));
        }
    }

    /// Who is first.
    pub(super) fn front(&mut self) -> Option<ConnId> {
        while let Some(&(conn, number)) = self.order.front() {
            if self.places.get(&conn.0) == Some(&number) {
                return Some(conn);
            }
            self.order.pop_front();
        }
        None
    }

    /// Who is first, and stands there no longer.
    pub(super) fn pop_front(&mut self) -> Option<ConnId> {
        let conn = self.front()?;
        self.order.pop_front();
        self.places.remove(&conn.0);
        Some(conn)
    }

    /// A connection leaves. Returns whether it stood there.
    pub(super) fn remove(&mut self, conn: ConnId) -> bool {
        if self.places.is_empty() || self.places.remove(&conn.0).is_none() {
            return false;
        }
        if self.order.len() > 2 * self.places.len() + LEFT_MIN {
            let places = &self.places;
            self.order
                .retain(|(conn, number)| places.get(&conn.0) == Some(number));
        }
        true
    }

    /// How many stand there.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody does.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.order.capacity() * size_of::<(ConnId, u64)>() + self.places.allocation_size()
    }

    /// Gives memory back.
    pub(super) fn shrink_to_fit(&mut self) {
        self.order.shrink_to_fit();
        self.places.shrink_to_fit();
    }

    /// Whether a connection stands there.
    #[cfg(test)]
    pub(super) fn contains(&self, conn: ConnId) -> bool {
        self.places.contains_key(&conn.0)
    }
}

impl Extend<ConnId> for Crowd {
    fn extend<I: IntoIterator<Item = ConnId>>(&mut self, conns: I) {
        for conn in conns {
            self.push_back(conn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(crowd: &mut Crowd) -> Vec<u32> {
        std::iter::from_fn(|| crowd.pop_front())
            .map(|conn| conn.0)
            .collect()
    }

    #[test]
    fn who_leaves_and_comes_again_stands_at_the_end() {
        let mut crowd = Crowd::default();
        crowd.extend([1, 2, 3, 2, 1].map(ConnId));
        assert!(crowd.remove(ConnId(1)) && !crowd.remove(ConnId(1)));
        crowd.push_back(ConnId(1));
        assert_eq!((crowd.len(), crowd.front()), (3, Some(ConnId(2))));
        assert_eq!(take_all(&mut crowd), [2, 3, 1]);
        assert!(crowd.is_empty() && crowd.front().is_none());
    }

    #[test]
    fn places_that_were_left_are_few() {
        let mut crowd = Crowd::default();
        for round in 0..1000 {
            crowd.extend((0..20).map(ConnId));
            for conn in 0..20 {
                assert!(conn == round % 20 || crowd.remove(ConnId(conn)));
            }
            assert!(
                crowd.order.len() <= 2 * crowd.len() + LEFT_MIN + 20,
                "{round}"
            );
        }
    }
}
