//! Which messages are looked at: one of a number that follows the load, at distances that nobody can fall into step with.

use crate::limits;

/// See the module.
pub(super) struct Sampler {
    /// One message of so many is looked at, a power of two.
    stride: u32,
    /// The state of a generator (xorshift): the same seed gives the same distances.
    random: u64,
    /// Messages to the next look, when it was decided.
    gap: u32,
    /// Messages of this second up to the last look.
    seen: u64,
    /// Looks since the stride was last chosen.
    looks: u32,
}

impl Sampler {
    pub(super) fn new(seed: u64) -> Sampler {
        Sampler {
            stride: 1,
            random: seed | 1,
            gap: 1,
            seen: 0,
            looks: 0,
        }
    }

    /// How many messages a look stands for.
    pub(super) fn stride(&self) -> u32 {
        self.stride
    }

    /// A message has been looked at, or the stride is another one: messages until the next look. Their mean is the stride.
    pub(super) fn next_gap(&mut self) -> u32 {
        self.seen += u64::from(self.gap);
        self.looks += 1;
        if self.looks >= limits::BUSIEST_LOOKS && self.stride < limits::BUSIEST_STRIDE_MAX {
            // Faster than the second before.
            self.stride *= 2;
            self.looks = 0;
        }
        self.gap = match self.stride {
            1 => 1,
            stride => 1 + (self.draw() % u64::from(2 * stride - 1)) as u32,
        };
        self.gap
    }

    /// A second begins, this long after the one before, with so many messages left until the next look. Whether the distance is to be
    /// chosen anew.
    pub(super) fn begin_second(&mut self, left: u32, elapsed_ms: u64) -> bool {
        let seen = self.seen + u64::from(self.gap.saturating_sub(left));
        let a_second = seen * 1000 / elapsed_ms.max(1000);
        let wanted = a_second.div_ceil(u64::from(limits::BUSIEST_LOOKS));
        let wanted = (wanted.max(1) as u32)
            .next_power_of_two()
            .min(limits::BUSIEST_STRIDE_MAX);
        let is_other = wanted != self.stride;
        self.stride = wanted;
        self.seen = 0;
        self.looks = 0;
        // What is left of a distance that goes on belongs to this second.
        self.gap = if is_other { 0 } else { left };
        is_other
    }

    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 16
    }
}
