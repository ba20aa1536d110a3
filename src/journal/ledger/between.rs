//! What goes on between shards: what one has handed to others, what it has taken of them, and which shared subscriptions it owns.

use std::collections::{BTreeMap, VecDeque};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::journal::error::Broken;
use crate::journal::record::{Errand, SubscriptionText};

/// A message that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedRead {
    /// Its place among all that was handed to that shard.
    pub at: u64,
    /// The number of the chunk in which the turn ended that did it, among the chunks of all shards: by it what several shards have
    /// handed over is put in order.
    pub chunk: u64,
    /// The number of the message, in the ledger of who handed it.
    pub number: u64,
    /// What is to become of it.
    pub errand: Errand,
}

/// The share name and the filter of a shared subscription.
type Names = (Option<Box<str>>, Box<str>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Between {
    /// By target, in their order.
    handed: BTreeMap<u8, VecDeque<HandedRead>>,
    took: BTreeMap<u8, u64>,
    groups: HashMap<u32, Names, FixedState>,
}

impl Between {
    pub(super) fn hand(&mut self, to: u8, one: HandedRead) -> Result<(), Broken> {
        let handed = self.handed.entry(to).or_default();
        if handed.back().is_some_and(|last| last.at >= one.at) {
            return Err(Broken::Number);
        }
        handed.push_back(one);
        Ok(())
    }

    pub(super) fn take(&mut self, from: u8, at: u64) -> Result<(), Broken> {
        let took = self.took.entry(from).or_default();
        if *took > at {
            return Err(Broken::Number);
        }
        *took = at;
        Ok(())
    }

    pub(super) fn name(&mut self, group: u32, to: SubscriptionText<'_>) {
        let names = (to.share.map(Into::into), to.filter.into());
        self.groups.insert(group, names);
    }

    pub(super) fn all_taken(&self) -> impl Iterator<Item = (u8, u64)> {
        self.took.iter().map(|(&from, &at)| (from, at))
    }

    pub(super) fn took(&self, from: u8) -> u64 {
        self.took.get(&from).copied().unwrap_or_default()
    }

    /// The number of the first message that was handed to a shard, if that has taken it.
    pub(super) fn forget_taken(&mut self, to: u8, at: u64) -> Option<u64> {
        let handed = self.handed.get_mut(&to)?;
        let taken = handed.front().filter(|front| front.at <= at)?.number;
        handed.pop_front();
        Some(taken)
    }

    pub(super) fn handed(&self, to: u8) -> impl Iterator<Item = &HandedRead> {
        self.handed.get(&to).into_iter().flatten()
    }

    /// The numbers of all messages that were handed over.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        let handed = self.handed.values().flatten();
        handed.map(|one| one.number)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = self.groups.values();
        named.filter_map(|(share, filter)| Some((share.as_deref()?, &**filter)))
    }

    pub(super) fn group(&self, group: u32) -> Option<(&str, &str)> {
        let (share, filter) = self.groups.get(&group)?;
        Some((share.as_deref()?, filter))
    }
}
