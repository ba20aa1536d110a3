//! Questions go to shards, and answers come back: one question at a time for each shard, whoever asks, so that no turn has more than one
//! page to answer. Between two pages others have their turn, in the order in which they came. What an administrator wants done goes the
//! same way.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use glommio::timer;

use super::turns::Turns;
use crate::broker::{Deed, Done, Query, Reply};
use crate::budget::{Account, Charge, Pool};
use crate::control::each_shard::EachShard;
use crate::ids::ShardId;
use crate::limits;
use crate::shard::{Awaited, ReplyTo, ShardCommand, ShardHandle};

/// What a shard is asked, or has to do.
pub(crate) trait Asked {
    /// What it answers.
    type Answer;

    /// As a command.
    fn command(self, to: ReplyTo<Self::Answer>) -> ShardCommand;
}

impl Asked for Query {
    type Answer = Reply;

    fn command(self, to: ReplyTo<Reply>) -> ShardCommand {
        ShardCommand::Query(Box::new(self), to)
    }
}

impl Asked for Deed {
    type Answer = Done;

    fn command(self, to: ReplyTo<Done>) -> ShardCommand {
        ShardCommand::Deed(Box::new(self), to)
    }
}

/// A question of this round.
struct Open<A> {
    shard: ShardId,
    /// `None` if it was not asked, or has answered.
    awaited: Option<Awaited<A>>,
    answer: Option<A>,
}

impl<A> Open<A> {
    /// Whether the answer is still awaited, after a look.
    fn waits(&mut self) -> bool {
        self.answer = self.answer.take().or_else(|| self.awaited.as_ref()?.take());
        self.awaited.is_some() && self.answer.is_none()
    }
}

/// See the module.
pub(crate) struct Asking {
    turns: Turns,
    each: RefCell<EachShard>,
    /// When the last questions were answered, or given up.
    rested_since: Cell<Option<Instant>>,
    pool: Arc<Pool>,
}

impl Asking {
    /// For these shards. What answers hold is charged in this pool.
    pub(crate) fn new(shards: Vec<ShardHandle>, pool: Arc<Pool>) -> Asking {
        Asking {
            turns: Turns::default(),
            each: RefCell::new(EachShard::new(shards)),
            rested_since: Cell::new(None),
            pool,
        }
    }

    /// Nothing of an answer yet.
    pub(crate) fn held(&self) -> Charge {
        Charge::new(self.pool.clone(), Account::Http)
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> u8 {
        self.each.borrow().count()
    }

    /// Asks one shard. `None` if it does not answer in `limits::QUERY_MS_MAX`; what it was to do, it may still do.
    pub(crate) async fn ask<Q: Asked>(&self, shard: ShardId, asked: Q) -> Option<Q::Answer> {
        self.ask_each([(shard, asked)]).await.pop()?.1
    }

    /// Asks several shards at once, each one thing. Those that do not answer in `limits::QUERY_MS_MAX` have no answer: a late one is
    /// nobody's.
    pub(crate) async fn ask_each<Q: Asked>(
        &self,
        asked: impl IntoIterator<Item = (ShardId, Q)>,
    ) -> Vec<(ShardId, Option<Q::Answer>)> {
        let _turn = self.turns.take().await;
        self.rest().await;
        let ask = |(shard, asked): (ShardId, Q)| Open {
            shard,
            awaited: self.each.borrow_mut().ask(shard, |to| asked.command(to)),
            answer: None,
        };
        let mut open: Vec<Open<Q::Answer>> = asked.into_iter().map(ask).collect();
        let began = Instant::now();
        loop {
            let waiting = open
                .iter_mut()
                .map(Open::waits)
                .filter(|waits| *waits)
                .count();
            let is_late = began.elapsed() >= Duration::from_millis(limits::QUERY_MS_MAX);
            if is_late || waiting == 0 {
                break;
            }
            timer::sleep(Duration::from_micros(limits::QUERY_PAUSE_US)).await;
        }
        self.rested_since.set(Some(Instant::now()));
        open.into_iter()
            .map(|open| (open.shard, open.answer))
            .collect()
    }

    /// Lets shards do something else before they are asked again.
    async fn rest(&self) {
        let since = self.rested_since.get();
        let rested = since.map_or(Duration::MAX, |since| since.elapsed());
        let left = Duration::from_micros(limits::QUERY_REST_US).saturating_sub(rested);
        if !left.is_zero() {
            timer::sleep(left).await;
        }
    }
}
