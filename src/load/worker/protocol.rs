//! The half of a worker that knows no ring: bytes of connections to verified deliveries, and messages to bytes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::limits;
use crate::load::client::{Client, Event};
use crate::load::job::{Job, Timed};
use crate::load::ledger::{Ledger, Seen};
use crate::load::measure::{Meter, Spread, Window};
use crate::load::stamp::{self, Read, Stamp};
use crate::mqtt::{DecodeError, Frame, FrameStatus, Publish, QoS, frame};

use super::command::{KeptOut, Place, Progress, Received, Times};
use super::credits::{self, Credits};
use super::hints;
use super::outbox::Outbox;
use super::troubles::Troubles;

/// One connection's MQTT side. A tester holds tens of thousands of these.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub client: Client,
    /// To be sent; owns no memory while it is empty.
    pub out: Vec<u8>,
    /// A packet of which a part has come.
    partial: Vec<u8>,
    /// Its number among the subscribers or publishers of all workers.
    pub number: u32,
    /// In the ledger; `NO_READER` before its first SUBSCRIBE.
    pub reader: u32,
    /// Messages that it still waits for; 0: for none in particular.
    pub goal_left: u32,
    /// When it was to be opened.
    pub due_ns: u64,
    /// When what it waits for now was asked for.
    pub since_ns: u64,
    pub timed: Option<Timed>,
    /// In the list of those that have something to send.
    pub dirty: bool,
    /// What came is no MQTT: what follows is not looked at.
    broken: bool,
}

const NO_READER: u32 = u32::MAX;

impl Connection {
    pub(super) fn new(number: u32) -> Self {
        Connection {
            number,
            reader: NO_READER,
            ..Connection::default()
        }
    }
}

/// What happened to a connection that its ring side or the workload has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// CONNACK.
    Connected,
    /// SUBACK.
    Subscribed,
    /// The last message that it waited for.
    Goal,
    /// A publish of it was acknowledged.
    Acked,
    /// The broker does not want it, or does not speak MQTT: to be closed.
    Refused,
    /// The same once it was connected.
    Dropped,
    /// It did not come about, or what lies below MQTT has failed; that has been told.
    Failed,
    /// The broker has closed it (0), or it is broken: an errno.
    Broken(i32),
}

/// What precedes the payload of the last QoS 0 PUBLISH: a fan-out's are all alike, and are not decoded again.
#[derive(Debug, Default)]
struct Head {
    bytes: Vec<u8>,
    total_len: usize,
    topic: String,
    /// The stream whose topic that is.
    stream: u32,
}

/// What was published since the run began.
#[derive(Debug)]
pub(super) struct Published {
    pub messages: u64,
    /// Deliveries that they are to cause.
    pub deliveries: u64,
    /// By stream.
    pub by_stream: Vec<u32>,
    /// With a QoS above 0, and not acknowledged.
    pub unacknowledged: u64,
    /// Those whose connection is gone.
    pub unacknowledged_lost: u64,
}

/// The half of a worker that knows no ring.
pub(super) struct Protocol {
    place: Place,
    pub connections: Vec<Connection>,
    pub outbox: Outbox,
    pub published: Published,
    pub ledger: Ledger,
    /// The readers of shared subscriptions, by filter.
    shared: HashMap<u32, u32>,
    head: Head,
    pub received: Received,
    pub meter: Meter,
    pub spread: Spread,
    /// When bytes came last.
    pub heard_ns: u64,
    pub credits: Credits,
    pub notes: Vec<(u32, Note)>,
    pub troubles: Troubles,
    /// Of subscribers that have a goal.
    pub times: HashMap<u32, Times>,
}

impl Protocol {
    pub(super) fn new(job: &Job, place: &Place, progress: Arc<Progress>) -> Self {
        let views = job.filters.iter().map(|filter| filter.view.clone());
        Protocol {
            place: place.clone(),
            connections: Vec::new(),
            outbox: Outbox::default(),
            published: Published {
                messages: 0,
                deliveries: 0,
                by_stream: vec![0; job.streams.len()],
                unacknowledged: 0,
                unacknowledged_lost: 0,
            },
            ledger: Ledger::new(views.collect()),
            shared: HashMap::new(),
            head: Head::default(),
            received: Received::default(),
            meter: Meter::new(Window::endless(0), false),
            spread: Spread::new(0),
            heard_ns: 0,
            credits: Credits::new(progress),
            notes: Vec::new(),
            troubles: Troubles::default(),
            times: HashMap::new(),
        }
    }

