//! Topic aliases (MQTT 5, 3.3.2.3.4), one table per direction, for the life of a network connection.

use std::num::NonZeroU16;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::mqtt::{Topic, TopicName};

/// The aliases of a connection.
#[derive(Debug)]
pub(crate) struct Aliases {
    /// Set by the client.
    pub inbound: InboundAliases,
    /// Set by the broker.
    pub outbound: OutboundAliases,
}

impl Aliases {
    /// None yet, and at most `outbound_max` towards the client.
    pub(crate) fn new(outbound_max: u16) -> Self {
        Aliases {
            inbound: InboundAliases::default(),
            outbound: OutboundAliases::new(outbound_max),
        }
    }

    /// The message that would have told the client the latest alias was not sent. Returns the bytes that are free then.
    pub(crate) fn forget(&mut self, topic: &str) -> usize {
        let before = self.memory();
        self.outbound.forget(topic);
        before - self.memory()
    }

    /// Bytes of memory, its own included.
    pub(crate) fn memory(&self) -> usize {
        let inbound = &self.inbound;
        let outbound = &self.outbound;
        size_of::<Self>()
            + inbound.topics.capacity() * size_of::<Option<Topic>>()
            + inbound.text_bytes
            + outbound.aliases.allocation_size()
            + outbound.text_bytes
    }
}

/// Aliases that the client has set.
#[derive(Debug, Default)]
pub(crate) struct InboundAliases {
    topics: Vec<Option<Topic>>,
    /// Bytes of the topics.
    text_bytes: usize,
}

impl InboundAliases {
    /// Sets what an alias stands for. The caller has checked it against the maximum.
    pub(crate) fn set(&mut self, alias: NonZeroU16, topic: TopicName<'_>) {
        let index = usize::from(alias.get()) - 1;
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        if self.topics[index].as_deref() != Some(topic.as_str()) {
            let before = self.topics[index].replace(topic.to_topic());
            self.text_bytes += topic.as_str().len();
            self.text_bytes -= before.map_or(0, |before| before.len());
        }
    }

    /// What an alias stands for.
    pub(crate) fn get(&self, alias: NonZeroU16) -> Option<&Topic> {
        self.topics.get(usize::from(alias.get()) - 1)?.as_ref()
    }
}

/// Aliases that the broker has set: the first topics that are sent get one each and keep it.
#[derive(Debug)]
pub(crate) struct OutboundAliases {
    aliases: HashMap<Box<str>, u16, FixedState>,
    max: u16,
    /// Bytes of the topics.
    text_bytes: usize,
}

impl OutboundAliases {
    /// A table of at most `max` aliases.
    pub(crate) fn new(max: u16) -> Self {
        OutboundAliases {
            aliases: HashMap::with_hasher(FixedState::with_seed(0)),
            max,
            text_bytes: 0,
        }
    }

    /// The alias of a topic and whether the client knows it already; `None` when the table is full.
    pub(crate) fn of(&mut self, topic: &str) -> Option<(u16, bool)> {
        if let Some(&alias) = self.aliases.get(topic) {
            return Some((alias, true));
        }
        let next = self.aliases.len() + 1;
        if next > usize::from(self.max) {
            return None;
        }
        self.aliases.insert(topic.into(), next as u16);
        self.text_bytes += topic.len();
        Some((next as u16, false))
    }

    /// The topic of an alias; looks at all of them.
    pub(crate) fn topic_of(&self, alias: NonZeroU16) -> Option<&str> {
        let mut all = self.aliases.iter();
        all.find_map(|(topic, &number)| (number == alias.get()).then_some(&**topic))
    }

    /// The message that would have told the client the latest alias was not sent.
    pub(crate) fn forget(&mut self, topic: &str) {
        if self.aliases.remove(topic).is_some() {
            self.text_bytes -= topic.len();
        }
    }
}
