//! A client that keeps what the standard has it keep between connections, and acknowledges late.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::record::{Key, Record, WishId};
use crate::support::mqtt::{self, Connect, Packet, Publish, Version, Will};

/// Messages that a client has out at once.
const OUT_MAX: usize = 24;

/// How far readers may be behind before publishers pause, in things that happen.
const LAG_MAX: u64 = 4000;

/// Wills are said by authors of their own.
pub const WILL_AUTHORS: usize = 16;

/// How long a session outlives its connection: no test takes as long.
const EXPIRY_S: u32 = 3600;

/// The reason code when the broker ends in order, and what MQTT 3.1.1 has for that in CONNACK.
const SHUTTING_DOWN: u8 = 0x8b;
const UNAVAILABLE: u8 = 3;

/// What a client is.
#[derive(Clone, Copy)]
pub struct Plan {
    pub id: &'static str,
    pub version: Version,
    /// Its session outlives its connections.
    pub is_durable: bool,
    pub publishes: bool,
    /// Filters with QoS, for which it asks once.
    pub filters: &'static [(&'static str, u8)],
    /// It is one of a group: what comes to it counts for this reader.
    pub reader: Option<usize>,
    /// QoS and delay in seconds.
    pub will: Option<(u8, u32)>,
    /// It ends its session now and then, and its subscriptions.
    pub is_fickle: bool,
}

/// A message that is out.
struct Out {
    id: u16,
    key: Key,
    packet: Vec<u8>,
    /// PUBREC has come.
    is_released: bool,
}

/// A SUBSCRIBE or UNSUBSCRIBE that is out.
struct Asked {
    id: u16,
    wish: WishId,
    packet: Vec<u8>,
}

/// A connection.
struct Link {
    stream: TcpStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Acknowledgements with the moment when they are due, in order.
    late: VecDeque<(Instant, Vec<u8>)>,
    /// Payloads of QoS 1, not acknowledged yet.
    unacknowledged: BTreeMap<u16, Vec<u8>>,
    is_in: bool,
    is_clean: bool,
    says_goodbye: bool,
    will: Option<Key>,
    /// The run of the broker.
    run: u32,
}

/// See the module.
pub struct Client {
    plan: Plan,
    index: usize,
    rng: Rng,
    link: Option<Link>,
    back_at: Instant,
    /// A CONNACK has said that there is a session.
    has_session: bool,
    out: VecDeque<Out>,
    asked: VecDeque<Asked>,
    wishes: Vec<(&'static str, WishId)>,
    /// Payloads of QoS 2, received and not released.
    inbound: BTreeMap<u16, Vec<u8>>,
    /// A session that was to end may be there.
    is_to_end: bool,
    /// A will that a DISCONNECT may have taken back, and the run of the broker in which.
    taken_back: Option<(Key, u32)>,
}

/// Where the broker is, how many were there before it, and what the client is to do.
#[derive(Clone, Copy)]
pub struct Around {
    pub broker: SocketAddr,
    pub run: u32,
    /// All have subscribed.
    pub is_begun: bool,
    pub is_ending: bool,
}

impl Client {
    pub fn new(index: usize, plan: Plan, seed: u64) -> Client {
        Client {
            plan,
            index,
            rng: Rng::with_seed(seed.wrapping_mul(31).wrapping_add(index as u64)),
            link: None,
            back_at: Instant::now(),
            has_session: false,
            out: VecDeque::new(),
            asked: VecDeque::new(),
            wishes: Vec::new(),
            inbound: BTreeMap::new(),
            is_to_end: false,
            taken_back: None,
        }
    }

    fn reader(&self) -> usize {
        self.plan.reader.unwrap_or(self.index)
    }

    /// Whether nothing is open: no message, no question, no exchange.
    pub fn is_quiet(&self) -> bool {
        let is_in = self.link.as_ref().is_some_and(|link| {
            link.is_in && link.late.is_empty() && link.outbox.is_empty() && !link.says_goodbye
        });
        is_in && self.out.is_empty() && self.asked.is_empty() && self.inbound.is_empty()
    }

    /// What is open, for who wants to know why it is not quiet.
    pub fn state(&self) -> String {
        let out: Vec<_> = (self.out.iter())
            .map(|out| (out.id, out.key, out.is_released))
            .collect();
        format!(
            "{}: connected {}, out {out:?}, asked {}, inbound {:?}",
            self.plan.id,
            self.link.as_ref().is_some_and(|link| link.is_in),
            self.asked.len(),
            self.inbound.keys()
        )
    }

