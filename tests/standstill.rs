//! The process stands still (SIGSTOP) while deadlines of its clients pass, and goes on: what the kernel had taken in before a
//! deadline counts before it.

mod support;

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/stream.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod stream;

use std::time::{Duration, Instant};

use certificates::Certificates;
use stream::{Kind, Stream};
use support::mqtt::{self, Connect, Publish, Version, Will};
use support::{PATIENCE, Server};

/// Attempts to be in time for a deadline; a machine that has other things to do may be too late.
const ATTEMPTS: u32 = 5;

/// What a client asks for, in seconds.
#[derive(Clone, Copy)]
struct Asked {
    keep_alive: u16,
    expiry: u8,
    will_delay: Option<u8>,
}

/// CONNECT of MQTT 5, Clean Start 0; the will goes to `w/` and the client identifier.
fn connect(id: &str, asked: Asked) -> Vec<u8> {
    let topic = format!("w/{id}");
    let connect = Connect {
        version: Version::V5,
        id,
        resumes: true,
        keep_alive: asked.keep_alive,
        will: asked.will_delay.map(|delay| Will {
            topic: &topic,
            payload: "gone",
            qos: 0,
            delay_s: Some(delay.into()),
        }),
        expiry_s: Some(asked.expiry.into()),
        ..Connect::default()
    };
    connect.packet()
}

/// PUBLISH with QoS 1.
fn publish(topic: &str) -> Vec<u8> {
    let message = Publish {
        version: Version::V5,
        topic,
        payload: b"hello",
        qos: 1,
        id: 7,
        ..Publish::default()
    };
    message.packet()
}

/// A broker whose clients come over one kind of transport.
struct Place {
    server: Server,
    kind: Kind,
    _certificates: Option<Certificates>,
}

impl Place {
    fn new(kind: Kind, shards: u32) -> Place {
        let mut config = vec!["log_type all".to_string()];
        let certificates = matches!(kind, Kind::Tls | Kind::Both).then(Certificates::new);
        if let Some(files) = &certificates {
            config.push(format!("certfile {}", files.file("server.crt")));
            config.push(format!("keyfile {}", files.file("server.key")));
        }
        if matches!(kind, Kind::WebSocket | Kind::Both) {
            config.push("protocol websockets".into());
        }
        Place {
            server: Server::start(&support::program(shards), &config),
            kind,
            _certificates: certificates,
        }
    }
}

struct Client {
    stream: Stream,
    /// What goes out when its handshakes are done.
    connect: Option<Vec<u8>>,
}

impl Client {
    /// Sends what comes first, CONNECT where nothing lies below, and waits for nothing.
    fn begin(place: &Place, id: &str, asked: Asked) -> Client {
        let to = place.server.address();
        let mut client = Client {
            stream: Stream::begin(place.kind, to, None).unwrap(),
            connect: Some(connect(id, asked)),
        };
        if place.kind == Kind::Plain {
            client.go_on();
        }
        client
    }

    /// Has the handshakes done, and sends CONNECT.
    fn go_on(&mut self) {
        if let Some(connect) = self.connect.take() {
            self.stream.finish().expect("handshakes");
            self.stream.send(&connect);
            self.stream.set_read_timeout(PATIENCE);
        }
    }

    fn new(place: &Place, id: &str, asked: Asked) -> Client {
        let mut client = Client::begin(place, id, asked);
        assert!(!client.finds_session(), "{id} is new");
        client
    }

    /// Waits for CONNACK; whether there is a session.
    fn finds_session(&mut self) -> bool {
        self.go_on();
        let connack = self.read().expect("CONNACK");
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:02x?}");
        connack[2] == 1
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.send(bytes);
    }

    /// The next packet; `None` when the broker has closed, or nothing comes.
    fn read(&mut self) -> Option<Vec<u8>> {
        mqtt::read_packet(&mut self.stream).ok().flatten()
    }

    fn subscribe(&mut self, filter: &str) {
        self.send(&mqtt::subscribe(Version::V5, 1, &[filter], 1));
        assert_eq!(self.read().expect("SUBACK")[0], 0x90);
    }

    /// Topics of the messages that come within a time.
    fn topics_within(&mut self, time: Duration) -> Vec<String> {
        let until = Instant::now() + time;
        let mut topics = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return topics;
            }
            self.stream.set_read_timeout(left);
            let Some(message) = self.read() else {
                return topics;
            };
            if message[0] & 0xf0 == 0x30 {
                topics.push(mqtt::topic_of(&message));
            }
        }
    }
}

/// The process stands still until so much has passed since a moment.
struct Standstill<'a>(&'a Server);

impl<'a> Standstill<'a> {
    fn new(server: &'a Server) -> Self {
        server.signal("STOP");
        Standstill(server)
    }

    fn end(self, since: Instant, after: Duration) {
        std::thread::sleep(after.saturating_sub(since.elapsed()));
        self.0.signal("CONT");
    }
}

