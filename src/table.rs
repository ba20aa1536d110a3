//! A table that grows by chunks: nothing is copied, and nothing is left behind, when it grows.
//!
//! What holds one element per client or per subscription is mostly memory: a vector that doubles would hold up to
//! twice of it, and while it grows, three times.

use std::ops::{Index, IndexMut};

/// Elements in a chunk.
const CHUNK: usize = 256;

/// Elements by number, from 0. It never shrinks; who uses it keeps a list of free numbers.
#[derive(Debug)]
pub struct Table<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table {
            chunks: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Table<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an element, whose number is the length before.
    pub fn push(&mut self, element: T) {
        if self.len == self.chunks.len() * CHUNK {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(element);
            self.len += 1;
        }
    }

    /// The element with this number, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// The element with this number, if there is one.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    /// Gives the chunks at the end back in which `is_free` holds for every element; returns how many elements are left.
    pub fn trim(&mut self, is_free: impl Fn(usize, &T) -> bool) -> usize {
        while let Some(last) = self.chunks.last() {
            let first = (self.chunks.len() - 1) * CHUNK;
            let mut elements = last.iter().enumerate();
            if !elements.all(|(index, element)| is_free(first + index, element)) {
                break;
            }
            self.len -= last.len();
            self.chunks.pop();
        }
        self.len
    }

    /// All elements, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// All elements, in the order of their numbers.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
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

    #[test]
    fn it_is_a_list() {
        let mut table = Table::new();
        assert!(table.is_empty() && table.get(0).is_none());
        for number in 0..1000 {
            table.push(number);
            table[number] += 1;
        }
        assert_eq!(table.len(), 1000);
        assert!(table.iter().copied().eq(1..=1000));
        assert_eq!(
            (table[256], table.get(999), table.get(1000)),
            (257, Some(&1000), None)
        );
    }

    #[test]
    fn chunks_at_the_end_are_given_back() {
        let mut table = Table::new();
        for number in 0..1000 {
            table.push(number);
        }
        let before = table.memory();
        assert_eq!(table.trim(|_, &number| number > 300), 512);
        assert!(table.memory() < before && table.get(511).is_some());
        table.push(7);
        assert_eq!((table.len(), table[512]), (513, 7));
        assert_eq!(table.trim(|_, _| true), 0);
        table.push(1);
        assert_eq!(table[0], 1);
    }
}
