//! What one publisher has outstanding: a ring with a counter per message, the oldest at `base`.
//!
//! Invariants: `sent - base <= window`; the counter of a message in `base..sent` is the number of deliveries (and of
//! completed handshakes) that it still waits for; every other counter is 0.

pub struct Track {
    remaining: Vec<u32>,
    mask: u64,
    window: u64,
    pub sent: u64,
    base: u64,
}

impl Track {
    pub fn new(window: u32) -> Self {
        let slots = u64::from(window).next_power_of_two();
        Self {
            remaining: vec![0; slots as usize],
            mask: slots - 1,
            window: u64::from(window),
            sent: 0,
            base: 0,
        }
    }

    /// How many messages may be sent now.
    pub fn room(&self) -> u64 {
        self.window - (self.sent - self.base)
    }

    pub fn is_idle(&self) -> bool {
        self.sent == self.base
    }

    /// Takes note of a new message that waits for `parts` events, and returns its sequence.
    pub fn send(&mut self, parts: u32) -> u64 {
        let sequence = self.sent;
        self.remaining[(sequence & self.mask) as usize] = parts;
        self.sent += 1;
        sequence
    }

    /// One part of message `sequence` (its low 32 bits) has happened. False: nobody waited for it.
    pub fn settle(&mut self, sequence: u32) -> bool {
        let ahead = u64::from(sequence.wrapping_sub(self.base as u32));
        let sequence = self.base + ahead;
        if sequence >= self.sent {
            return false;
        }
        let slot = &mut self.remaining[(sequence & self.mask) as usize];
        if *slot == 0 {
            return false;
        }
        *slot -= 1;
        while self.base < self.sent && self.remaining[(self.base & self.mask) as usize] == 0 {
            self.base += 1;
        }
        true
    }

    /// The packet identifier of message `sequence`.
    pub fn id(sequence: u64) -> u16 {
        (sequence % 65_535) as u16 + 1
    }

    /// The message that packet identifier `id` stands for now.
    pub fn by_id(&self, id: u16) -> u32 {
        let ahead = (u64::from(id) + 65_535 - u64::from(Self::id(self.base))) % 65_535;
        (self.base + ahead) as u32
    }
}
