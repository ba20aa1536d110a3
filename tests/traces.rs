//! What a client or a topic does, shown live by a broker that runs: over HTTP and from the command line. Each event is held against the
//! description that the broker itself gives of it.

#[path = "support/schema.rs"]
mod schema;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal};
use schema::conforms;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use support::client::Client;
use support::mqtt;
use support::{Folder, PATIENCE, Program, Server, free_port, give, run, wait_for};

const PASSWORD: &str = "right";
/// Longer than a shard keeps a trace that nobody looks at.
const LEASE: Duration = Duration::from_secs(6);

/// A broker with a listener of HTTP, and users `ann` and `bob` with one password.
struct Web {
    server: Server,
    port: u16,
    _folder: Folder,
}

impl Web {
    fn start(acl: Option<&str>) -> Web {
        let folder = Folder::new("traces");
        let passwords = folder.write("passwords", "");
        for user in ["ann", "bob"] {
            let done = run(Command::new(env!("CARGO_BIN_EXE_firehose"))
                .args(["passwd", "-b", "-H", "sha512"])
                .arg(&passwords)
                .args([user, PASSWORD]));
            assert_eq!(done.code, Some(0), "{}", done.stderr);
        }
        give(&passwords);
        for _ in 0..3 {
            let port = free_port();
            let mut config = vec![
                format!("listener {port} 127.0.0.1"),
                "protocol http_api".into(),
                "allow_anonymous true".into(),
                format!("password_file {}", passwords.display()),
            ];
            if let Some(acl) = acl {
                let file = folder.write("acl", acl);
                give(&file);
                config.push(format!("acl_file {}", file.display()));
            }
            let server = Server::start(&Program::Firehose { shards: 2 }, &config);
            if server.is_ready() {
                return Web {
                    server,
                    port,
                    _folder: folder,
                };
            }
        }
        panic!("it does not start");
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn client(&self, level: u8, id: &str) -> Client {
        Client::connect(self.server.address(), level, id, true, None)
    }

    fn send(&self, stream: &mut TcpStream, target: &str, user: Option<&str>) {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let user = user.map_or(String::new(), |user| {
            let pair = STANDARD.encode(format!("{user}:{PASSWORD}"));
            format!("Authorization: Basic {pair}\r\n")
        });
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{user}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port))).unwrap()
    }

    fn ask(&self, target: &str) -> (u16, String) {
        let mut stream = self.connect();
        self.send(&mut stream, target, None);
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.into())
    }

    fn json(&self, target: &str) -> Value {
        let (status, body) = self.ask(target);
        assert_eq!(status, 200, "{target}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A trace that has begun.
    fn trace(&self, query: &str, user: Option<&str>) -> Trace {
        let mut stream = self.connect();
        let target = format!("/api/v1/trace?{query}");
        self.send(&mut stream, &target, user);
        Trace::of(stream, self.json("/api/v1/openapi.json"))
    }

    /// Traces on all shards.
    fn traces(&self) -> u64 {
        let shards = self.json("/api/v1/shards");
        let shards = shards["shards"].as_array().unwrap().iter();
        let traces = shards.map(|shard| shard["figures"]["traces"].as_u64().unwrap());
        traces.sum()
    }

    /// Waits until there are so many of them on each of the two shards.
    fn until_traces(&self, count: u64, patience: Duration) {
        let started = Instant::now();
        while self.traces() != 2 * count {
            assert!(started.elapsed() < patience, "{} traces", self.traces());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A trace that is read.
struct Trace {
    lines: BufReader<TcpStream>,
    description: Value,
    /// Its number.
    number: String,
    begin: Value,
}

impl Trace {
    fn of(stream: TcpStream, description: Value) -> Trace {
        let mut trace = Trace {
            lines: BufReader::new(stream),
            description,
            number: String::new(),
            begin: Value::Null,
        };
        trace.begin = trace.next();
        assert_eq!(trace.begin["event"], "begin", "{}", trace.begin);
        trace.number = trace.begin["trace"].as_str().unwrap().into();
        trace
    }

    /// The next event, which its description allows.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            let count = self.lines.read_line(&mut line).unwrap();
            assert!(count > 0, "the answer has ended");
            let Some(data) = line.strip_prefix("data: ") else {
                continue;
            };
            let value: Value = serde_json::from_str(data).unwrap();
            let all = &self.description;
            let schema = &all["components"]["schemas"]["TraceEvent"];
            if let Err(fault) = conforms(all, schema, &value) {
                panic!("{fault}\n{value}");
            }
            return value;
        }
    }

    /// All up to the first that is meant.
    fn until(&mut self, is_meant: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let event = self.next();
            let is_last = is_meant(&event);
            all.push(event);
            if is_last {
                return all;
            }
        }
    }
}

/// Packets in short.
fn short(events: &[Value]) -> Vec<String> {
    let events = events.iter();
    let short = events.map(|event| match event["packet"].as_str() {
        Some(packet) => format!("{} {packet}", event["direction"].as_str().unwrap()),
        None => event["event"].as_str().unwrap().into(),
    });
    short.collect()
}

fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A client that is waited for, on whichever shard it is at home, in two versions.
#[test]
fn a_client_is_shown_while_it_is_there() {
    let web = Web::start(None);
    for (level, id) in [(5, "five"), (4, "four"), (5, "another")] {
        let mut trace = web.trace(&format!("client={id}&payload=3"), None);
        assert_eq!(trace.begin["connected"], false);
        assert_eq!(trace.begin["client"], id);
        let mut client = web.client(level, id);
        client.subscribe("seen/+");
        client.publish("seen/x", b"hello", false);
        let mut left = 2;
        while left > 0 {
            let packet = client.packet().unwrap();
            if packet[0] >> 4 == mqtt::PUBLISH {
                client.acknowledge(&packet);
            }
            left -= 1;
        }
        client.ping();
        client.disconnect();
        let events = trace.until(|event| event["event"] == "end");
        let mut packets = short(&events);
        // Which goes out first is nobody's business.
        packets[4..8].sort_unstable();
        assert_eq!(
            packets,
            [
                "in CONNECT",
                "out CONNACK",
                "in SUBSCRIBE",
                "out SUBACK",
                "in PUBACK",
                "in PUBLISH",
                "out PUBACK",
                "out PUBLISH",
                "in PINGREQ",
                "out PINGRESP",
                "in DISCONNECT",
                "end",
            ],
            "{events:?}"
        );
        let connect = &events[0];
        assert_eq!(connect["protocol"], if level == 5 { "5" } else { "3.1.1" });
        assert_eq!(connect["has_password"], false);
        assert_eq!(events[1]["reason_code"], 0);
        assert_eq!(events[2]["filters"][0]["filter"], "seen/+");
        assert_eq!(events[3]["reason_codes"], serde_json::json!([1]));
        for event in events.iter().filter(|event| event["packet"] == "PUBLISH") {
            assert_eq!(event["topic"], "seen/x");
            assert_eq!(event["payload"], "hel");
            assert_eq!(event["payload_cut"], true);
            assert_eq!(event["payload_bytes"], 5);
        }
    }
}

/// Messages come to subscribers on both shards, and each shard says how many it has.
#[test]
fn topics_are_shown_on_all_shards() {
    let web = Web::start(None);
    let mut clients: Vec<Client> = (0..8)
        .map(|number| {
            let mut client = web.client(4, &format!("s{number}"));
            client.subscribe("a/#");
            client
        })
        .collect();
    let query = format!("topic={}&payload=100", encoded("a/+"));
    let mut trace = web.trace(&query, None);
    let mut publisher = web.client(5, "publisher");
    publisher.publish_once("b/x", b"not meant");
    publisher.publish_once("a/x", &[0, 255]);
    for client in &mut clients {
        client.packet().unwrap();
    }
    let mut events = trace.until(|event| event["event"] == "publish");
    events.extend(trace.until(|event| event["event"] == "publish"));
    assert_eq!(events.len(), 2, "{events:?}");
    let matched = events
        .iter()
        .map(|event| event["matched"].as_u64().unwrap());
    assert_eq!(matched.sum::<u64>(), 8);
    let sent = events.iter().map(|event| event["sent"].as_u64().unwrap());
    assert_eq!(sent.sum::<u64>(), 8);
    let first = events.iter().find(|event| event["from_shard"].is_null());
    let first = first.unwrap();
    assert_eq!(first["client"], "publisher");
    assert_eq!(first["payload_base64"], "AP8=");
    assert_eq!(first["shards"].as_array().unwrap().len(), 1);
}

/// What a message says is for who may read its topic; of traced topics nothing else is said.
#[test]
fn rights_decide_what_is_shown() {
    let web = Web::start(Some(
        "topic readwrite #\nuser ann\ntopic read #\nuser bob\ntopic read /api/v1/trace\ntopic read open/#\n",
    ));
    let mut traces = [
        web.trace("client=c&payload=100", Some("ann")),
        web.trace("client=c&payload=100", Some("bob")),
    ];
    let mut of_topics = web.trace(&format!("topic={}", encoded("#")), Some("bob"));
    let mut client = web.client(5, "c");
    client.publish_once("shut/x", b"secret words");
    client.publish_once("open/x", b"hello");
    client.disconnect();
    let [anns, bobs] = traces.each_mut().map(|trace| {
        let events = trace.until(|event| event["event"] == "end");
        let of_bob = events
            .into_iter()
            .filter(|event| event["packet"] == "PUBLISH");
        of_bob.collect::<Vec<Value>>()
    });
    assert_eq!(anns[0]["payload"], "secret words");
    assert!(anns[0]["hidden"].is_null());
    assert_eq!(bobs[0]["topic"], "shut/x");
    assert_eq!(bobs[0]["hidden"], true);
    assert!(!bobs[0].to_string().contains("secret"));
    assert_eq!(bobs[1]["payload"], "hello");
    let shown = of_topics.until(|event| event["event"] == "publish");
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(shown[0]["topic"], "open/x");
}

#[test]
fn a_login_that_fails_is_shown_without_its_password() {
    let web = Web::start(None);
    let mut trace = web.trace("client=c", None);
    let mut stream = TcpStream::connect(web.server.address()).unwrap();
    let connect = mqtt::Connect {
        version: mqtt::Version::V5,
        id: "c",
        user: Some("ann"),
        password: Some("wrong password"),
        ..mqtt::Connect::default()
    };
    stream.write_all(&connect.packet()).unwrap();
    let events = trace.until(|event| event["packet"] == "CONNACK" || event["event"] == "end");
    let text = format!("{events:?}");
    assert!(!text.contains("wrong password"), "{text}");
    assert_eq!(events[0]["username"], "ann");
    assert_eq!(events[0]["has_password"], true);
}

/// A viewer has gone: the shards forget his trace. There are four at a time.
#[test]
fn a_trace_goes_with_its_viewer() {
    let web = Web::start(None);
    let mut all: Vec<Trace> = (0..4)
        .map(|number| web.trace(&format!("client=c{number}"), None))
        .collect();
    web.until_traces(4, PATIENCE);
    let (status, text) = web.ask("/api/v1/trace?client=x");
    assert_eq!((status, &*text), (503, "Too many look already.\n"));
    let number = all.pop().unwrap().number;
    // The broker finds out when it tells him the next time that nothing has happened.
    let started = Instant::now();
    let resumed = loop {
        let mut stream = web.connect();
        let target = format!("/api/v1/trace?client=c3&trace={number}");
        web.send(&mut stream, &target, None);
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        if &head == b"HTTP/1.1 200" {
            break Trace::of(stream, web.json("/api/v1/openapi.json"));
        }
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(resumed.begin["resumed"], true);
    assert_eq!(resumed.number, number);
    drop((all, resumed));
    web.until_traces(0, LEASE + PATIENCE);
    for wrong in [
        "",
        "client=a&topic=b",
        "client=",
        "topic=a%2F%23%2Fb",
        "topic=%24share%2Fg%2Fa",
        "client=a&payload=4097",
        "client=a&rate=0",
        "client=a&trace=x",
        "client=a&x=1",
    ] {
        assert_eq!(web.ask(&format!("/api/v1/trace?{wrong}")).0, 400, "{wrong}");
    }
}

/// A viewer reads nothing: what is held for him is bounded, the trace ends although he is there, and he is told when he reads on.
#[test]
fn a_viewer_who_reads_nothing_is_told_what_he_missed() {
    let web = Web::start(None);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], web.port));
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let query = format!("topic={}&payload=4096&rate=1000", encoded("#"));
    web.send(&mut stream, &format!("/api/v1/trace?{query}"), None);
    web.until_traces(1, PATIENCE);
    let mut publisher = web.client(4, "publisher");
    let payload = vec![b'x'; 4096];
    let started = Instant::now();
    while web.traces() > 0 {
        assert!(
            started.elapsed() < LEASE + PATIENCE,
            "it is still looked at"
        );
        publisher.publish_burst("t", &payload, 200);
        publisher.ping();
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut trace = Trace::of(stream, web.json("/api/v1/openapi.json"));
    let told = trace.until(|event| event["event"] == "gap");
    let left_out = told.iter().filter(|event| event["event"] == "left_out");
    let left_out = left_out.map(|event| event["events"].as_u64().unwrap());
    assert!(left_out.sum::<u64>() > 0);
}