    /// Handles what has come, sends what is due, and connects where it is time.
    pub fn turn(&mut self, around: Around, record: &mut Record) {
        if self.link.is_none() && Instant::now() >= self.back_at {
            self.connect(around, record);
        }
        let is_open = self.receive(around, record);
        if self.link.as_ref().is_some_and(|link| link.is_in) && is_open {
            self.act(around, record);
        }
        if !is_open || !self.flush() {
            self.lose(record);
        }
    }

    fn connect(&mut self, around: Around, record: &mut Record) {
        let Ok(stream) = TcpStream::connect(around.broker) else {
            self.back_at = Instant::now() + Duration::from_millis(5);
            return;
        };
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        self.is_to_end |= self.plan.is_fickle && !around.is_ending && self.rng.u8(..4) == 0;
        let is_clean = !self.plan.is_durable || self.is_to_end;
        let topic = format!("w/{}", self.plan.id);
        let will =
            (self.plan.will).map(|(qos, _)| record.say(self.index + WILL_AUTHORS, &topic, qos));
        let payload = will.map(|key| String::from_utf8(key.payload(0)).unwrap());
        let connect = Connect {
            version: self.plan.version,
            id: self.plan.id,
            resumes: !is_clean,
            will: self.plan.will.map(|(qos, delay)| Will {
                topic: &topic,
                payload: payload.as_deref().unwrap_or_default(),
                qos,
                delay_s: (delay > 0).then_some(delay),
            }),
            expiry_s: self.plan.is_durable.then_some(EXPIRY_S),
            ..Connect::default()
        };
        if let Some((will, (_, 1..))) = will.zip(self.plan.will) {
            record.void(will); // it is always back in time
        }
        self.link = Some(Link {
            stream,
            inbox: Vec::new(),
            outbox: connect.packet(),
            late: VecDeque::new(),
            unacknowledged: BTreeMap::new(),
            is_in: false,
            is_clean,
            says_goodbye: false,
            will,
            run: around.run,
        });
    }

    /// The connection is gone.
    fn lose(&mut self, record: &mut Record) {
        let Some(link) = self.link.take() else {
            return;
        };
        self.back_at = Instant::now() + Duration::from_millis(self.rng.u64(..150));
        if let Some(will) = link.will.filter(|_| link.is_in) {
            if link.says_goodbye {
                self.taken_back = Some((will, link.run));
            } else {
                record.owe(will);
            }
        }
        if !self.plan.is_durable {
            self.out.clear();
        }
    }