    /// The number by which this run's messages are known.
    #[inline]
    pub(super) fn run(&self) -> u32 {
        self.place.run
    }

    /// Counts an error by its text, and notes the time.
    #[cold]
    pub(super) fn error(&mut self, text: String) {
        self.troubles.error(text, self.place.now_ns());
    }

    /// Counts an error that is why a client did not come in.
    #[cold]
    pub(super) fn keeps_out(&mut self, why: KeptOut, text: String) {
        self.troubles.keeps_out(why, text, self.place.now_ns());
    }

    /// Forgets what belonged to a connection that is gone.
    pub(super) fn lost(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        let out = std::mem::take(&mut connection.out);
        let partial = std::mem::take(&mut connection.partial);
        connection.broken = false;
        let lost = connection.client.lost() as u64;
        self.published.unacknowledged = self.published.unacknowledged.saturating_sub(lost);
        self.published.unacknowledged_lost += lost;
        self.recycle(out);
        self.recycle(partial);
    }

    /// Queues SUBSCRIBE for a subscriber's filter, which makes it a reader; false if it has none.
    pub(super) fn subscribe(&mut self, job: &Job, index: u32) -> bool {
        let subscriber = &job.subscribers[self.connections[index as usize].number as usize];
        let Some(number) = subscriber.filter else {
            return false;
        };
        if self.connections[index as usize].reader == NO_READER {
            let ledger = &mut self.ledger;
            let reader = match subscriber.shared {
                true => *self
                    .shared
                    .entry(number)
                    .or_insert_with(|| ledger.add(number, false)),
                false => ledger.add(number, true),
            };
            self.connections[index as usize].reader = reader;
        }
        let filter = &job.filters[number as usize];
        let connection = self.output(index);
        connection.client.subscribe(
            &job.settings,
            &filter.text,
            subscriber.qos,
            &mut connection.out,
        );
        true
    }

    /// Bytes of a connection have come.
    #[inline]
    pub(super) fn on_bytes(&mut self, job: &Job, index: u32, bytes: &[u8], now_ns: u64) {
        self.meter.at(now_ns);
        self.heard_ns = now_ns;
        if self.connections[index as usize].broken {
            return;
        }
        let bytes = match self.connections[index as usize].partial.is_empty() {
            true => bytes,
            false => self.complete(job, index, bytes, now_ns),
        };
        let rest = self.whole_packets(job, index, bytes, now_ns);
        if !rest.is_empty() {
            self.keep(index, rest);
        }
        self.give_credit(job, u32::MAX);
    }