fn wait_for_ends(server: &Server, count: usize) {
    let started = Instant::now();
    while server.log().matches("connection closed by client").count() < count {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client that was back in the kernel's queue before its will was due and its session over finds the session, and no will
/// is published (MQTT-3.1.2-23, MQTT-3.1.3-9); the will of one that was not is.
///
/// Where TLS or WebSocket lies below, what has come in time is the beginning of a handshake; the rest has the time that sessions
/// are left alone after a standstill.
fn who_came_back_in_time_resumes(kind: Kind, shards: u32) {
    const DELAY_S: u8 = 6;
    let asked = |expiry, delay| Asked {
        keep_alive: 0,
        expiry,
        will_delay: delay,
    };
    for attempt in 0..ATTEMPTS {
        let place = Place::new(kind, shards);
        let server = &place.server;
        let mut watcher = Client::new(&place, "watcher", asked(0, None));
        watcher.subscribe("w/#");
        // Of half of them the will comes first, of the others the end of the session.
        let of = |number: usize| match number % 2 {
            0 => asked(200, Some(DELAY_S)),
            _ => asked(DELAY_S, Some(100)),
        };
        let ids: Vec<String> = (0..16).map(|number| format!("c{number}")).collect();
        let mut clients = Vec::new();
        for (number, id) in ids.iter().enumerate() {
            let mut client = Client::new(&place, id, of(number));
            client.subscribe(&format!("for/{id}"));
            clients.push(client);
        }
        clients.push(Client::new(&place, "lost", of(0)));
        clients.push(Client::new(&place, "over", of(1)));
        let gone = Instant::now();
        let count = clients.len();
        drop(clients);
        wait_for_ends(server, count);
        let standstill = Standstill::new(server);
        let begin = |(number, id): (usize, &String)| Client::begin(&place, id, of(number));
        let mut back: Vec<Client> = ids.iter().enumerate().map(begin).collect();
        let is_in_time = gone.elapsed() < Duration::from_secs((DELAY_S - 1).into());
        standstill.end(gone, Duration::from_secs((DELAY_S + 1).into()));
        if !is_in_time {
            eprintln!("attempt {attempt} was too late");
            continue;
        }
        for (client, id) in back.iter_mut().zip(&ids) {
            assert!(client.finds_session(), "{id} was back in time");
        }
        // And it works.
        for id in &ids {
            watcher.send(&publish(&format!("for/{id}")));
        }
        for client in &mut back {
            assert_eq!(client.read().expect("PUBLISH")[0], 0x32);
        }
        let mut wills = Vec::new();
        let started = Instant::now();
        while wills.len() < 2 && started.elapsed() < PATIENCE {
            wills.extend(watcher.topics_within(Duration::from_secs(1)));
            wills.retain(|topic| topic.starts_with("w/"));
        }
        wills.extend(watcher.topics_within(Duration::from_secs(1)));
        wills.sort();
        assert_eq!(wills, ["w/lost", "w/over"]);
        let mut over = Client::begin(&place, "over", asked(0, None));
        assert!(!over.finds_session());
        return;
    }
    panic!("this machine is never in time");
}

#[test]
fn who_came_back_in_time_resumes_on_one_shard() {
    who_came_back_in_time_resumes(Kind::Plain, 1);
}

#[test]
fn who_came_back_in_time_resumes_on_two_shards() {
    who_came_back_in_time_resumes(Kind::Plain, 2);
}

/// What a client has sent in time counts (MQTT-3.1.2-24), also of so many that one turn does not get to all of them.
fn who_is_alive_stays(kind: Kind, shards: u32) {
    const KEEP_ALIVE_S: u16 = 8;
    // Handshakes take their time.
    let clients = if kind == Kind::Plain { 3000 } else { 200 };
    for attempt in 0..ATTEMPTS {
        let place = Place::new(kind, shards);
        let asked = Asked {
            keep_alive: KEEP_ALIVE_S,
            expiry: 0,
            will_delay: None,
        };
        let began = Instant::now();
        let mut clients: Vec<Client> = (0..clients)
            .map(|number| Client::begin(&place, &format!("c{number}"), asked))
            .collect();
        for client in &mut clients {
            client.finds_session();
        }
        let standstill = Standstill::new(&place.server);
        for client in &mut clients {
            client.send(&mqtt::PING);
        }
        let is_in_time = began.elapsed() < Duration::from_secs(KEEP_ALIVE_S.into());
        let due = Duration::from_millis(1500 * u64::from(KEEP_ALIVE_S));
        standstill.end(Instant::now(), due + Duration::from_secs(2));
        if !is_in_time {
            eprintln!("attempt {attempt} was too late");
            continue;
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let answer = client.read();
            assert_eq!(answer.as_deref(), Some(&mqtt::PONG[..]), "client {number}");
        }
        return;
    }
    panic!("this machine is never in time");
}

#[test]
fn who_is_alive_stays_on_one_shard() {
    who_is_alive_stays(Kind::Plain, 1);
}

#[test]
fn who_is_alive_stays_on_two_shards() {
    who_is_alive_stays(Kind::Plain, 2);
}

#[test]
fn who_came_back_in_time_resumes_over_tls() {
    who_came_back_in_time_resumes(Kind::Tls, 2);
}

#[test]
fn who_came_back_in_time_resumes_over_websocket() {
    who_came_back_in_time_resumes(Kind::WebSocket, 2);
}

#[test]
fn who_came_back_in_time_resumes_over_websocket_and_tls() {
    who_came_back_in_time_resumes(Kind::Both, 1);
}

#[test]
fn who_is_alive_stays_over_tls() {
    who_is_alive_stays(Kind::Tls, 2);
}

#[test]
fn who_is_alive_stays_over_websocket() {
    who_is_alive_stays(Kind::WebSocket, 2);
}

#[test]
fn who_is_alive_stays_over_websocket_and_tls() {
    who_is_alive_stays(Kind::Both, 1);
}
