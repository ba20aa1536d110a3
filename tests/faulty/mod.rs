//! A small MQTT 3.1.1 broker that makes mistakes on purpose, and counts them.
//!
//! A thread a connection reads packets; one, the hub, answers and forwards them in the order in which they came.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firehose::load::stamp::{self, Stamp};

use crate::support::mqtt::{
    self, CONNECT, Fields, PINGREQ, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Publish, SUBSCRIBE,
};

/// What is wrong with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Lose,
    Repeat,
    /// It comes behind the next one.
    Swap,
    /// One byte of the payload, counted from its end, is another.
    Change {
        from_end: usize,
    },
    /// It goes to those who did not ask for it, too.
    Misroute,
    /// Its topic is another.
    Rename,
    /// Another message comes with it: one that has no stamp.
    Stranger,
    /// Another message comes with it: one of another run.
    OtherRun,
}

/// What becomes of a CONNECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Greeting {
    #[default]
    Welcome,
    /// Return code 5 for every so-manyth client.
    Refuse(u64),
    /// No answer to every so-manyth client.
    Silence(u64),
    /// A long answer that is no MQTT.
    Garbage,
    /// Half of an answer, and the end.
    Half,
}

/// How the connection of a subscriber ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Close,
    /// Half of a message comes first.
    Half,
    /// It is not closed, but what comes is no MQTT.
    Garbage,
}

/// How the broker behaves. Faults hit every so-manyth, in the middle of those: the 25th and the 75th of every 50.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behaviour {
    /// Time from a message's coming to its going.
    pub delay: Duration,
    /// At this publish, nothing is read or forwarded for so long.
    pub stall: Option<(u64, Duration)>,
    pub fault: Option<(u64, Fault)>,
    /// Every so-manyth PUBACK or PUBREC does not come.
    pub no_ack: Option<u64>,
    /// Every so-manyth PUBCOMP does not come.
    pub no_pubcomp: Option<u64>,
    pub greeting: Greeting,
    /// At this delivery, its subscriber's connection ends.
    pub cut: Option<(u64, Cut)>,
}

/// The broker; it ends with the test.
pub struct Faulty {
    pub port: u16,
    made: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Faulty {
    pub fn start(behaviour: Behaviour) -> Faulty {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let made = Arc::new(AtomicU64::new(0));
        let ends = Arc::new(AtomicBool::new(false));
        let gate = Arc::new(Mutex::new(()));
        let (events, inbox) = channel();
        let hub = Hub {
            behaviour,
            clients: BTreeMap::new(),
            later: VecDeque::new(),
            counts: Counts::default(),
            made: Arc::clone(&made),
            gate: Arc::clone(&gate),
        };
        std::thread::spawn(move || hub.run(&inbox));
        let is_over = Arc::clone(&ends);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (events, gate) = (events.clone(), Arc::clone(&gate));
                let stream = stream.unwrap();
                std::thread::spawn(move || read(number, &stream, &events, &gate));
            }
        });
        Faulty { port, made, ends }
    }

    /// How many mistakes it has made.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A message of MQTT 3.1.1 on its way.
#[derive(Clone)]
struct Message {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    id: u16,
}

impl Message {
    /// From a PUBLISH.
    fn of(packet: &[u8]) -> Message {
        let qos = packet[0] >> 1 & 3;
        let mut fields = Fields::of(packet);
        Message {
            topic: fields.text(),
            qos,
            id: if qos > 0 { fields.u16() } else { 0 },
            payload: fields.rest().to_vec(),
        }
    }

    fn packet(&self) -> Vec<u8> {
        let publish = Publish {
            topic: &self.topic,
            payload: &self.payload,
            qos: self.qos,
            id: self.id,
            ..Publish::default()
        };
        publish.packet()
    }
}

enum What {
    Came(TcpStream),
    Packet(Vec<u8>),
    Gone,
}

/// Something that happened to a client, and when.
struct Event {
    client: usize,
    at: Instant,
    what: What,
}

