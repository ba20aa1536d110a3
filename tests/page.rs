//! The page that a browser shows, and what it alone asks for: the last hour, connections by version and transport, and how long
//! certificates are valid. How it looks and works in a browser is `page.py`'s.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/schema.rs"]
mod schema;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use certificates::Certificates;
use schema::conforms;
use serde_json::Value;
use support::client::Client;
use support::{Folder, PATIENCE, Program, Server, free_port, give};

struct Web {
    server: Server,
    port: u16,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Web {
    fn start(http: &[&str], others: &[String]) -> Web {
        for _ in 0..3 {
            let port = free_port();
            let listener = [
                format!("listener {port} 127.0.0.1"),
                "protocol http_api".into(),
            ];
            let http = http.iter().map(ToString::to_string);
            let config: Vec<String> = listener
                .into_iter()
                .chain(http)
                .chain(others.iter().cloned())
                .collect();
            let server = Server::start(&Program::Firehose { shards: 2 }, &config);
            if server.is_ready() {
                return Web { server, port };
            }
        }
        panic!("it does not start");
    }

    fn get(&self, path: &str, more: &str) -> Answer {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.into(),
            body: body.into(),
        }
    }

    /// JSON that its description allows.
    fn json(&self, target: &str) -> Value {
        let answer = self.get(target, "");
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        let value = serde_json::from_str(&answer.body).unwrap();
        let all = self.get("/api/v1/openapi.json", "").body;
        let all: Value = serde_json::from_str(&all).unwrap();
        let path = target.split('?').next().unwrap();
        let content = &all["paths"][path]["get"]["responses"]["200"]["content"];
        let schema = &content["application/json"]["schema"];
        assert!(schema.is_object(), "{path} is not described");
        if let Err(fault) = conforms(&all, schema, &value) {
            panic!("{target}: {fault}\n{value}");
        }
        value
    }

    /// JSON that Mosquitto describes.
    fn json_of_mosquitto(&self, target: &str) -> Value {
        serde_json::from_str(&self.get(target, "").body).unwrap()
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let mut lines = answer.head.lines();
    let found = lines.find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    });
    found.unwrap_or_default()
}

#[test]
fn the_page_is_in_the_program() {
    let web = Web::start(&[], &[]);
    let page = web.get("/", "");
    assert_eq!(page.status, 200);
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&page, "cache-control"), "no-cache");
    let policy = header(&page, "content-security-policy");
    assert!(
        policy.starts_with("default-src 'self'; connect-src 'self' ws: wss:;"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    // What it names is there, and nothing of elsewhere is named.
    let mut names = Vec::new();
    for start in ["href=\"", "src=\""] {
        let parts = page.body.split(start).skip(1);
        names.extend(parts.map(|part| part.split('"').next().unwrap().to_owned()));
    }
    assert!(names.len() >= 3, "{names:?}");
    for name in names.iter().filter(|name| !name.starts_with('#')) {
        let name = name.trim_start_matches('/');
        assert_eq!(web.get(&format!("/{name}"), "").status, 200, "{name}");
    }
    let tag = header(&page, "etag");
    let again = web.get("/index.html", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((again.status, &*again.body), (304, ""));
    assert_eq!(header(&again, "etag"), tag);
    assert_eq!(web.get("/none.html", "").status, 404);
}

#[test]
fn a_directory_takes_its_place() {
    let folder = Folder::new("own-pages");
    folder.write("index.html", "<p>own");
    let line = format!("http_dir {}", folder.0.display());
    let web = Web::start(&[&line], &[]);
    assert_eq!(web.get("/", "").body, "<p>own");
    assert_eq!(web.get("/app.js", "").status, 404);
    assert_eq!(web.get("/api/v1/history", "").status, 200);
}

/// All that is published is in the points, once each.
#[test]
fn the_last_hour_is_told() {
    let web = Web::start(&[], &[]);
    let to = web.server.address();
    let mut reader = Client::connect(to, 5, "reader", true, None);
    reader.subscribe("a/#");
    let mut writer = Client::connect(to, 4, "writer", true, None);
    let sum = |columns: &Value, name: &str| -> u64 {
        let values = columns[name].as_array().unwrap().iter();
        values.map(|value| value.as_u64().unwrap()).sum()
    };
    let began = Instant::now();
    while web.json("/api/v1/history")["newest"].as_u64().unwrap() < 2 {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = web.json("/api/v1/history");
    for _ in 0..50 {
        writer.publish_once("a/b", b"hello");
    }
    writer.ping();
    let newest = before["newest"].as_u64().unwrap();
    let told = loop {
        let told = web.json(&format!("/api/v1/history?after={newest}"));
        let columns = &told["seconds"]["columns"];
        let is_done = sum(columns, "publish_received") == 50 && sum(columns, "publish_sent") == 50;
        if is_done && told["newest"].as_u64() > Some(newest + 1) {
            break told;
        }
        assert!(began.elapsed() < PATIENCE, "{told}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let seconds = &told["seconds"];
    let last = |name: &str| {
        seconds["columns"][name]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone()
    };
    assert_eq!(last("clients_connected"), 2);
    assert!(last("end").as_u64() > Some(newest));
    let sends: u64 = seconds["delivery"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|counts| counts.as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert!(sends > 0, "{told}");
    assert_eq!(seconds["shards"].as_array().unwrap().len(), 2);
    let refused = web.get("/api/v1/history?after=x", "");
    assert_eq!(
        (refused.status, &*refused.body),
        (400, "`after` has to be a number of seconds.\n")
    );
}

#[test]
fn connections_are_told_by_version_and_transport() {
    let port = free_port();
    let files = Certificates::new();
    for name in ["server.crt", "server.key"] {
        give(&files.path(name));
    }
    let others = [
        format!("listener {port} 127.0.0.1"),
        format!("certfile {}", files.file("server.crt")),
        format!("keyfile {}", files.file("server.key")),
    ];
    let web = Web::start(&[], &others);
    let to = web.server.address();
    let clients = [
        Client::connect(to, 5, "a", true, None),
        Client::connect(to, 5, "b", true, None),
        Client::connect(to, 4, "c", true, None),
        Client::connect(to, 3, "d", true, None),
    ];
    let _waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let until = |wanted: Value| {
        let began = Instant::now();
        loop {
            let told = web.json("/api/v1/connections");
            if told == wanted {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{told}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let told = |v31, v311, v5, plain| {
        serde_json::json!({
            "versions": {"3.1": v31, "3.1.1": v311, "5": v5},
            "transports": {"mqtt": plain, "mqtts": 1, "ws": 0, "wss": 0},
        })
    };
    until(told(1, 1, 2, 4));
    clients.into_iter().for_each(Client::disconnect);
    until(told(0, 0, 0, 0));
    let all = web.json("/api/v1/certificates");
    let one = &all["certificates"][0];
    let listeners = web.json_of_mosquitto("/api/v1/listeners");
    let place = one["listener"].as_u64().unwrap() as usize;
    assert_eq!(listeners["listeners"][place]["port"], port);
    assert!(one["expires_in_seconds"].as_i64() > Some(0), "{all}");
}
