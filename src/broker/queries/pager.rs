//! How much of a page is left.

use crate::limits;

/// What may still be looked at, and answered.
pub(in crate::broker) struct Pager {
    looks: usize,
    rows: usize,
    bytes: usize,
    is_empty: bool,
}

impl Pager {
    /// A page with so many rows, or fewer.
    pub(in crate::broker) fn new(rows: usize) -> Pager {
        Pager {
            looks: limits::QUERY_LOOKS_MAX,
            rows: rows.clamp(1, limits::QUERY_ROWS_MAX),
            bytes: limits::QUERY_BYTES_MAX,
            is_empty: true,
        }
    }

    /// Whether one more thing may be looked at, and answered.
    pub(in crate::broker) fn goes_on(&self) -> bool {
        self.looks > 0 && self.rows > 0
    }

    /// Rows that there is still room for.
    pub(in crate::broker) fn rows(&self) -> usize {
        self.rows
    }

    /// Something has been looked at that costs as much as so many places.
    pub(in crate::broker) fn look(&mut self, looks: usize) {
        self.looks = self.looks.saturating_sub(looks);
    }

    /// Whether there is room for a row with so many bytes of names: for the first one always. If so it is counted.
    pub(in crate::broker) fn takes(&mut self, bytes: usize) -> bool {
        let takes = self.rows > 0 && (bytes <= self.bytes || self.is_empty);
        if takes {
            self.rows -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            self.is_empty = false;
        } else {
            self.rows = 0;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_an_end_by_each_bound_and_at_least_one_row() {
        let mut pager = Pager::new(usize::MAX);
        assert_eq!(pager.rows(), limits::QUERY_ROWS_MAX);
        assert!(pager.takes(limits::QUERY_BYTES_MAX + 1) && pager.goes_on());
        assert!(!pager.takes(1) && !pager.goes_on());
        let mut pager = Pager::new(0);
        assert!(pager.takes(0) && !pager.takes(0));
        let mut pager = Pager::new(9);
        pager.look(limits::QUERY_LOOKS_MAX);
        assert!(!pager.goes_on());
    }
}