fn read(client: usize, stream: &TcpStream, events: &Sender<Event>, gate: &Mutex<()>) {
    let tell = |what| {
        let at = Instant::now();
        let _ = events.send(Event { client, at, what });
    };
    stream.set_nodelay(true).unwrap();
    tell(What::Came(stream.try_clone().unwrap()));
    let mut reader = BufReader::new(stream);
    loop {
        drop(gate.lock());
        match mqtt::read_packet(&mut reader) {
            Ok(Some(packet)) => tell(What::Packet(packet)),
            Ok(None) | Err(_) => return tell(What::Gone),
        }
    }
}

struct Client {
    stream: TcpStream,
    /// Filter and QoS.
    wants: Option<(String, u8)>,
    last_id: u16,
    /// What goes behind the next message.
    held: Option<Vec<u8>>,
}

#[derive(Default)]
struct Counts {
    connects: u64,
    publishes: u64,
    acks: u64,
    pubcomps: u64,
    deliveries: u64,
}

struct Hub {
    behaviour: Behaviour,
    clients: BTreeMap<usize, Client>,
    /// What goes out later, and when; in this order.
    later: VecDeque<(Instant, Message)>,
    counts: Counts,
    made: Arc<AtomicU64>,
    gate: Arc<Mutex<()>>,
}

/// Whether this one is hit, of every so many.
fn is_hit(number: u64, every: Option<u64>) -> bool {
    every.is_some_and(|every| number % every == every / 2)
}

