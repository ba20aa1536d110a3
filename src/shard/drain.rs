//! The end of a shard: until when it has to be over, and whether the others know that this shard has nothing left.

/// See the module.
#[derive(Default)]
pub(super) struct Drain {
    until_ms: Option<u64>,
    is_told: bool,
}

impl Drain {
    /// The end begins, and has to be over by then; false if it has begun before.
    pub(super) fn begin(&mut self, until_ms: u64) -> bool {
        let is_first = self.until_ms.is_none();
        self.until_ms.get_or_insert(until_ms);
        is_first
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.until_ms.is_some()
    }

    /// When it has to be over.
    pub(super) fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }

    /// There is more time for it: the shard has stood still for so long.
    pub(super) fn put_off(&mut self, lost_ms: u64) {
        if let Some(until_ms) = &mut self.until_ms {
            *until_ms += lost_ms;
        }
    }

    /// This shard has nothing left, or no more time; whether that is to be told, once.
    pub(super) fn tells(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }

    /// Whether that was told.
    pub(super) fn is_told(&self) -> bool {
        self.is_told
    }
}
