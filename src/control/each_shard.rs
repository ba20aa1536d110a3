//! How the control thread asks shards, whoever asks them and for what. Each has one question of the same asker at most, so that none
//! that stands still finds a heap of them.

use crate::ids::ShardId;
use crate::shard::{Awaited, Owed, ReplyTo, ShardCommand, ShardHandle, reply};

/// One of them.
struct One {
    handle: ShardHandle,
    /// The answer to its last question.
    owed: Owed,
    /// It took no command when it was asked last.
    is_deaf: bool,
}

/// See the module. What was asked and is not waited for any more is still owed.
pub(super) struct EachShard(Vec<One>);

impl EachShard {
    /// Of these shards.
    pub(super) fn new(shards: Vec<ShardHandle>) -> EachShard {
        let one = |handle| One {
            handle,
            owed: Owed::default(),
            is_deaf: false,
        };
        EachShard(shards.into_iter().map(one).collect())
    }

    /// How many there are.
    pub(super) fn count(&self) -> u8 {
        self.0.len() as u8
    }

    /// Asks one of them. `None` while it owes an answer, and if it takes no command.
    pub(super) fn ask<A>(
        &mut self,
        shard: ShardId,
        command: impl FnOnce(ReplyTo<A>) -> ShardCommand,
    ) -> Option<Awaited<A>> {
        let one = self.0.get_mut(shard.index())?;
        if one.owed.is_open() {
            return None;
        }
        let (to, awaited) = reply();
        one.is_deaf = one.handle.send(command(to)).is_err();
        one.owed = awaited.owed();
        (!one.is_deaf).then_some(awaited)
    }

    /// Whether it took no command when it was asked last.
    pub(super) fn is_deaf(&self, shard: ShardId) -> bool {
        self.0.get(shard.index()).is_none_or(|one| one.is_deaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::commands;

    #[test]
    fn a_shard_that_owes_an_answer_is_asked_nothing() {
        let (handle, inbox) = commands().unwrap();
        let mut each = EachShard::new(vec![handle]);
        let first = each.ask(ShardId(0), ShardCommand::Listen);
        assert!(first.is_some() && !each.is_deaf(ShardId(0)));
        // Nobody waits for it any more.
        drop(first);
        assert!(each.ask(ShardId(0), ShardCommand::Listen).is_none());
        let Some(ShardCommand::Listen(to)) = inbox.next() else {
            panic!("another command");
        };
        to.give(());
        assert!(each.ask(ShardId(0), ShardCommand::Listen).is_some());
        // It gives no answer.
        drop(inbox.next());
        assert!(each.ask(ShardId(1), ShardCommand::Listen).is_none());
        drop(inbox);
        assert!(each.ask(ShardId(0), ShardCommand::Listen).is_none());
        assert!(each.is_deaf(ShardId(0)));
    }
}
