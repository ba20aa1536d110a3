//! The half of a worker that knows no ring: bytes of connections to verified deliveries, and messages to bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::limits;
use crate::load::client::{Client, Event};
use crate::load::job::{Job, Timed};
use crate::load::ledger::{Ledger, Seen};
use crate::load::measure::{Meter, Spread, Window};
use crate::load::stamp::{self, Read, Stamp};
use crate::mqtt::{DecodeError, Frame, FrameStatus, Publish, QoS, frame};

use super::command::{Faults, KeptOut, Place, Progress, Times, Trouble};
use super::hints;

/// One connection's MQTT side. A tester holds tens of thousands of these.
#[derive(Debug, Default)]
pub(super) struct Peer {
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
    dirty: bool,
    /// What came is no MQTT: what follows is not looked at.
    broken: bool,
}

const NO_READER: u32 = u32::MAX;

impl Peer {
    pub(super) fn new(number: u32) -> Self {
        Peer {
            number,
            reader: NO_READER,
            ..Peer::default()
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

pub(super) struct Core {
    pub run: u32,
    clock: Place,
    pub peers: Vec<Peer>,
    pub ledger: Ledger,
    /// The readers of shared subscriptions, by filter.
    shared: HashMap<u32, u32>,
    head: Head,
    pub meter: Meter,
    pub spread: Spread,
    pub faults: Faults,
    pub unacknowledged: u64,
    /// Those whose connection is gone.
    pub unacknowledged_lost: u64,
    /// By stream.
    pub sent: Vec<u32>,
    /// When bytes came last.
    pub heard_ns: u64,
    pub published: u64,
    pub expected: u64,
    /// Whether publishers wait for their messages' deliveries.
    pub windowed: bool,
    credit: (u32, u64),
    progress: Arc<Progress>,
    pub dirty: Vec<u32>,
    pub notes: Vec<(u32, Note)>,
    spare: Vec<Vec<u8>>,
    pub errors: BTreeMap<String, Trouble>,
    /// Connections that were not made since nobody listens, or there is no way there.
    pub unreachable: u64,
    /// Connections that were not made since the broker takes no such login, or speaks something else.
    pub kept_out: u64,
    /// Of subscribers that have a goal.
    pub times: HashMap<u32, Times>,
}

impl Core {
    pub(super) fn new(job: &Job, place: &Place, progress: Arc<Progress>) -> Self {
        let views = job.filters.iter().map(|filter| filter.view.clone());
        Core {
            ledger: Ledger::new(views.collect()),
            sent: vec![0; job.streams.len()],
            run: place.run,
            clock: place.clone(),
            peers: Vec::new(),
            shared: HashMap::new(),
            head: Head::default(),
            meter: Meter::new(Window::endless(0), false),
            spread: Spread::new(0),
            faults: Faults::default(),
            unacknowledged: 0,
            unacknowledged_lost: 0,
            heard_ns: 0,
            published: 0,
            expected: 0,
            windowed: false,
            credit: (0, 0),
            progress,
            dirty: Vec::new(),
            notes: Vec::new(),
            spare: Vec::new(),
            errors: BTreeMap::new(),
            unreachable: 0,
            kept_out: 0,
            times: HashMap::new(),
        }
    }

    /// Counts an error by its text, and notes the time.
    #[cold]
    pub(super) fn error(&mut self, text: String) {
        if self.errors.len() < limits::LOAD_ERROR_TEXTS_MAX || self.errors.contains_key(&text) {
            let now_ns = self.clock.now_ns();
            let trouble = self.errors.entry(text).or_insert(Trouble::at(now_ns));
            trouble.count += 1;
            trouble.last_ns = now_ns;
        }
    }

    /// Counts an error that is why a client did not come in.
    #[cold]
    pub(super) fn keeps_out(&mut self, why: KeptOut, text: String) {
        self.error(text.clone());
        if let Some(trouble) = self.errors.get_mut(&text) {
            trouble.kept_out = Some(why);
        }
        match why {
            KeptOut::Unreached => self.unreachable += 1,
            KeptOut::Login | KeptOut::Wire => self.kept_out += 1,
        }
    }

    /// The output of a connection, to be appended to, with memory behind it.
    #[inline]
    pub(super) fn output(&mut self, index: u32) -> &mut Peer {
        let peer = &mut self.peers[index as usize];
        if peer.out.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            peer.out = spare;
        }
        if !peer.dirty {
            peer.dirty = true;
            self.dirty.push(index);
        }
        peer
    }

    /// What there is to be sent, to be given back as `recycle`; and the connection is no longer in the list.
    pub(super) fn take_output(&mut self, index: u32) -> Vec<u8> {
        let peer = &mut self.peers[index as usize];
        peer.dirty = false;
        std::mem::take(&mut peer.out)
    }

    /// A connection stays in the list no longer, and its output where it is.
    pub(super) fn not_dirty(&mut self, index: u32) {
        self.peers[index as usize].dirty = false;
    }

    /// Puts a connection with output back in the list.
    pub(super) fn mark_dirty(&mut self, index: u32) {
        let peer = &mut self.peers[index as usize];
        if !peer.dirty && !peer.out.is_empty() {
            peer.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Puts a connection in the list whose output is not MQTT's.
    pub(super) fn wake(&mut self, index: u32) {
        let peer = &mut self.peers[index as usize];
        if !peer.dirty {
            peer.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Takes a buffer back that is not in use any more.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if self.spare.len() < limits::LOAD_BUFFERS_KEPT
            && (1..=limits::LOAD_BUFFER_KEPT_BYTES).contains(&capacity)
        {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Forgets what belonged to a connection that is gone.
    pub(super) fn lost(&mut self, index: u32) {
        let peer = &mut self.peers[index as usize];
        let out = std::mem::take(&mut peer.out);
        let partial = std::mem::take(&mut peer.partial);
        peer.broken = false;
        let lost = peer.client.lost() as u64;
        self.unacknowledged = self.unacknowledged.saturating_sub(lost);
        self.unacknowledged_lost += lost;
        self.recycle(out);
        self.recycle(partial);
    }

    /// Queues SUBSCRIBE for a subscriber's filter, which makes it a reader; false if it has none.
    pub(super) fn subscribe(&mut self, job: &Job, index: u32) -> bool {
        let subscriber = &job.subscribers[self.peers[index as usize].number as usize];
        let Some(number) = subscriber.filter else {
            return false;
        };
        if self.peers[index as usize].reader == NO_READER {
            let ledger = &mut self.ledger;
            let reader = match subscriber.shared {
                true => *self
                    .shared
                    .entry(number)
                    .or_insert_with(|| ledger.add(number, false)),
                false => ledger.add(number, true),
            };
            self.peers[index as usize].reader = reader;
        }
        let filter = &job.filters[number as usize];
        let peer = self.output(index);
        peer.client
            .subscribe(&job.settings, &filter.text, subscriber.qos, &mut peer.out);
        true
    }

    /// Bytes of a connection have come.
    #[inline]
    pub(super) fn on_bytes(&mut self, job: &Job, index: u32, bytes: &[u8], now_ns: u64) {
        self.meter.at(now_ns);
        self.heard_ns = now_ns;
        if self.peers[index as usize].broken {
            return;
        }
        let bytes = match self.peers[index as usize].partial.is_empty() {
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
        let peer = &mut self.peers[index as usize];
        if !peer.client.is_connected()
            && let Some(hint) = hints::of_answer(rest)
        {
            // It would be waited for what it takes to be the rest of a packet.
            peer.broken = true;
            let text = format!("what the broker sent is no MQTT{hint}");
            self.keeps_out(KeptOut::Wire, text);
            self.notes.push((index, Note::Dropped));
            return;
        }
        let mut partial = self.spare.pop().unwrap_or_default();
        partial.extend_from_slice(rest);
        self.peers[index as usize].partial = partial;
    }

    /// Adds to the packet that is not whole as much as it lacks, handles it, and returns what follows.
    fn complete<'a>(
        &mut self,
        job: &Job,
        index: u32,
        mut bytes: &'a [u8],
        now_ns: u64,
    ) -> &'a [u8] {
        let mut partial = std::mem::take(&mut self.peers[index as usize].partial);
        while let Ok(FrameStatus::Incomplete { total_len }) =
            frame(&partial, limits::LOAD_PACKET_BYTES_MAX)
        {
            let wanted = total_len.map_or(1, |total| total - partial.len());
            if bytes.is_empty() {
                self.peers[index as usize].partial = partial;
                return bytes;
            }
            let (missing, rest) = bytes.split_at(wanted.min(bytes.len()));
            partial.extend_from_slice(missing);
            bytes = rest;
        }
        let rest = self.whole_packets(job, index, &partial, now_ns);
        debug_assert!(rest.is_empty());
        self.recycle(partial);
        match self.peers[index as usize].broken {
            true => &[],
            false => bytes,
        }
    }

    /// Whether CONNACK has let this client in.
    pub(super) fn is_connected(&self, index: u32) -> bool {
        self.peers[index as usize].client.is_connected()
    }

    #[cold]
    fn malformed(&mut self, index: u32, error: &DecodeError, bytes: &[u8]) {
        let no_mqtt = "what the broker sent is no MQTT";
        match (self.is_connected(index), hints::of_answer(bytes)) {
            (true, _) => self.error(format!("{no_mqtt}: {error}")),
            // What its bytes would be, were they MQTT, says nothing.
            (false, Some(hint)) => self.keeps_out(KeptOut::Wire, format!("{no_mqtt}{hint}")),
            (false, None) => self.keeps_out(KeptOut::Wire, format!("{no_mqtt}: {error}")),
        }
        self.peers[index as usize].broken = true;
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
        let peer = &mut self.peers[index as usize];
        let before = peer.out.len();
        let event = peer
            .client
            .on_packet(&job.settings, packet, frame, &mut peer.out)?;
        let answers = peer.out.len() > before;
        match event {
            Event::Delivery(publish) => self.on_publish(job, index, packet, &publish, now_ns),
            event => self.on_event(job, index, &event, now_ns),
        }
        if answers {
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
                match hints::of_login(*reason, &job.settings, &self.clock.wire) {
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
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                self.meter.acked(*at_ns, now_ns);
                if reason.is_error() {
                    self.faults.refused += 1;
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
                self.faults.unexpected += 1;
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
            Read::Stamped(stamp) if stamp.run == self.run => {
                self.verify(job, index, payload.len(), stamp, now_ns);
            }
            Read::Corrupt(stamp) if stamp.run == self.run => {
                // It has come, whatever became of it on the way: it is not lost as well.
                self.faults.corrupt += 1;
                self.verify(job, index, payload.len(), stamp, now_ns);
            }
            _ => self.faults.unexpected += 1,
        }
    }

    #[inline]
    fn verify(&mut self, job: &Job, index: u32, bytes: usize, stamp: Stamp, now_ns: u64) {
        if stamp.stream != self.head.stream && !self.has_topic(job, stamp.stream) {
            self.faults.unexpected += 1;
            return;
        }
        let peer = &mut self.peers[index as usize];
        match self.ledger.see(peer.reader, stamp.stream, stamp.sequence) {
            Seen::Fresh | Seen::Late => {
                self.faults.delivered += 1;
                self.meter.delivered(bytes, stamp.intended_ns, now_ns);
                self.spread.see(stamp.stream, stamp.sequence, now_ns);
                if peer.goal_left > 0 {
                    self.nearer(index);
                }
                if self.windowed {
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
        let now_ns = self.clock.now_ns();
        let peer = &mut self.peers[index as usize];
        let times = self.times.entry(peer.number).or_default();
        if times.first_ns == 0 {
            times.first_ns = now_ns;
        }
        times.messages += 1;
        times.last_ns = now_ns;
        peer.goal_left -= 1;
        if peer.goal_left == 0 {
            times.complete = true;
            self.notes.push((index, Note::Goal));
        }
    }

    /// Counts a delivery for the publisher of a stream; whatever is counted and not yet told is told when another
    /// publisher's comes, and with `u32::MAX`.
    fn give_credit(&mut self, job: &Job, stream: u32) {
        let publisher = match job.streams.get(stream as usize) {
            Some(stream) => stream.publisher,
            None => u32::MAX,
        };
        if publisher != self.credit.0 {
            if self.credit.1 > 0 {
                let credits = &self.progress.credits[self.credit.0 as usize];
                credits.fetch_add(self.credit.1, Ordering::Relaxed);
            }
            self.credit = (publisher, 0);
        }
        self.credit.1 += u64::from(publisher != u32::MAX);
    }

    /// Deliveries of a publisher's messages so far.
    pub(super) fn credits(&self, publisher: u32) -> u64 {
        self.progress.credits[publisher as usize].load(Ordering::Relaxed)
    }
}
