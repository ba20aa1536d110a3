//! The entries of filters that more than one target wants.
//!
//! Invariants: a list in use has at least two entries, no two with the same target; `locals` counts those that are
//! not another shard's interest; a list of more than `INDEXED_ABOVE` entries has an index with the position of every
//! entry, so that insertion and removal take constant time however many subscribers a filter has.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::entry::Entry;
use crate::limits::LIST_ENTRIES_SCANNED_MAX as INDEXED_ABOVE;
use crate::table::Table;

/// The entries of one filter.
#[derive(Default)]
pub(super) struct List {
    entries: Vec<Entry>,
    locals: u32,
    index: Option<Box<HashTable<u32>>>,
}

/// All lists of a tree of subscriptions.
pub(super) struct Lists {
    lists: Table<List>,
    free: Vec<u32>,
    heap: usize,
    hasher: FixedState,
}

impl Lists {
    pub(super) fn new(seed: u64) -> Lists {
        Lists {
            lists: Table::new(),
            free: Vec::new(),
            heap: 0,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// A list of two entries with different targets.
    pub(super) fn create(&mut self, first: Entry, second: Entry) -> u32 {
        let entries = vec![first, second];
        let locals = u32::from(first.is_local()) + u32::from(second.is_local());
        let list = List {
            entries,
            locals,
            index: None,
        };
        self.heap += list.heap();
        if self.free.is_empty()
            && let Some(places) = self.lists.refill(List::default)
        {
            self.free.extend(places.rev());
        }
        match self.free.pop() {
            Some(vacant) => {
                self.lists[vacant as usize] = list;
                vacant
            }
            None => {
                self.lists.push(list);
                self.lists.len() as u32 - 1
            }
        }
    }

    /// The entries of a list in use.
    #[inline]
    pub(super) fn entries(&self, list: u32) -> &[Entry] {
        &self.lists[list as usize].entries
    }

    /// How many entries of a list are subscribers of this shard.
    pub(super) fn locals(&self, list: u32) -> u32 {
        self.lists[list as usize].locals
    }

    /// The entry for a target.
    pub(super) fn find(&self, list: u32, target: u32) -> Option<Entry> {
        let list = &self.lists[list as usize];
        list.position(&self.hasher, target)
            .map(|position| list.entries[position])
    }

    /// Adds an entry or replaces the one with the same target, which is returned.
    pub(super) fn insert(&mut self, list: u32, entry: Entry) -> Option<Entry> {
        let list = &mut self.lists[list as usize];
        if let Some(position) = list.position(&self.hasher, entry.key()) {
            return Some(std::mem::replace(&mut list.entries[position], entry));
        }
        let heap = list.heap();
        list.push(&self.hasher, entry);
        self.heap = self.heap - heap + list.heap();
        None
    }

    /// Removes the entry for a target. When one entry is left it is returned too and the list is gone.
    pub(super) fn remove(&mut self, index: u32, target: u32) -> Option<(Entry, Option<Entry>)> {
        let list = &mut self.lists[index as usize];
        let position = list.position(&self.hasher, target)?;
        let heap = list.heap();
        let removed = list.swap_remove(&self.hasher, position);
        let mut last = None;
        if let [only] = list.entries[..] {
            last = Some(only);
            *list = List::default();
            self.free.push(index);
        }
        self.heap = self.heap - heap + self.lists[index as usize].heap();
        Some((removed, last))
    }

    /// Gives places at the end back that nobody has.
    pub(super) fn trim(&mut self) {
        self.lists.trim(|_, list| list.entries.is_empty());
        let lists = &self.lists;
        self.free
            .retain(|&index| lists.get(index as usize).is_some());
        self.free.shrink_to_fit();
    }

    /// Lists in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lists.iter().count() - self.free.len()
    }

    /// Bytes of heap.
    pub(super) fn memory(&self) -> usize {
        self.heap + self.lists.memory() + self.free.capacity() * size_of::<u32>()
    }
}

impl List {
    fn position(&self, hasher: &FixedState, target: u32) -> Option<usize> {
        match &self.index {
            None => self.entries.iter().position(|entry| entry.key() == target),
            Some(index) => index
                .find(hash(hasher, target), |&position| {
                    self.entries[position as usize].key() == target
                })
                .map(|&position| position as usize),
        }
    }

    fn push(&mut self, hasher: &FixedState, entry: Entry) {
        let position = self.entries.len() as u32;
        self.entries.push(entry);
        self.locals += u32::from(entry.is_local());
        if let Some(index) = &mut self.index {
            add_position(index, hasher, &self.entries, position);
        } else if self.entries.len() > INDEXED_ABOVE {
            let mut index = Box::new(HashTable::with_capacity(2 * INDEXED_ABOVE));
            for position in 0..self.entries.len() as u32 {
                add_position(&mut index, hasher, &self.entries, position);
            }
            self.index = Some(index);
        }
    }

    fn swap_remove(&mut self, hasher: &FixedState, position: usize) -> Entry {
        let last = self.entries.len() - 1;
        if let Some(index) = &mut self.index {
            let gone = hash(hasher, self.entries[position].key());
            if let Ok(found) = index.find_entry(gone, |&other| other as usize == position) {
                found.remove();
            }
            let moved = hash(hasher, self.entries[last].key());
            if let Some(found) = index.find_mut(moved, |&other| other as usize == last) {
                *found = position as u32;
            }
        }
        let removed = self.entries.swap_remove(position);
        self.locals -= u32::from(removed.is_local());
        self.shrink(hasher);
        removed
    }

    /// Gives memory back after most of the list has gone.
    fn shrink(&mut self, hasher: &FixedState) {
        let len = self.entries.len();
        if len <= INDEXED_ABOVE / 2 {
            self.index = None;
        }
        if self.entries.capacity() > 8 && len < self.entries.capacity() / 4 {
            self.entries.shrink_to(len * 2);
            if let Some(index) = &mut self.index {
                let entries = &self.entries;
                index.shrink_to(len * 2, |&other| {
                    hash(hasher, entries[other as usize].key())
                });
            }
        }
    }

    fn heap(&self) -> usize {
        let index = self
            .index
            .as_ref()
            .map_or(0, |index| size_of_val(&**index) + index.allocation_size());
        self.entries.capacity() * size_of::<Entry>() + index
    }
}

fn add_position(index: &mut HashTable<u32>, hasher: &FixedState, entries: &[Entry], position: u32) {
    let of = |&other: &u32| hash(hasher, entries[other as usize].key());
    index.insert_unique(of(&position), position, of);
}

#[inline]
fn hash(hasher: &FixedState, target: u32) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u32(target);
    hasher.finish()
}
