//! When a phase is over: when all is done and nothing more comes, or when nothing has moved for too long.

/// Nothing more comes for so long: then nothing will. What comes twice comes in this time.
const QUIET_NS: u64 = 20_000_000;

/// Whether anything moves.
pub(super) struct Pulse {
    moves: u64,
    /// When it last moved.
    moved_ns: u64,
    /// Since when all is done.
    complete_ns: Option<u64>,
}

impl Pulse {
    pub(super) fn new(now_ns: u64) -> Self {
        Pulse {
            moves: 0,
            moved_ns: now_ns,
            complete_ns: None,
        }
    }

    /// `moves` is another number whenever something has moved.
    pub(super) fn feel(&mut self, now_ns: u64, moves: u64, is_complete: bool) {
        if moves != self.moves {
            (self.moves, self.moved_ns) = (moves, now_ns);
        }
        self.complete_ns = match is_complete {
            true => self.complete_ns.or(Some(now_ns)),
            false => None,
        };
    }

    /// All is done, and it has been quiet since.
    pub(super) fn is_complete(&self, now_ns: u64) -> bool {
        self.complete_ns
            .is_some_and(|since_ns| now_ns >= since_ns.max(self.moved_ns) + QUIET_NS)
    }

    /// Nothing has moved for `patience_ns`, which counts from `from_ns` at the earliest.
    pub(super) fn is_dead(&self, now_ns: u64, from_ns: u64, patience_ns: u64) -> bool {
        now_ns > self.moved_ns.max(from_ns) + patience_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn it_is_over_when_all_is_done_and_quiet() {
        let mut pulse = Pulse::new(0);
        pulse.feel(MS, 1, true);
        assert!(!pulse.is_complete(20 * MS));
        // A straggler: it has to be quiet again.
        pulse.feel(20 * MS, 2, true);
        assert!(!pulse.is_complete(30 * MS) && pulse.is_complete(40 * MS));
        pulse.feel(41 * MS, 2, false);
        assert!(!pulse.is_complete(90 * MS));
    }

    #[test]
    fn patience_ends_when_nothing_moves() {
        let mut pulse = Pulse::new(0);
        pulse.feel(5 * MS, 1, false);
        assert!(!pulse.is_dead(14 * MS, 0, 10 * MS) && pulse.is_dead(16 * MS, 0, 10 * MS));
        assert!(!pulse.is_dead(16 * MS, 10 * MS, 10 * MS));
    }
}
