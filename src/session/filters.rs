//! The filters that a session is subscribed to: most have one, and it is held in place.

use crate::routing::FilterId;

/// A set of filters.
#[derive(Debug, Default)]
pub(crate) enum Filters {
    /// None.
    #[default]
    None,
    /// A single one.
    One(FilterId),
    /// Several. In a box, because a session with one should be small.
    #[allow(clippy::box_collection)]
    Many(Box<Vec<FilterId>>),
}

impl Filters {
    /// Adds one that is not there.
    pub(crate) fn push(&mut self, filter: FilterId) {
        match self {
            Filters::None => *self = Filters::One(filter),
            Filters::One(first) => *self = Filters::Many(Box::new(vec![*first, filter])),
            Filters::Many(filters) => filters.push(filter),
        }
    }

    /// Removes one.
    pub(crate) fn remove(&mut self, filter: FilterId) {
        match self {
            Filters::One(only) if *only == filter => *self = Filters::None,
            Filters::Many(filters) => {
                if let Some(index) = filters.iter().position(|known| *known == filter) {
                    filters.swap_remove(index);
                }
            }
            _ => {}
        }
    }

    /// Bytes of memory beside itself.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Filters::None | Filters::One(_) => 0,
            Filters::Many(filters) => {
                size_of::<Vec<FilterId>>() + filters.capacity() * size_of::<FilterId>()
            }
        }
    }

    /// All of them.
    pub(crate) fn as_slice(&self) -> &[FilterId] {
        match self {
            Filters::None => &[],
            Filters::One(only) => std::slice::from_ref(only),
            Filters::Many(filters) => filters,
        }
    }
}
