//! The traces of a shard, and the connections that they look at.

use std::collections::VecDeque;

use super::event::{TraceEvent, TraceLook, TracePage, TraceSubject, TraceWhat};
use super::watched::Watched;
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::topic;

/// One of them.
#[derive(Debug)]
struct Trace {
    look: TraceLook,
    /// When it ends unless somebody looks.
    ends_ms: u64,
    events: VecDeque<TraceEvent>,
    /// Bytes of the events.
    bytes: usize,
    left_out: u64,
    /// The second in which it shows events, and how many it has shown in it.
    second: u64,
    in_second: u32,
}

impl Trace {
    /// Takes up an event, or counts it.
    fn add(&mut self, now_ms: u64, make: impl FnOnce(usize) -> TraceWhat) -> bool {
        if self.second != now_ms / 1000 {
            (self.second, self.in_second) = (now_ms / 1000, 0);
        }
        if self.in_second >= self.look.rate || self.bytes >= limits::TRACE_BYTES_MAX {
            self.left_out += 1;
            return false;
        }
        let event = TraceEvent {
            at_ms: now_ms,
            what: make(self.look.payload_bytes),
        };
        let bytes = event.memory();
        if self.bytes + bytes > limits::TRACE_BYTES_MAX {
            self.left_out += 1;
            return false;
        }
        self.in_second += 1;
        self.bytes += bytes;
        self.events.push_back(event);
        true
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    list: Vec<Trace>,
    watched: Vec<Watched>,
    /// Whether one is of topics.
    has_topics: bool,
    /// Connections that were looked at.
    connections: u64,
    /// Events that were left out.
    left_out: u64,
}

impl Traces {
    /// Whether what is published is looked at: all that the path of a message asks.
    #[inline]
    pub(crate) fn has_topics(&self) -> bool {
        self.has_topics
    }

    /// Whether some client is looked for.
    pub(crate) fn has_clients(&self) -> bool {
        let mut all = self.list.iter();
        all.any(|trace| matches!(trace.look.subject, TraceSubject::Client(_)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Events that were left out so far.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// When the first of them ends.
    #[inline]
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.list.iter().map(|trace| trace.ends_ms).min()
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        let traces = self.list.iter().map(|trace| {
            let texts = match &trace.look.subject {
                TraceSubject::Client(text) | TraceSubject::Topic(text) => text.len(),
            };
            let places = trace.events.capacity() * size_of::<TraceEvent>();
            size_of::<Trace>() + texts + places + trace.bytes
        });
        let watched = self.watched.iter().map(Watched::memory);
        traces.sum::<usize>() + watched.sum::<usize>()
    }

    /// Somebody looks: the trace goes on, or begins. Where there are too many, the one ends that was looked at least lately. The page
    /// has all that was seen.
    pub(crate) fn look(&mut self, now_ms: u64, look: TraceLook) -> TracePage {
        let ends_ms = now_ms + limits::TRACE_LEASE_MS;
        let known = self.list.iter_mut();
        if let Some(trace) = known.into_iter().find(|t| t.look.number == look.number) {
            trace.ends_ms = ends_ms;
            trace.bytes = 0;
            return TracePage {
                events: std::mem::take(&mut trace.events).into(),
                left_out: std::mem::take(&mut trace.left_out),
                ..TracePage::default()
            };
        }
        if self.list.len() >= limits::TRACES_MAX {
            let oldest = self.list.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, trace)| trace.ends_ms);
            if let Some((place, _)) = oldest {
                self.list.swap_remove(place);
            }
        }
        self.list.push(Trace {
            look,
            ends_ms,
            events: VecDeque::new(),
            bytes: 0,
            left_out: 0,
            second: 0,
            in_second: 0,
        });
        self.note_topics();
        TracePage {
            has_begun: true,
            ..TracePage::default()
        }
    }