    /// Handles the packets that are there as a whole, and returns the rest.
    #[inline]
    fn whole_packets<'a>(
        &mut self,
        job: &Job,
        index: u32,
        mut bytes: &'a [u8],
        now_ns: u64,
    ) -> &'a [u8] {
        loop {
            let head = self.head.bytes.len();
            if bytes.len() >= self.head.total_len && bytes[..head] == *self.head.bytes && head > 0 {
                let (packet, rest) = bytes.split_at(self.head.total_len);
                self.deliver(job, index, &packet[head..], now_ns);
                bytes = rest;
                continue;
            }
            match frame(bytes, limits::LOAD_PACKET_BYTES_MAX) {
                Ok(FrameStatus::Complete(frame)) => {
                    let (packet, rest) = bytes.split_at(frame.total_len);
                    if let Err(error) = self.on_packet(job, index, packet, &frame, now_ns) {
                        self.malformed(index, &error, packet);
                        return &[];
                    }
                    bytes = rest;
                }
                Ok(FrameStatus::Incomplete { .. }) => return bytes,
                Err(error) => {
                    self.malformed(index, &error, bytes);
                    return &[];
                }
            }
        }
    }

    /// Keeps the beginning of a packet.
    fn keep(&mut self, index: u32, rest: &[u8]) {
        let connection = &mut self.connections[index as usize];
        if !connection.client.is_connected()
            && let Some(hint) = hints::of_answer(rest, self.place.wire.options)
        {
            // It would be waited for what it takes to be the rest of a packet.
            connection.broken = true;
            let text = format!("what the broker sent is no MQTT{hint}");
            self.keeps_out(KeptOut::Wire, text);
            self.notes.push((index, Note::Dropped));
            return;
        }
        let mut partial = self.outbox.spare.pop().unwrap_or_default();
        partial.extend_from_slice(rest);
        self.connections[index as usize].partial = partial;
    }

    /// Adds to the packet that is not whole as much as it lacks, handles it, and returns what follows.
    fn complete<'a>(
        &mut self,
        job: &Job,
        index: u32,
        mut bytes: &'a [u8],
        now_ns: u64,
    ) -> &'a [u8] {
        let mut partial = std::mem::take(&mut self.connections[index as usize].partial);
        while let Ok(FrameStatus::Incomplete { total_len }) =
            frame(&partial, limits::LOAD_PACKET_BYTES_MAX)
        {
            let wanted = total_len.map_or(1, |total| total - partial.len());
            if bytes.is_empty() {
                self.connections[index as usize].partial = partial;
                return bytes;
            }
            let (missing, rest) = bytes.split_at(wanted.min(bytes.len()));
            partial.extend_from_slice(missing);
            bytes = rest;
        }
        let rest = self.whole_packets(job, index, &partial, now_ns);
        debug_assert!(rest.is_empty());
        self.recycle(partial);
        match self.connections[index as usize].broken {
            true => &[],
            false => bytes,
        }
    }

    /// Whether CONNACK has let this client in.
    pub(super) fn is_connected(&self, index: u32) -> bool {
        self.connections[index as usize].client.is_connected()
    }

    #[cold]
    fn malformed(&mut self, index: u32, error: &DecodeError, bytes: &[u8]) {
        let no_mqtt = "what the broker sent is no MQTT";
        let hint = hints::of_answer(bytes, self.place.wire.options);
        match (self.is_connected(index), hint) {
            (true, _) => self.error(format!("{no_mqtt}: {error}")),
            // What its bytes would be, were they MQTT, says nothing.
            (false, Some(hint)) => self.keeps_out(KeptOut::Wire, format!("{no_mqtt}{hint}")),
            (false, None) => self.keeps_out(KeptOut::Wire, format!("{no_mqtt}: {error}")),
        }
        self.connections[index as usize].broken = true;
        self.notes.push((index, Note::Dropped));
    }

    fn on_packet(
        &mut self,
        job: &Job,
        index: u32,
        packet: &[u8],
        frame: &Frame,
        now_ns: u64,
    ) -> Result<(), DecodeError> {
        let connection = &mut self.connections[index as usize];
        let before = connection.out.len();
        let event =
            connection
                .client
                .on_packet(&job.settings, packet, frame, &mut connection.out)?;
        let replies = connection.out.len() > before;
        match event {
            Event::Delivery(publish) => self.on_publish(job, index, packet, &publish, now_ns),
            event => self.on_event(job, index, &event, now_ns),
        }
        if replies {
            self.mark_dirty(index);
        }
        Ok(())
    }

    fn on_publish(
        &mut self,
        job: &Job,
        index: u32,
        packet: &[u8],
        publish: &Publish<'_>,
        now_ns: u64,
    ) {
        if self.head.topic != publish.topic {
            self.head.topic.clear();
            self.head.topic.push_str(publish.topic);
            self.head.stream = u32::MAX;
        }
        self.head.bytes.clear();
        self.head.total_len = packet.len();
        if publish.qos == QoS::AtMostOnce {
            let head = packet.len() - publish.payload.len();
            self.head.bytes.extend_from_slice(&packet[..head]);
        }
        self.deliver(job, index, publish.payload, now_ns);
    }

    #[cold]
    fn on_event(&mut self, job: &Job, index: u32, event: &Event<'_>, now_ns: u64) {
        let note = match event {
            Event::Connected { .. } => Note::Connected,
            Event::Refused(reason) => {
                let text = hints::refusal(*reason, job.settings.version);
                match hints::of_login(*reason, &job.settings, self.place.wire.has_certificate()) {
                    Some(hint) => self.keeps_out(KeptOut::Login, text + &hint),
                    None => self.error(text),
                }
                Note::Refused
            }
            Event::Subscribed(None) => Note::Subscribed,
            Event::Subscribed(Some(reason)) => {
                self.error(format!("subscription refused: {reason}"));
                Note::Refused
            }
            Event::Acked { at_ns, reason } => {
                self.published.unacknowledged = self.published.unacknowledged.saturating_sub(1);
                self.meter.acked(*at_ns, now_ns);
                if reason.is_error() {
                    self.received.refused += 1;
                    self.error(format!("publish refused: {reason}"));
                }
                Note::Acked
            }
            Event::Disconnected(reason) => {
                // The end of the connection, which follows, is no news.
                self.error(format!("disconnected: {reason}"));
                Note::Dropped
            }
            Event::Stray => {
                self.error("an acknowledgement of nothing".into());
                self.received.unexpected += 1;
                return;
            }
            Event::Delivery(_) | Event::Nothing => return,
        };
        self.notes.push((index, note));
    }

    /// A message with the topic in `head`.
    #[inline]
    fn deliver(&mut self, job: &Job, index: u32, payload: &[u8], now_ns: u64) {
        match stamp::read(payload, &job.filler) {
            Read::Stamped(stamp) if stamp.run == self.run() => {
                self.verify(job, index, payload.len(), stamp, now_ns);
            }
            Read::Corrupt(stamp) if stamp.run == self.run() => {
                // It has come, whatever became of it on the way: it is not lost as well.
                self.received.corrupt += 1;
                self.verify(job, index, payload.len(), stamp, now_ns);
            }
            _ => self.received.unexpected += 1,
        }
    }

    #[inline]
    fn verify(&mut self, job: &Job, index: u32, bytes: usize, stamp: Stamp, now_ns: u64) {
        if stamp.stream != self.head.stream && !self.has_topic(job, stamp.stream) {
            self.received.unexpected += 1;
            return;
        }
        let connection = &mut self.connections[index as usize];
        match self
            .ledger
            .see(connection.reader, stamp.stream, stamp.sequence)
        {
            Seen::Fresh | Seen::Late => {
                self.received.delivered += 1;
                self.meter.delivered(bytes, stamp.intended_ns, now_ns);
                self.spread.see(stamp.stream, stamp.sequence, now_ns);
                if connection.goal_left > 0 {
                    self.nearer(index);
                }
                if self.credits.are_wanted {
                    self.give_credit(job, stamp.stream);
                }
            }
            Seen::Again | Seen::Unexpected => {}
        }
    }

    /// Whether a stream's messages have the topic in `head`. Those of the bus model have many.
    fn has_topic(&mut self, job: &Job, stream: u32) -> bool {
        let Some(known) = job.streams.get(stream as usize) else {
            return false;
        };
        if known.topic.is_empty() {
            return true;
        }
        let same = known.topic == self.head.topic;
        if same {
            self.head.stream = stream;
        }
        same
    }

    /// One message less to wait for. The time between the first and the last is a result, so the clock is read for each
    /// of them: several come with one receive.
    fn nearer(&mut self, index: u32) {
        let now_ns = self.place.now_ns();
        let connection = &mut self.connections[index as usize];
        let times = self.times.entry(connection.number).or_default();
        if times.first_ns == 0 {
            times.first_ns = now_ns;
        }
        times.messages += 1;
        times.last_ns = now_ns;
        connection.goal_left -= 1;
        if connection.goal_left == 0 {
            times.complete = true;
            self.notes.push((index, Note::Goal));
        }
    }

    /// Counts a delivery for the publisher of a stream; with a stream that is none, tells what has been counted.
    fn give_credit(&mut self, job: &Job, stream: u32) {
        let publisher = match job.streams.get(stream as usize) {
            Some(stream) => stream.publisher,
            None => credits::NOBODY,
        };
        self.credits.give(publisher);
    }
}