    /// Reads and handles all that there is; false at the end.
    fn receive(&mut self, around: Around, record: &mut Record) -> bool {
        let mut is_open = true;
        let mut bytes = [0; 64 << 10];
        while let Some(link) = &mut self.link {
            match link.stream.read(&mut bytes) {
                Ok(0) => is_open = false,
                Ok(len) => {
                    link.inbox.extend_from_slice(&bytes[..len]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => is_open = false,
            }
            break;
        }
        while let Some(link) = &mut self.link {
            let Some(frame) = mqtt::take_frame(&mut link.inbox).unwrap() else {
                break;
            };
            let packet = mqtt::decode(self.plan.version, &frame).unwrap();
            self.handle(around, record, &packet);
        }
        is_open
    }

    fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("a connection")
    }

    fn send(&mut self, packet: &[u8]) {
        self.link().outbox.extend_from_slice(packet);
    }

    fn send_late(&mut self, packet: Vec<u8>) {
        let ms = match self.rng.u8(..200) {
            0 => self.rng.u64(..100),
            _ => self.rng.u64(..2),
        };
        let due = Instant::now() + Duration::from_millis(ms);
        self.link().late.push_back((due, packet));
    }

    /// Sends what is due, as far as the socket takes it; false when the connection is gone.
    fn flush(&mut self) -> bool {
        let Some(link) = &mut self.link else {
            return true;
        };
        let now = Instant::now();
        while let Some((due, packet)) = link.late.front() {
            if *due > now {
                break;
            }
            if packet[0] >> 4 == mqtt::PUBACK {
                let id = mqtt::Fields::of(packet).u16();
                link.unacknowledged.remove(&id);
            }
            link.outbox.extend_from_slice(packet);
            link.late.pop_front();
        }
        while !link.outbox.is_empty() {
            match link.stream.write(&link.outbox) {
                Ok(len) => drop(link.outbox.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn handle(&mut self, around: Around, record: &mut Record, packet: &Packet) {
        let who = self.plan.id;
        let shown = || mqtt::show(self.plan.version, &packet.bytes);
        match packet.kind {
            mqtt::CONNACK => self.on_connack(around, record, packet),
            mqtt::PUBLISH => self.on_publish(record, packet),
            mqtt::PUBACK | mqtt::PUBREC | mqtt::PUBCOMP => self.on_answer(record, packet),
            mqtt::PUBREL => {
                let id = packet.id.unwrap();
                self.inbound.remove(&id);
                self.send_late(mqtt::ack(mqtt::PUBCOMP, id));
            }
            mqtt::SUBACK | mqtt::UNSUBACK => {
                let refused = packet.codes.iter().any(|code| *code >= 0x80);
                assert!(!refused, "{who}: {}", shown());
                let asked = self.asked.pop_front().expect("something was asked");
                assert_eq!(packet.id, Some(asked.id), "{who}: {}", shown());
                match packet.kind {
                    mqtt::SUBACK => record.grant(asked.wish),
                    _ => record.ended(asked.wish),
                }
            }
            // The end follows.
            mqtt::DISCONNECT if packet.code == SHUTTING_DOWN => {}
            _ => panic!("{who}: {}", shown()),
        }
    }

    fn on_connack(&mut self, around: Around, record: &mut Record, packet: &Packet) {
        let who = self.plan.id;
        if [UNAVAILABLE, SHUTTING_DOWN].contains(&packet.code) {
            return; // the end follows
        }
        assert_eq!(packet.code, 0, "{who} is let in");
        let is_clean = self.link().is_clean;
        let is_due = self.has_session && !is_clean;
        // A CONNECT that was not answered may have made a session, or ended one.
        assert!(
            packet.session_present || !is_due,
            "{who}: its session is there"
        );
        assert!(
            !packet.session_present || !is_clean,
            "{who}: Clean Start makes a session"
        );
        self.link().is_in = true;
        self.is_to_end = false;
        if let Some((will, run)) = self.taken_back.take()
            && run == around.run
        {
            record.void(will);
        }
        if self.plan.is_durable && !packet.session_present {
            record.wipe(self.reader());
            self.out.clear();
            self.asked.clear();
            self.inbound.clear();
            self.wishes.clear();
        }
        self.has_session = self.plan.is_durable;
        if self.wishes.is_empty() && self.asked.is_empty() {
            for &(filter, qos) in self.plan.filters {
                self.subscribe(record, filter, qos);
            }
        } else {
            let asked: Vec<u8> = self.asked.iter().flat_map(|a| a.packet.clone()).collect();
            self.send(&asked);
        }
        // What has no answer is repeated (MQTT-4.4.0-1), in order (MQTT-4.6.0-1).
        let mut again = Vec::new();
        for out in &mut self.out {
            if out.is_released {
                again.extend(mqtt::ack(mqtt::PUBREL, out.id));
            } else {
                out.packet[0] |= 0x08;
                again.extend_from_slice(&out.packet);
            }
        }
        self.send(&again);
    }

    fn on_publish(&mut self, record: &mut Record, packet: &Packet) {
        let who = self.plan.id;
        let topic = String::from_utf8(packet.topic.clone()).unwrap();
        let id = packet.id.expect("all is published with an identifier");
        let shown = mqtt::show(self.plan.version, &packet.bytes);
        if let Some(payload) = self.inbound.get(&id) {
            let is_again = packet.qos == 2 && packet.payload == *payload && packet.dup;
            let held = String::from_utf8_lossy(payload);
            assert!(is_again, "{who}: {shown} while {held} has its identifier");
            return self.send_late(mqtt::ack(mqtt::PUBREC, id));
        }
        let open = self.link().unacknowledged.get(&id);
        assert!(
            open.is_none(),
            "{who}: {shown} while {open:?} has its identifier"
        );
        if !packet.retain && !packet.payload.is_empty() {
            record.arrived(self.reader(), (&topic, packet.qos, &packet.payload));
        }
        let (open, kind) = match packet.qos {
            1 => (&mut self.link().unacknowledged, mqtt::PUBACK),
            _ => (&mut self.inbound, mqtt::PUBREC),
        };
        open.insert(id, packet.payload.clone());
        self.send_late(mqtt::ack(kind, id));
    }

    /// An answer to what this client has published.
    fn on_answer(&mut self, record: &mut Record, packet: &Packet) {
        let shown = mqtt::show(self.plan.version, &packet.bytes);
        let what = format!("{}: {shown} for what is not out", self.plan.id);
        let id = packet.id.unwrap();
        let place = self.out.iter().position(|out| out.id == id).expect(&what);
        let out = &mut self.out[place];
        // PUBCOMP that knows no such exchange ends it as well: the one before did not come through.
        let is_good = packet.code < 0x80 || packet.kind == mqtt::PUBCOMP && packet.code == 0x92;
        assert!(is_good, "{}: {shown}", self.plan.id);
        let qos = record.said(out.key).qos;
        match (packet.kind, qos) {
            (mqtt::PUBACK, 1) => {
                record.owe(out.key);
                self.out.remove(place);
            }
            (mqtt::PUBREC, 2) => {
                record.owe(out.key);
                out.is_released = true;
                self.send(&mqtt::ack(mqtt::PUBREL, id));
            }
            (mqtt::PUBCOMP, 2) if out.is_released => drop(self.out.remove(place)),
            _ => panic!("{what}"),
        }
    }

    /// Does something, or nothing.
    fn act(&mut self, around: Around, record: &mut Record) {
        if around.is_ending || self.link().says_goodbye {
            return;
        }
        if self.plan.publishes && around.is_begun && record.lag() < LAG_MAX {
            for _ in 0..self.rng.usize(..4).min(OUT_MAX - self.out.len()) {
                self.publish(record);
            }
        }
        if self.plan.is_fickle && self.asked.is_empty() && self.rng.u8(..60) == 0 {
            self.change_subscription(record);
        }
        match self.rng.u16(..1200) {
            0 => {
                self.link().says_goodbye = true;
                self.send(&mqtt::GOODBYE);
            }
            1 => self.lose(record),
            _ => {}
        }
    }

    fn publish(&mut self, record: &mut Record) {
        let own = format!("r/{}", self.plan.id);
        let topics = ["k/0", "k/1", "k/2", "k/3", "s/0", "s/1", &own];
        let topic = topics[self.rng.usize(..topics.len())];
        let is_retained = topic == own;
        // Of what is retained all has one QoS: a repetition with QoS 1 may come behind a later message of QoS 2 that is not repeated.
        let qos = match is_retained {
            true => 1 + (self.index % 2) as u8,
            false => self.rng.u8(1..=2),
        };
        let key = record.say(self.index, topic, qos);
        let is_empty = is_retained && self.rng.u8(..4) == 0;
        if is_retained {
            record.retains(key, is_empty);
        }
        let more = match self.rng.u8(..20) {
            0 => self.rng.usize(..5000),
            _ => self.rng.usize(..60),
        };
        let payload = if is_empty {
            Vec::new()
        } else {
            key.payload(more)
        };
        let id = (1..).find(|id| self.out.iter().all(|out| out.id != *id));
        let id = id.expect("a free identifier");
        let message = Publish {
            version: self.plan.version,
            topic,
            payload: &payload,
            qos,
            id,
            retain: is_retained,
            ..Publish::default()
        };
        let packet = message.packet();
        self.send(&packet);
        self.out.push_back(Out {
            id,
            key,
            packet,
            is_released: false,
        });
    }

    fn subscribe(&mut self, record: &mut Record, filter: &'static str, qos: u8) {
        let plain = filter.strip_prefix("$share/g/").unwrap_or(filter);
        let wish = record.wish(self.reader(), plain, qos);
        let id = 100 + self.rng.u16(..100) * 2;
        let packet = mqtt::subscribe(self.plan.version, id, &[filter], qos);
        self.send(&packet);
        self.asked.push_back(Asked { id, wish, packet });
        self.wishes.push((filter, wish));
    }

    /// Ends a subscription, or takes it anew.
    fn change_subscription(&mut self, record: &mut Record) {
        let (filter, qos) = self.plan.filters[self.rng.usize(..self.plan.filters.len())];
        let place = self.wishes.iter().position(|(one, _)| *one == filter);
        let Some(place) = place else {
            return self.subscribe(record, filter, qos);
        };
        let (_, wish) = self.wishes.remove(place);
        record.end(wish);
        let id = 101 + self.rng.u16(..100) * 2;
        let packet = mqtt::unsubscribe(self.plan.version, id, &[filter]);
        self.send(&packet);
        self.asked.push_back(Asked { id, wish, packet });
    }
}
