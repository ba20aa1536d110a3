//! Questions go to shards, and answers come back: one question at a time for each shard, whoever asks, so that no turn has more than one
//! page to answer. Between two pages others have their turn, in the order in which they came.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use glommio::timer;

use super::turns::Turns;
use crate::broker::{Query, Reply};
use crate::ids::ShardId;
use crate::limits;
use crate::shard::{Answered, Question, ShardCommand, ShardHandle};

/// What is under way.
struct Open {
    tickets: u64,
    /// By shard: the ticket of a question that is not answered.
    owed: Vec<Option<u64>>,
    /// When the last questions were answered, or given up.
    rested_since: Option<Instant>,
}

/// A question of this round.
struct Asked {
    shard: ShardId,
    /// `None` if it was not asked.
    ticket: Option<u64>,
    reply: Option<Reply>,
}

impl Asked {
    fn waits(&self) -> bool {
        self.ticket.is_some() && self.reply.is_none()
    }
}

/// See the module.
pub(crate) struct Asking {
    shards: Vec<ShardHandle>,
    turns: Turns,
    open: RefCell<Open>,
    to: Sender<Answered>,
    answers: Receiver<Answered>,
}

impl Asking {
    /// For these shards.
    pub(crate) fn new(shards: Vec<ShardHandle>) -> Asking {
        // No shard has more than one question.
        let (to, answers) = bounded(shards.len().max(1));
        Asking {
            open: RefCell::new(Open {
                tickets: 0,
                owed: vec![None; shards.len()],
                rested_since: None,
            }),
            turns: Turns::default(),
            shards,
            to,
            answers,
        }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> u8 {
        self.shards.len() as u8
    }

    /// Asks one shard. `None` if it does not answer in `limits::QUERY_MS_MAX`; what it was to do, it may still do.
    pub(crate) async fn ask(&self, shard: ShardId, query: Query) -> Option<Reply> {
        self.ask_each([(shard, query)]).await.pop()?.1
    }

    /// Asks several shards at once, each one thing. Those that do not answer in `limits::QUERY_MS_MAX` have no answer.
    pub(crate) async fn ask_each(
        &self,
        queries: impl IntoIterator<Item = (ShardId, Query)>,
    ) -> Vec<(ShardId, Option<Reply>)> {
        let _turn = self.turns.take().await;
        self.rest().await;
        // What nobody waits for any more.
        self.take_answers(&mut []);
        let mut asked: Vec<Asked> = Vec::new();
        for (shard, query) in queries {
            asked.push(Asked {
                shard,
                ticket: self.send(shard, query),
                reply: None,
            });
        }
        let began = Instant::now();
        loop {
            self.take_answers(&mut asked);
            let is_late = began.elapsed() >= Duration::from_millis(limits::QUERY_MS_MAX);
            if is_late || !asked.iter().any(Asked::waits) {
                break;
            }
            timer::sleep(Duration::from_micros(limits::QUERY_PAUSE_US)).await;
        }
        self.open.borrow_mut().rested_since = Some(Instant::now());
        let replies = asked.into_iter().map(|asked| (asked.shard, asked.reply));
        replies.collect()
    }

    /// Lets shards do something else before they are asked again.
    async fn rest(&self) {
        let since = self.open.borrow().rested_since;
        let rested = since.map_or(Duration::MAX, |since| since.elapsed());
        let left = Duration::from_micros(limits::QUERY_REST_US).saturating_sub(rested);
        if !left.is_zero() {
            timer::sleep(left).await;
        }
    }

    /// Asks a shard, unless it owes an answer. Returns the ticket.
    fn send(&self, shard: ShardId, query: Query) -> Option<u64> {
        let mut open = self.open.borrow_mut();
        let handle = self.shards.get(shard.index())?;
        if open.owed[shard.index()].is_some() {
            return None;
        }
        open.tickets += 1;
        let ticket = open.tickets;
        let question = Question {
            query,
            ticket,
            to: self.to.clone(),
        };
        handle.send(ShardCommand::Query(Box::new(question))).ok()?;
        open.owed[shard.index()] = Some(ticket);
        Some(ticket)
    }

    /// Takes what has been answered. An answer to an earlier question is nobody's.
    fn take_answers(&self, asked: &mut [Asked]) {
        let mut open = self.open.borrow_mut();
        while let Ok(answered) = self.answers.try_recv() {
            let ticket = Some(answered.ticket);
            if let Some(owed) = open.owed.get_mut(answered.shard.index())
                && *owed == ticket
            {
                *owed = None;
            }
            if let Some(asked) = asked.iter_mut().find(|asked| asked.ticket == ticket) {
                asked.reply = Some(answered.reply);
            }
        }
    }
}
