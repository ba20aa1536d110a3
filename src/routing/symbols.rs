//! The names of topic levels, each kept once and named by a number.
//!
//! Invariants: a name is in `table` if and only if its slot has `refs > 0`; the two wildcards have fixed symbols and
//! are never released; `dead` is the number of bytes in `text` that no living slot refers to.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use foldhash::fast::FixedState;

use crate::index::Index;
use crate::table::Table;

/// The name of a level, for as long as it is referenced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Symbol(pub(super) u32);

/// The level `#`.
pub(super) const HASH: Symbol = Symbol(0);
/// The level `+`.
pub(super) const PLUS: Symbol = Symbol(1);

const NONE: u32 = u32::MAX;
const LEN_BITS: u32 = 24;

/// Where a name is and how many nodes refer to it: twelve bytes, because there is one per distinct name. The place
/// has 40 bits of offset below 24 bits of length. A free slot has no references and the next free one in `low`.
struct Slot {
    low: u32,
    high: u32,
    refs: u32,
}

impl Slot {
    fn new(offset: usize, len: usize) -> Slot {
        debug_assert!((len as u64) < 1 << LEN_BITS && (offset as u64) < 1 << (64 - LEN_BITS));
        let place = (len as u64) << (64 - LEN_BITS) | offset as u64;
        Slot {
            low: place as u32,
            high: (place >> 32) as u32,
            refs: 1,
        }
    }

    fn vacant() -> Slot {
        Slot {
            low: NONE,
            high: 0,
            refs: 0,
        }
    }

    #[inline]
    fn range(&self) -> Range<usize> {
        let place = u64::from(self.high) << 32 | u64::from(self.low);
        let offset = (place & ((1 << (64 - LEN_BITS)) - 1)) as usize;
        offset..offset + (place >> (64 - LEN_BITS)) as usize
    }

    fn move_to(&mut self, offset: usize) {
        let refs = self.refs;
        *self = Slot {
            refs,
            ..Slot::new(offset, self.range().len())
        };
    }
}

/// The names of the levels of one tree.
pub(super) struct Symbols {
    table: Index,
    slots: Table<Slot>,
    text: Vec<u8>,
    free: u32,
    dead: usize,
    hasher: FixedState,
}

impl Symbols {
    pub(super) fn new(seed: u64) -> Symbols {
        let mut symbols = Symbols {
            table: Index::new(),
            slots: Table::new(),
            text: Vec::new(),
            free: NONE,
            dead: 0,
            hasher: FixedState::with_seed(seed),
        };
        let wildcards = [symbols.acquire(b"#"), symbols.acquire(b"+")];
        debug_assert_eq!(wildcards, [HASH, PLUS]);
        symbols
    }

    /// The symbol of a name that some node has.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<Symbol> {
        let hash = hash(&self.hasher, name);
        self.table
            .find(hash, |slot| self.name(Symbol(slot)) == name)
            .map(Symbol)
    }

    /// The symbol of a name, with one more reference to it.
    pub(super) fn acquire(&mut self, name: &[u8]) -> Symbol {
        if let Some(symbol) = self.find(name) {
            self.slots[symbol.0 as usize].refs += 1;
            return symbol;
        }
        let slot = Slot::new(self.text.len(), name.len());
        if self.text.capacity() - self.text.len() < name.len() {
            self.text
                .reserve_exact(self.text.len() / 4 + name.len() + 64);
        }
        self.text.extend_from_slice(name);
        let index = self.place(slot);
        let (slots, text, hasher) = (&self.slots, &self.text, &self.hasher);
        self.table.insert(hash(hasher, name), index, |other| {
            hash(hasher, &text[slots[other as usize].range()])
        });
        Symbol(index)
    }

    /// Drops one reference; the name goes with the last.
    pub(super) fn release(&mut self, symbol: Symbol) {
        let slot = &mut self.slots[symbol.0 as usize];
        slot.refs -= 1;
        if slot.refs > 0 {
            return;
        }
        let range = slot.range();
        let (slots, text, hasher) = (&self.slots, &self.text, &self.hasher);
        self.table
            .remove(hash(hasher, &text[range.clone()]), symbol.0, |other| {
                hash(hasher, &text[slots[other as usize].range()])
            });
        self.slots[symbol.0 as usize].low = self.free;
        self.free = symbol.0;
        self.dead += range.len();
        self.tidy();
    }

    /// The name of a living symbol.
    #[inline]
    pub(super) fn name(&self, symbol: Symbol) -> &[u8] {
        &self.text[self.slots[symbol.0 as usize].range()]
    }

    /// Names that are referenced, without the two wildcards.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len() - 2
    }

    /// Bytes of heap.
    pub(super) fn memory(&self) -> usize {
        self.table.memory() + self.slots.memory() + self.text.capacity()
    }

    /// Gives memory back after many names have gone.
    pub(super) fn trim(&mut self) {
        self.slots.trim(|_, slot| slot.refs == 0);
        self.free = NONE;
        self.thread(0..self.slots.len() as u32);
        if self.dead > 0 {
            self.pack();
        }
        self.table
            .shrink(|slot| hash(&self.hasher, &self.text[self.slots[slot as usize].range()]));
    }

    /// Puts the free ones of these slots in front of the list of free slots, the lowest first.
    fn thread(&mut self, slots: Range<u32>) {
        for index in slots.rev() {
            let free = self.free;
            if let Some(slot) = self.slots.get_mut(index as usize)
                && slot.refs == 0
            {
                slot.low = free;
                self.free = index;
            }
        }
    }

    fn place(&mut self, slot: Slot) -> u32 {
        if self.free == NONE
            && let Some(slots) = self.slots.refill(Slot::vacant)
        {
            self.thread(slots);
        }
        if self.free == NONE {
            self.slots.push(slot);
            return self.slots.len() as u32 - 1;
        }
        let index = self.free;
        let vacant = &mut self.slots[index as usize];
        self.free = vacant.low;
        *vacant = slot;
        index
    }

    /// Packs the text once the greater part of it is dead, so that a release costs O(1) on average.
    fn tidy(&mut self) {
        if self.dead < 4096 || self.dead < self.text.len() / 2 {
            return;
        }
        self.pack();
    }

    fn pack(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.dead);
        for slot in self.slots.iter_mut().filter(|slot| slot.refs > 0) {
            let range = slot.range();
            slot.move_to(text.len());
            text.extend_from_slice(&self.text[range]);
        }
        self.text = text;
        self.dead = 0;
    }
}

#[inline]
fn hash(hasher: &FixedState, name: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(name);
    hasher.finish()
}
