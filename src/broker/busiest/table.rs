//! The most frequent topics of a stream in fixed memory (Space-Saving, Metwally and others, 2005). Each has a count. One that has no place takes
//! that of the least counted, and its count, which is how much too high its own may be from then on. So no count is too low, every
//! topic with more than its share of the places is there, and none that is not there has more than the least count.
//!
//! All counts fade alike, which changes none of that: what is told is the last minute.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::told::{BusyTopic, BusyTopics};
use crate::limits;

const PLACES: usize = limits::BUSIEST_TOPICS;
const NAME_BYTES: usize = limits::BUSIEST_NAME_BYTES;

/// What a place has beside its count.
#[derive(Clone, Copy, Default)]
struct Beside {
    /// How much of the count is not its own.
    taken_over: f64,
    /// Payload bytes.
    bytes: f64,
    /// The square of the deviation that comes of looking at some messages only.
    variance: f64,
    name_bytes: u16,
}

/// See the module.
pub(super) struct Table {
    hashing: FixedState,
    /// Those of names; looked through one after the other, as the counts.
    hashes: Box<[u32; PLACES]>,
    counts: Box<[f64; PLACES]>,
    beside: Box<[Beside; PLACES]>,
    /// One place for each name, as long as the longest.
    names: Box<[u8]>,
    all: f64,
    long: f64,
    /// Seconds that the counts are of, up to the last step, faded as they are.
    seconds: f64,
    /// When that was, and the last look: `None` until there was a message.
    stepped_ms: Option<u64>,
    now_ms: u64,
}

impl Table {
    /// Bytes of all of it.
    pub(super) const BYTES: u64 =
        (PLACES * (NAME_BYTES + size_of::<Beside>() + size_of::<f64>() + size_of::<u32>())) as u64;

    pub(super) fn new(seed: u64) -> Table {
        Table {
            hashing: FixedState::with_seed(seed),
            hashes: Box::new([0; PLACES]),
            counts: Box::new([0.0; PLACES]),
            beside: Box::new([Beside::default(); PLACES]),
            names: vec![0; PLACES * NAME_BYTES].into(),
            all: 0.0,
            long: 0.0,
            seconds: 0.0,
            stepped_ms: None,
            now_ms: 0,
        }
    }

    /// It is now so late: counts fade.
    pub(super) fn advance(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        let stepped_ms = *self.stepped_ms.get_or_insert(now_ms);
        let steps = now_ms.saturating_sub(stepped_ms) / limits::BUSIEST_STEP_MS;
        if steps == 0 {
            return;
        }
        for _ in 0..steps.min(limits::BUSIEST_STEPS_MAX) {
            self.seconds += limits::BUSIEST_STEP_MS as f64 / 1000.0;
            self.seconds *= limits::BUSIEST_KEPT;
        }
        let kept = limits::BUSIEST_KEPT.powi(i32::try_from(steps).unwrap_or(i32::MAX));
        self.counts.iter_mut().for_each(|count| *count *= kept);
        for beside in self.beside.iter_mut() {
            beside.taken_over *= kept;
            beside.bytes *= kept;
            beside.variance *= kept * kept;
        }
        self.all *= kept;
        self.long *= kept;
        self.stepped_ms = Some(stepped_ms + steps * limits::BUSIEST_STEP_MS);
    }

    /// A message that stands for so many.
    pub(super) fn add(&mut self, topic: &str, bytes: usize, stands_for: u32) {
        let weight = f64::from(stands_for);
        self.all += weight;
        if topic.len() > NAME_BYTES {
            self.long += weight;
            return;
        }
        let hash = self.hashing.hash_one(topic.as_bytes()) as u32;
        let place = self.find(hash, topic).unwrap_or_else(|| {
            let place = self.least();
            self.give(place, hash, topic);
            place
        });
        self.counts[place] += weight;
        let beside = &mut self.beside[place];
        beside.bytes += weight * bytes as f64;
        // Each message is looked at with a chance of one in `weight`.
        beside.variance += weight * (weight - 1.0);
    }

    fn find(&self, hash: u32, topic: &str) -> Option<usize> {
        let is_it = |place: &usize| self.name(*place) == topic.as_bytes();
        let all = self.hashes.iter().enumerate();
        let same = all.filter(|(_, known)| **known == hash);
        same.map(|(place, _)| place).find(is_it)
    }

    fn name(&self, place: usize) -> &[u8] {
        let from = place * NAME_BYTES;
        &self.names[from..from + usize::from(self.beside[place].name_bytes)]
    }

    /// The place with the least count.
    fn least(&self) -> usize {
        let least = self.least_count();
        let place = self.counts.iter().position(|&count| count == least);
        place.unwrap_or(0)
    }

    fn least_count(&self) -> f64 {
        self.counts.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The place is another topic's, with the count that it has.
    fn give(&mut self, place: usize, hash: u32, topic: &str) {
        let from = place * NAME_BYTES;
        self.names[from..from + topic.len()].copy_from_slice(topic.as_bytes());
        self.hashes[place] = hash;
        self.beside[place] = Beside {
            taken_over: self.counts[place],
            bytes: 0.0,
            variance: self.beside[place].variance,
            name_bytes: topic.len() as u16,
        };
    }

    /// Topics with their rates.
    pub(super) fn tell(&self) -> BusyTopics {
        let since_ms = self.now_ms - self.stepped_ms.unwrap_or(self.now_ms);
        let seconds = (self.seconds + since_ms as f64 / 1000.0).max(1.0);
        let mut topics = Vec::new();
        for (place, &count) in self.counts.iter().enumerate() {
            let beside = &self.beside[place];
            let own = count - beside.taken_over;
            let name = std::str::from_utf8(self.name(place));
            if let Ok(topic) = name
                && own >= limits::BUSIEST_MESSAGES_MIN
            {
                let deviation = limits::BUSIEST_DEVIATIONS * beside.variance.sqrt();
                topics.push(BusyTopic {
                    topic: topic.into(),
                    rate: own / seconds,
                    at_least: (own - deviation).max(0.0) / seconds,
                    at_most: (count + deviation) / seconds,
                    byte_rate: beside.bytes / seconds,
                });
            }
        }
        BusyTopics {
            topics,
            others_at_most: self.others_at_most() / seconds,
            all: self.all / seconds,
            long: self.long / seconds,
        }
    }

    /// Messages that a topic without a place may have had.
    fn others_at_most(&self) -> f64 {
        let least = self.least();
        let deviation = limits::BUSIEST_DEVIATIONS * self.beside[least].variance.sqrt();
        (self.counts[least] + deviation).max(limits::BUSIEST_MESSAGES_MIN)
    }
}