impl Hub {
    fn run(mut self, inbox: &Receiver<Event>) {
        loop {
            while self
                .later
                .front()
                .is_some_and(|(due, _)| *due <= Instant::now())
            {
                let (_, message) = self.later.pop_front().unwrap();
                self.forward(&message);
            }
            let wait = match self.later.front() {
                Some((due, _)) => due.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(1),
            };
            match inbox.recv_timeout(wait) {
                Ok(event) => self.on_event(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let id = event.client;
        match event.what {
            What::Came(stream) => {
                let client = Client {
                    stream,
                    wants: None,
                    last_id: 0,
                    held: None,
                };
                self.clients.insert(id, client);
            }
            What::Packet(packet) => self.on_packet(id, event.at, &packet),
            What::Gone => {
                self.clients.remove(&id);
            }
        }
    }

    fn on_packet(&mut self, from: usize, at: Instant, packet: &[u8]) {
        let mut fields = Fields::of(packet);
        match packet[0] >> 4 {
            CONNECT => self.greet(from),
            SUBSCRIBE => {
                let (id, filter, qos) = (fields.u16(), fields.text(), fields.u8());
                self.send(from, &mqtt::suback(id, qos));
                if let Some(client) = self.clients.get_mut(&from) {
                    client.wants = Some((filter, qos));
                }
            }
            PUBLISH => self.on_publish(from, at, Message::of(packet)),
            PUBREC => self.send(from, &mqtt::ack(PUBREL, fields.u16())),
            PUBREL => {
                self.counts.pubcomps += 1;
                match is_hit(self.counts.pubcomps, self.behaviour.no_pubcomp) {
                    true => self.mistake(),
                    false => self.send(from, &mqtt::ack(PUBCOMP, fields.u16())),
                }
            }
            PINGREQ => self.send(from, &mqtt::PONG),
            _ => {}
        }
    }

    fn greet(&mut self, client: usize) {
        self.counts.connects += 1;
        let number = self.counts.connects;
        match self.behaviour.greeting {
            Greeting::Refuse(every) if number.is_multiple_of(every) => {
                self.mistake();
                self.send(client, &mqtt::connack(5));
                self.close(client);
            }
            Greeting::Silence(every) if number.is_multiple_of(every) => self.mistake(),
            Greeting::Garbage => {
                self.mistake();
                self.send(client, &[0xFF; 100_000]);
            }
            Greeting::Half => {
                self.mistake();
                self.send(client, &mqtt::connack(0)[..3]);
                self.close(client);
            }
            _ => self.send(client, &mqtt::connack(0)),
        }
    }

    fn on_publish(&mut self, from: usize, at: Instant, message: Message) {
        self.counts.publishes += 1;
        if let Some((number, time)) = self.behaviour.stall
            && number == self.counts.publishes
        {
            self.mistake();
            let gate = Arc::clone(&self.gate);
            let _closed = gate.lock();
            std::thread::sleep(time);
        }
        if message.qos > 0 {
            self.counts.acks += 1;
            let kind = if message.qos == 1 { PUBACK } else { PUBREC };
            match is_hit(self.counts.acks, self.behaviour.no_ack) {
                true => self.mistake(),
                false => self.send(from, &mqtt::ack(kind, message.id)),
            }
        }
        match self.behaviour.delay.is_zero() {
            true => self.forward(&message),
            false => self.later.push_back((at + self.behaviour.delay, message)),
        }
    }

    fn forward(&mut self, message: &Message) {
        let (to, others): (Vec<_>, Vec<_>) = self
            .clients
            .iter()
            .filter_map(|(id, client)| Some((*id, client.wants.as_ref()?.0 == message.topic)))
            .partition(|(_, wants)| *wants);
        for (client, _) in to {
            self.counts.deliveries += 1;
            let number = self.counts.deliveries;
            let fault = self
                .behaviour
                .fault
                .filter(|(every, _)| is_hit(number, Some(*every)));
            match fault {
                Some((_, fault)) => {
                    self.mistake();
                    self.deliver_wrongly(client, message, fault, &others);
                }
                None => self.deliver(client, message),
            }
            if let Some((_, cut)) = self.behaviour.cut.filter(|(at, _)| *at == number) {
                self.cut(client, message, cut);
            }
        }
    }

    fn deliver_wrongly(
        &mut self,
        client: usize,
        message: &Message,
        fault: Fault,
        others: &[(usize, bool)],
    ) {
        let mut wrong = message.clone();
        let len = wrong.payload.len();
        match fault {
            Fault::Lose => return,
            Fault::Swap => {
                let packet = self.packet(client, message);
                if let Some(client) = self.clients.get_mut(&client) {
                    client.held = packet;
                }
                return;
            }
            Fault::Change { from_end } => wrong.payload[len - 1 - from_end] ^= 1,
            Fault::Rename => wrong.topic.push_str("/other"),
            Fault::Misroute => {
                for (other, _) in others {
                    self.deliver(*other, message);
                }
            }
            Fault::Stranger => {
                let payload = b"nobody knows me, and I know nobody".to_vec();
                self.deliver(
                    client,
                    &Message {
                        payload,
                        ..message.clone()
                    },
                );
            }
            Fault::OtherRun => {
                let filler = &message.payload[stamp::STAMP_BYTES..];
                let stamp::Read::Stamped(stamp) = stamp::read(&message.payload, filler) else {
                    panic!("no stamp");
                };
                let run = stamp.run ^ 1;
                let mut other = message.clone();
                other.payload.clear();
                stamp::append_plain(&mut other.payload, Stamp { run, ..stamp }, filler);
                self.deliver(client, &other);
            }
            Fault::Repeat => self.deliver(client, message),
        }
        self.deliver(client, &wrong);
    }

    /// A message as it is sent to a client.
    fn packet(&mut self, client: usize, message: &Message) -> Option<Vec<u8>> {
        let client = self.clients.get_mut(&client)?;
        client.last_id = client.last_id % u16::MAX + 1;
        let outgoing = Message {
            qos: message.qos.min(client.wants.as_ref()?.1),
            id: client.last_id,
            ..message.clone()
        };
        Some(outgoing.packet())
    }

    fn deliver(&mut self, client: usize, message: &Message) {
        if let Some(packet) = self.packet(client, message) {
            self.send(client, &packet);
        }
        let held = self.clients.get_mut(&client).and_then(|c| c.held.take());
        if let Some(held) = held {
            self.send(client, &held);
        }
    }

    fn cut(&mut self, client: usize, message: &Message, cut: Cut) {
        self.mistake();
        let packet = self.packet(client, message).unwrap_or_default();
        match cut {
            Cut::Close => {}
            Cut::Half => self.send(client, &packet[..packet.len() / 2]),
            Cut::Garbage => {
                self.send(client, &[0xFF; 100_000]);
                self.clients.remove(&client);
                return;
            }
        }
        self.close(client);
    }

    fn send(&mut self, client: usize, bytes: &[u8]) {
        if let Some(client) = self.clients.get_mut(&client) {
            let _ = client.stream.write_all(bytes);
        }
    }

    fn close(&mut self, client: usize) {
        if let Some(client) = self.clients.remove(&client) {
            let _ = client.stream.shutdown(Shutdown::Write);
        }
    }

    fn mistake(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }
}
