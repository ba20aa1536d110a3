//! When the next checkpoint of a run should begin: when what a start would have to read has grown by much, or the segments run short.

use crate::limits::{
    STORE_CHECKPOINT_BYTES_MIN, STORE_CHECKPOINT_CROWDED, STORE_CHECKPOINT_FACTOR,
    STORE_CHECKPOINT_GROWN,
};

/// Bytes that had been handed over when a checkpoint began, and when it was complete.
#[derive(Clone, Copy, Default)]
struct Span {
    begin: u64,
    end: u64,
}

/// How the segments are.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Those of this run.
    pub(super) segments: usize,
    /// At most.
    pub(super) segments_max: usize,
    /// No more can be had.
    pub(super) is_full: bool,
}

#[derive(Default)]
pub(super) struct Due {
    /// Bytes that all streams have handed over.
    handed: u64,
    completing: Span,
    /// The last checkpoint that is complete.
    last: Option<Span>,
    is_due: bool,
}

impl Due {
    pub(super) fn on_push(&mut self, bytes: usize) {
        self.handed += bytes as u64;
    }

    /// Bytes handed over so far: the place where a checkpoint that begins now begins.
    pub(super) fn place(&self) -> u64 {
        self.handed
    }

    /// All of a checkpoint was handed over, which began at a place; `None`: nothing belongs to it.
    pub(super) fn on_completing(&mut self, begin: Option<u64>) {
        self.completing = Span {
            begin: begin.unwrap_or(self.handed),
            end: self.handed,
        };
    }

    /// All of that checkpoint is on the disk, and reading begins with it.
    pub(super) fn on_complete(&mut self) {
        self.last = Some(self.completing);
        self.is_due = false;
    }

    /// Whether the next checkpoint should begin, or has begun since that was so. The first of a run is nobody's to ask for.
    pub(super) fn look(&mut self, room: Room) -> bool {
        if let Some(last) = self.last {
            let took = last.end - last.begin;
            let since = self.handed - last.end;
            let (part, of) = STORE_CHECKPOINT_CROWDED;
            // There may be no bound to speak of.
            let is_crowded = room.segments * of > room.segments_max.saturating_mul(part);
            self.is_due |= self.handed - last.begin
                > STORE_CHECKPOINT_BYTES_MIN.max(STORE_CHECKPOINT_FACTOR * took)
                || (is_crowded && since > took / STORE_CHECKPOINT_GROWN)
                || (room.is_full && since > 0);
        }
        self.is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        segments: 4,
        segments_max: 100,
        is_full: false,
    };

    /// One with a checkpoint that took so many bytes.
    fn after(bytes: usize) -> Due {
        let mut due = Due::default();
        due.on_push(5000);
        let begin = due.place();
        due.on_push(bytes);
        due.on_completing(Some(begin));
        due.on_complete();
        due
    }

    #[test]
    fn the_first_checkpoint_is_nobodys_to_ask_for() {
        let mut due = Due::default();
        due.on_push(1 << 40);
        assert!(!due.look(ROOM));
        due.on_completing(Some(0));
        assert!(!due.look(ROOM));
    }

    #[test]
    fn a_small_checkpoint_is_followed_after_so_many_bytes() {
        let mut due = after(1000);
        due.on_push(STORE_CHECKPOINT_BYTES_MIN as usize - 1000);
        assert!(!due.look(ROOM));
        due.on_push(1);
        assert!(due.look(ROOM));
    }

    #[test]
    fn a_large_checkpoint_is_followed_when_as_much_has_come_again() {
        let took = 5 * STORE_CHECKPOINT_BYTES_MIN as usize;
        let mut due = after(took);
        due.on_push(took);
        assert!(!due.look(ROOM));
        due.on_push(1);
        assert!(due.look(ROOM));
    }

    #[test]
    fn it_is_due_until_the_next_is_complete() {
        let mut due = after(1000);
        let crowded = Room {
            segments: 76,
            ..ROOM
        };
        due.on_push(2 * STORE_CHECKPOINT_BYTES_MIN as usize);
        assert!(due.look(ROOM));
        let begin = due.place();
        due.on_push(500);
        due.on_completing(Some(begin));
        due.on_push(500);
        assert!(due.look(ROOM));
        due.on_complete();
        assert!(!due.look(ROOM));
        assert!(due.look(crowded));
        assert!(due.look(ROOM), "it stays so");
    }

    #[test]
    fn without_a_bound_nothing_is_near_it() {
        let mut due = after(1000);
        due.on_push(251);
        assert!(!due.look(Room {
            segments_max: usize::MAX,
            ..ROOM
        }));
    }

    #[test]
    fn a_bound_that_is_near_makes_one_due_once_something_has_come() {
        let crowded = Room {
            segments: 75,
            ..ROOM
        };
        let mut due = after(1000);
        due.on_push(251);
        assert!(!due.look(crowded));
        let crowded = Room {
            segments: 76,
            ..ROOM
        };
        assert!(due.look(crowded));
        let mut due = after(1000);
        due.on_push(250);
        assert!(
            !due.look(crowded),
            "one that frees nothing goes round for ever"
        );
        let full = Room {
            is_full: true,
            ..crowded
        };
        assert!(due.look(full));
        assert!(!after(1000).look(full));
    }
}