/// Runs `firehose trace` with these arguments.
fn command(web: &Web, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command
        .arg("trace")
        .args(arguments)
        .args(["--url", &web.url()])
        .env_remove("FIREHOSE_USERNAME")
        .env("FIREHOSE_PASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// One that runs, and has told that its trace has begun.
struct Running {
    child: Child,
    lines: Option<BufReader<ChildStdout>>,
}

impl Running {
    fn start(web: &Web, arguments: &[&str]) -> (Running, String) {
        let mut child = command(web, arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut running = Running {
            child,
            lines: Some(lines),
        };
        let first = running.line();
        (running, first)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    fn end(&mut self) -> Option<i32> {
        wait_for(&mut self.child).and_then(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_command_shows_a_client_until_its_time_is_over() {
    let web = Web::start(None);
    let (mut running, first) =
        Running::start(&web, &["client", "c", "--for", "4", "--payload", "5"]);
    assert!(first.contains("client c is not connected"), "{first}");
    let mut client = web.client(5, "c");
    client.subscribe("a/#");
    client.publish_once("b/x", b"hello, world");
    client.disconnect();
    let mut text = String::new();
    let lines = running.lines.as_mut().unwrap();
    lines.read_to_string(&mut text).unwrap();
    assert_eq!(running.end(), Some(0));
    for words in [
        "  in   CONNECT  MQTT 5, clean start, keep alive 60 s\n",
        "  out  CONNACK  0x00 Success",
        "  in   SUBSCRIBE 1  a/# QoS 1\n",
        "  out  SUBACK 1  [1]\n",
        "  in   PUBLISH  b/x  QoS 0, 12 bytes: hello...\n",
        "  in   DISCONNECT  0x00 Success\n",
        "  end  the client said goodbye\n",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn the_command_ends_well_when_it_is_told_to_or_nobody_reads() {
    let web = Web::start(None);
    let (mut running, first) = Running::start(&web, &["topic", "a/#", "--json"]);
    let begin: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(begin["filter"], "a/#");
    let mut client = web.client(4, "c");
    client.publish_once("a/x", b"hello");
    let event: Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!(
        (&event["event"], &event["client"]),
        (&"publish".into(), &"c".into())
    );
    let id = Pid::from_child(&running.child);
    rustix::process::kill_process(id, Signal::INT).unwrap();
    assert_eq!(running.end(), Some(0));
    let (mut running, _) = Running::start(&web, &["topic", "a/#"]);
    running.lines = None;
    let started = Instant::now();
    while running.child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < PATIENCE);
        client.publish_once("a/x", b"hello");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(running.end(), Some(0));
    // Nobody is left.
    web.until_traces(0, LEASE + PATIENCE);
}

#[test]
fn the_command_says_why_there_is_no_trace() {
    let web = Web::start(Some("topic read #\nuser bob\ntopic read open/#\n"));
    for (arguments, code, words) in [
        (&["client", "c", "--user", "bob"][..], 1, "answers 403"),
        (&["topic", "a/#/b"], 1, "# is the last one"),
        (&["topic", "$share/g/a"], 1, "without a share name"),
        (&["client", "c", "--payload", "4097"], 2, "4097"),
        (&["client"], 2, "ID"),
    ] {
        let done = run(&mut command(&web, arguments));
        assert_eq!(done.code, Some(code), "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}
