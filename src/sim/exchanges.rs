//! What a client and the broker have not come to an end with, by packet identifiers: as the standard wants a client to know it.

use std::collections::{BTreeMap, BTreeSet};

use crate::mqtt::{PacketId, Publish, QoS, Suback};

/// A message of its own that is not acknowledged for good.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub message: usize,
    /// PUBREC has come.
    pub received: bool,
    pub bytes: Vec<u8>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Exchanges {
    next_id: u16,
    /// What it has sent.
    sent: BTreeMap<u16, Outgoing>,
    /// Those of them that it sent before this connection.
    open_before: BTreeSet<u16>,
    subscribing: BTreeMap<u16, Vec<String>>,
    unsubscribing: BTreeMap<u16, String>,
    /// It uses the same identifiers again as soon as it may.
    pub has_few_ids: bool,
    /// Identifiers of messages that it has not acknowledged for good.
    incoming: BTreeSet<u16>,
    /// QoS 2 identifiers that it has received.
    received: BTreeSet<u16>,
}

impl Exchanges {
    /// A new connection begins.
    pub(super) fn connect(&mut self) {
        self.subscribing.clear();
        self.unsubscribing.clear();
        self.open_before = self.sent.keys().copied().collect();
    }

    /// Messages of its own that are not acknowledged for good.
    pub(super) fn unacknowledged(&self) -> usize {
        self.sent.len()
    }

    /// SUBSCRIBEs without an answer.
    pub(super) fn unanswered(&self) -> usize {
        self.subscribing.len()
    }

    pub(super) fn free_id(&mut self) -> u16 {
        if self.has_few_ids {
            self.next_id = 0;
        }
        loop {
            self.next_id = self.next_id % 60_000 + 1;
            if !self.sent.contains_key(&self.next_id)
                && !self.subscribing.contains_key(&self.next_id)
                && !self.unsubscribing.contains_key(&self.next_id)
            {
                return self.next_id;
            }
        }
    }

    /// A message goes out; `again` is how it is sent once more.
    pub(super) fn publish(&mut self, id: u16, message: usize, again: Vec<u8>) {
        let outgoing = Outgoing {
            message,
            received: false,
            bytes: again,
        };
        self.sent.insert(id, outgoing);
    }

    pub(super) fn subscribe(&mut self, id: u16, filters: Vec<String>) {
        self.subscribing.insert(id, filters);
    }

    pub(super) fn unsubscribe(&mut self, id: u16, filter: String) {
        self.unsubscribing.insert(id, filter);
    }

    /// Returns the filter that it is about.
    pub(super) fn on_unsuback(&mut self, id: PacketId) -> Option<String> {
        self.unsubscribing.remove(&id.get())
    }

    /// A message has come; whether it is new.
    pub(super) fn on_publish(
        &mut self,
        publish: &Publish<'_>,
        id: PacketId,
        receive_maximum: u16,
        client: &str,
    ) -> bool {
        let id = id.get();
        let is_open = self.incoming.contains(&id);
        assert!(
            !is_open || publish.dup,
            "{client}: identifier {id} is in use"
        );
        self.incoming.insert(id);
        assert!(
            self.incoming.len() <= usize::from(receive_maximum),
            "{client}: receive maximum exceeded"
        );
        match publish.qos {
            QoS::ExactlyOnce => self.received.insert(id),
            _ => {
                self.incoming.remove(&id);
                true
            }
        }
    }

    /// Returns which message it acknowledges.
    pub(super) fn on_puback(&mut self, id: PacketId) -> Option<usize> {
        self.open_before.remove(&id.get());
        let outgoing = self.sent.remove(&id.get());
        outgoing.map(|outgoing| outgoing.message)
    }

    /// Returns which message it acknowledges.
    pub(super) fn on_pubrec(&mut self, id: PacketId) -> Option<usize> {
        let outgoing = self.sent.get_mut(&id.get())?;
        outgoing.received = true;
        Some(outgoing.message)
    }

    pub(super) fn on_pubrel(&mut self, id: PacketId) {
        self.received.remove(&id.get());
        self.incoming.remove(&id.get());
    }

    pub(super) fn on_pubcomp(&mut self, id: PacketId) {
        self.sent.remove(&id.get());
    }

    /// Returns the filters that it is about, all of which are granted.
    pub(super) fn on_suback(&mut self, suback: &Suback<'_>) -> Vec<String> {
        let filters = self.subscribing.remove(&suback.packet_id.get());
        let filters = filters.unwrap_or_default();
        assert_eq!(filters.len(), suback.reasons().len());
        assert!(suback.reasons().all(|reason| !reason.is_error()));
        filters
    }

    /// What was sent before this connection and is not acknowledged for good, in the order in which it was sent (MQTT-4.6.0-1).
    pub(super) fn open(&self) -> impl Iterator<Item = (PacketId, &Outgoing)> {
        let open = self.sent.iter();
        let open = open.filter(|(id, _)| self.open_before.contains(id));
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|(_, outgoing)| outgoing.message);
        let open = open.into_iter();
        open.map(|(&id, outgoing)| (PacketId::new(id).unwrap(), outgoing))
    }

    /// The broker knows of none of that.
    pub(super) fn forget_open(&mut self) {
        self.sent.retain(|id, _| !self.open_before.contains(id));
        self.received.clear();
    }

    /// What was open towards the client comes again.
    pub(super) fn expect_again(&mut self) {
        self.incoming = self.received.clone();
    }
}
