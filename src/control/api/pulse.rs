//! Whether shards answer, and what they told when they did last.

use std::rc::Rc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;

use crate::shard::{ShardCommand, ShardHandle, ShardReport};

/// What is known of one shard.
#[derive(Default)]
struct One {
    /// It was asked, and has not answered.
    is_asked: bool,
    /// It took no command.
    is_deaf: bool,
    told: Option<Rc<Told>>,
}

/// What a shard has told last.
pub(super) struct Told {
    /// When the answer was taken.
    pub at: Instant,
    /// Nanoseconds that turns took.
    pub turn_ns: Histogram<u64>,
    /// Microseconds that output waited for its socket.
    pub delivery_us: Histogram<u64>,
}

/// Asks and remembers. A shard is asked once until it answers, so that none that stands still finds a heap of questions.
pub(super) struct Pulse {
    to: Sender<ShardReport>,
    answers: Receiver<ShardReport>,
    shards: Vec<One>,
}

impl Pulse {
    /// For so many shards.
    pub(super) fn new(shards: usize) -> Pulse {
        let (to, answers) = bounded(shards.max(1));
        Pulse {
            to,
            answers,
            shards: (0..shards).map(|_| One::default()).collect(),
        }
    }

    /// Asks every shard that owes no answer.
    pub(super) fn ask(&mut self, shards: &[ShardHandle]) {
        for (one, shard) in self.shards.iter_mut().zip(shards) {
            if !one.is_asked {
                let command = ShardCommand::Report(self.to.clone());
                one.is_asked = shard.send(command).is_ok();
                one.is_deaf = !one.is_asked;
            }
        }
    }

    /// Takes the answers that have come; the shards that owe one.
    pub(super) fn silent(&mut self) -> Vec<u8> {
        while let Ok(report) = self.answers.try_recv() {
            if let Some(one) = self.shards.get_mut(report.shard.index()) {
                one.is_asked = false;
                one.told = Some(Rc::new(Told {
                    at: Instant::now(),
                    turn_ns: report.turn_ns,
                    delivery_us: report.delivery_us,
                }));
            }
        }
        let all = (0u8..).zip(&self.shards);
        let silent = all.filter(|(_, one)| one.is_asked || one.is_deaf);
        silent.map(|(shard, _)| shard).collect()
    }

    /// What each shard has told last.
    pub(super) fn told(&self) -> impl Iterator<Item = (u8, &Told)> {
        let all = (0u8..).zip(&self.shards);
        all.filter_map(|(shard, one)| Some((shard, one.told.as_deref()?)))
    }

    /// The same by shard, to be kept.
    pub(super) fn all_told(&self) -> Vec<Option<Rc<Told>>> {
        self.shards.iter().map(|one| one.told.clone()).collect()
    }
}
