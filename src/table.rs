//! A table that grows by chunks: nothing is copied, and nothing is left behind, when it grows.
//!
//! What holds one element per client or per subscription is mostly memory: a vector that doubles would hold up to
//! twice of it, and while it grows, three times. After a peak chunks without an element in use go back, wherever they
//! are: one element that stays keeps its chunk, not the table.

use std::ops::{Index, IndexMut, Range};

/// Elements in a chunk. Few in tests, so that what is tested has chunks that come and go.
const CHUNK: usize = if cfg!(test) { 8 } else { 256 };

/// Elements by number, from 0. Who uses it keeps a list of free numbers.
///
/// A chunk that was given back is a *hole*: its numbers have no element until `refill` or `ensure` makes them anew.
#[derive(Debug)]
pub(crate) struct Table<T> {
    /// A hole is empty.
    chunks: Vec<Vec<T>>,
    /// Numbers, those of holes included.
    len: usize,
    holes: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table {
            chunks: Vec::new(),
            len: 0,
            holes: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The number after the last one.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements, and no holes.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an element, whose number is the length before.
    pub(crate) fn push(&mut self, element: T) {
        if self.len == self.chunks.len() * CHUNK {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(element);
            self.len += 1;
        }
    }

    /// Fills a hole, if there is one, with new elements; returns their numbers.
    pub(crate) fn refill(&mut self, make: impl FnMut() -> T) -> Option<Range<u32>> {
        let hole = self.holes.pop()?;
        let chunk = &mut self.chunks[hole as usize];
        chunk.reserve_exact(CHUNK);
        chunk.extend(std::iter::repeat_with(make).take(CHUNK));
        let first = hole * CHUNK as u32;
        Some(first..first + CHUNK as u32)
    }

    /// Makes sure that there is an element with this number.
    pub(crate) fn ensure(&mut self, index: usize, mut make: impl FnMut() -> T) {
        while self.len <= index {
            self.push(make());
        }
        if !self.chunks[index / CHUNK].is_empty() {
            return;
        }
        self.holes.retain(|&hole| hole as usize != index / CHUNK);
        self.holes.push((index / CHUNK) as u32);
        self.refill(make);
    }

    /// The element with this number, if there is one.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// The element with this number, if there is one.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    /// Gives the chunks back in which `is_free` holds for every element: those at the end, and as holes the others.
    pub(crate) fn trim(&mut self, is_free: impl Fn(usize, &T) -> bool) {
        let all_free = |number: usize, chunk: &Vec<T>| {
            let mut elements = chunk.iter().enumerate();
            elements.all(|(index, element)| is_free(number * CHUNK + index, element))
        };
        while let Some(last) = self.chunks.last()
            && all_free(self.chunks.len() - 1, last)
        {
            self.chunks.pop();
            self.len = self.len.min(self.chunks.len() * CHUNK);
        }
        self.holes.clear();
        for (number, chunk) in self.chunks.iter_mut().enumerate() {
            if all_free(number, chunk) {
                *chunk = Vec::new();
                self.holes.push(number as u32);
            }
        }
        // The lowest are filled first, so that the end becomes free.
        self.holes.reverse();
        self.holes.shrink_to_fit();
        self.chunks.shrink_to_fit();
    }

    /// All elements, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// All elements, in the order of their numbers.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }

    /// All elements with their numbers, in their order.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (usize, &T)> {
        self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            let first = number * CHUNK;
            let with_number = move |(index, element)| (first + index, element);
            chunk.iter().enumerate().map(with_number)
        })
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        (self.chunks.len() - self.holes.len()) * CHUNK * size_of::<T>()
            + self.chunks.capacity() * size_of::<Vec<T>>()
            + self.holes.capacity() * size_of::<u32>()
    }
}

impl<T> Index<usize> for Table<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T> IndexMut<usize> for Table<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(up_to: usize) -> Table<usize> {
        let mut table = Table::new();
        for number in 0..up_to {
            table.push(number);
        }
        table
    }

    #[test]
    fn it_is_a_list() {
        let mut table = numbers(1000);
        assert!(Table::<usize>::new().is_empty() && table.get(1000).is_none());
        table[256] += 1;
        assert_eq!(
            (table.len(), table[256], table.get(999)),
            (1000, 257, Some(&999))
        );
        assert_eq!(table.iter().count(), 1000);
    }

    #[test]
    fn chunks_at_the_end_are_given_back() {
        let mut table = numbers(5 * CHUNK + 3);
        let before = table.memory();
        table.trim(|_, &number| number > CHUNK);
        assert_eq!((table.len(), table.get(2 * CHUNK)), (2 * CHUNK, None));
        assert!(table.memory() < before);
        table.push(7);
        assert_eq!((table.len(), table[2 * CHUNK]), (2 * CHUNK + 1, 7));
        table.trim(|_, _| true);
        assert!(table.is_empty());
        table.push(1);
        assert_eq!(table[0], 1);
    }

    #[test]
    fn chunks_in_the_middle_are_holes_until_they_are_filled() {
        let mut table = numbers(4 * CHUNK);
        let before = table.memory();
        table.trim(|_, &number| number < 2 * CHUNK + 1);
        assert!(table.memory() < before);
        assert_eq!(table.len(), 4 * CHUNK);
        let there = |table: &Table<usize>| {
            [0, 1, 2, 3].map(|chunk| table.get(chunk * CHUNK + CHUNK - 1).is_some())
        };
        assert_eq!(there(&table), [false, false, true, true]);
        assert!(table.iter().copied().eq(2 * CHUNK..4 * CHUNK));
        assert!(table.indexed().all(|(index, &number)| index == number));

        assert_eq!(table.refill(|| 0), Some(0..CHUNK as u32));
        assert_eq!(there(&table), [true, false, true, true]);
        table.ensure(CHUNK + 1, || 1);
        table.ensure(CHUNK + 2, || 2);
        assert_eq!((table[CHUNK + 2], table.refill(|| 0)), (1, None));
        assert_eq!((table.len(), table.iter().count()), (4 * CHUNK, 4 * CHUNK));
        table.ensure(5 * CHUNK, || 3);
        assert_eq!((table.len(), table[4 * CHUNK]), (5 * CHUNK + 1, 3));

        // A hole at the end is no hole.
        table.trim(|index, _| index >= CHUNK);
        assert_eq!((table.len(), table.refill(|| 0)), (CHUNK, None));
    }
}