    /// Ends those that nobody has looked at for too long.
    pub(crate) fn end_due(&mut self, now_ms: u64) {
        self.list.retain(|trace| trace.ends_ms > now_ms);
        self.note_topics();
        if self.list.is_empty() {
            self.list = Vec::new();
        }
    }

    fn note_topics(&mut self) {
        let mut all = self.list.iter();
        self.has_topics = all.any(|trace| matches!(trace.look.subject, TraceSubject::Topic(_)));
    }

    /// Whether somebody looks for this client.
    pub(crate) fn wants_client(&self, client: &str) -> bool {
        let mut all = self.list.iter();
        all.any(|trace| is_client(&trace.look.subject, client))
    }

    /// Whether somebody looks at this topic.
    pub(crate) fn wants_topic(&self, name: &str) -> bool {
        let mut all = self.list.iter();
        all.any(|trace| is_of_topic(&trace.look.subject, name))
    }

    /// Something happens to a client: all who look for it are shown that. `make` is told how much of a payload is wanted.
    pub(crate) fn show_client(
        &mut self,
        now_ms: u64,
        client: &str,
        mut make: impl FnMut(usize) -> TraceWhat,
    ) {
        self.show(now_ms, |subject| is_client(subject, client), &mut make);
    }

    /// Something happens to a message with this topic name.
    pub(crate) fn show_topic(
        &mut self,
        now_ms: u64,
        name: &str,
        mut make: impl FnMut(usize) -> TraceWhat,
    ) {
        self.show(now_ms, |subject| is_of_topic(subject, name), &mut make);
    }

    fn show(
        &mut self,
        now_ms: u64,
        wants: impl Fn(&TraceSubject) -> bool,
        make: &mut impl FnMut(usize) -> TraceWhat,
    ) {
        for trace in &mut self.list {
            if wants(&trace.look.subject) && !trace.add(now_ms, &mut *make) {
                self.left_out += 1;
            }
        }
    }

    /// Whether one more connection may be looked at.
    pub(crate) fn may_watch(&self) -> bool {
        self.watched.len() < limits::TRACE_CONNECTIONS_MAX
    }

    /// A number for a connection that is looked at from now on.
    pub(crate) fn next_connection(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }

    /// Looks at a connection from now on.
    pub(crate) fn watch(&mut self, watched: Watched) {
        self.watched.push(watched);
    }

    /// What is known of a connection that is looked at.
    pub(crate) fn watched(&mut self, conn: ConnId) -> Option<&mut Watched> {
        self.watched.iter_mut().find(|one| one.conn == conn)
    }

    /// Takes out what is known of a connection, to be given back or not.
    pub(crate) fn take_watched(&mut self, conn: ConnId) -> Option<Watched> {
        if self.watched.is_empty() {
            return None;
        }
        let place = self.watched.iter().position(|one| one.conn == conn)?;
        Some(self.watched.swap_remove(place))
    }

    /// Looks no more at connections that nobody wants; these are they.
    pub(crate) fn unwanted(&mut self) -> Vec<ConnId> {
        let all = std::mem::take(&mut self.watched);
        let wanted = |one: &Watched| self.wants_client(&one.client);
        let (kept, unwanted): (Vec<_>, Vec<_>) = all.into_iter().partition(wanted);
        self.watched = kept;
        unwanted.into_iter().map(|one| one.conn).collect()
    }

    /// Whether a connection is looked at.
    #[cfg(test)]
    pub(crate) fn knows(&self, conn: ConnId) -> bool {
        self.watched.iter().any(|one| one.conn == conn)
    }
}

/// Whether a client is meant.
fn is_client(subject: &TraceSubject, client: &str) -> bool {
    matches!(subject, TraceSubject::Client(name) if **name == *client)
}

/// Whether a topic name is meant.
fn is_of_topic(subject: &TraceSubject, name: &str) -> bool {
    match subject {
        TraceSubject::Client(_) => false,
        TraceSubject::Topic(filter) => topic::matches(filter, name),
    }
}
