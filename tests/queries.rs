//! What a broker that runs answers about its clients, subscriptions and retained messages, over HTTP and from the command line. Each
//! answer is held against the description that the broker itself gives of it.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/schema.rs"]
mod schema;
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::Certificates;
use schema::conforms;
use serde_json::Value;
use support::client::Client;
use support::{Finished, Folder, PATIENCE, Program, Server, free_port, give, run};

const PASSWORD: &str = "right";
/// The reason code of an administrator (MQTT 5, 3.14.2.1).
const ADMINISTRATIVE_ACTION: u8 = 0x98;

fn firehose(arguments: &[&str]) -> Finished {
    run(Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(arguments)
        .env_remove("FIREHOSE_URL")
        .env_remove("FIREHOSE_USERNAME")
        .env("FIREHOSE_PASSWORD", PASSWORD))
}

/// A broker with a listener of HTTP, and users `ann` and `bob` with one password.
struct Web {
    server: Server,
    port: u16,
    _folder: Folder,
}

/// A part of an answer's path that stands for a name, percent-encoded.
fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl Web {
    fn start(lines: &[&str], acl: Option<&str>) -> Web {
        let folder = Folder::new("queries");
        let passwords = folder.write("passwords", "");
        for user in ["ann", "bob"] {
            let file = passwords.to_str().unwrap();
            let done = firehose(&["passwd", "-b", "-H", "sha512", file, user, PASSWORD]);
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
            config.extend(lines.iter().map(ToString::to_string));
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

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port))).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request, for a user if one is named.
    fn send(&self, method: &str, target: &str, user: Option<&str>) -> TcpStream {
        let mut stream = self.connect();
        let user = user.map_or(String::new(), |user| {
            let pair = STANDARD.encode(format!("{user}:{PASSWORD}"));
            format!("Authorization: Basic {pair}\r\n")
        });
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{user}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    fn ask(&self, method: &str, target: &str, user: Option<&str>) -> (u16, String) {
        let mut text = String::new();
        self.send(method, target, user)
            .read_to_string(&mut text)
            .unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.into())
    }

    fn json(&self, method: &str, target: &str, user: Option<&str>) -> Value {
        let (status, body) = self.ask(method, target, user);
        assert_eq!(status, 200, "{method} {target}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// What is there, which its description allows.
    fn get(&self, target: &str) -> Value {
        let value = self.json("GET", target, None);
        self.describes("get", target, &value);
        value
    }

    fn delete(&self, target: &str) -> Value {
        let value = self.json("DELETE", target, Some("ann"));
        self.describes("delete", target, &value);
        value
    }

    /// Holds an answer against the description of it.
    fn describes(&self, method: &str, target: &str, value: &Value) {
        let all = self.json("GET", "/api/v1/openapi.json", None);
        let path = target.split('?').next().unwrap();
        let path = match path.strip_prefix("/api/v1/clients/") {
            Some(_) => "/api/v1/clients/{client_id}",
            None => path,
        };
        let content = &all["paths"][path][method]["responses"]["200"]["content"];
        let schema = &content["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path} is not described");
        if let Err(fault) = conforms(&all, schema, value) {
            panic!("{method} {target}: {fault}\n{value}");
        }
    }

    /// All rows of a list, in pages of so many.
    fn all(&self, target: &str, limit: usize) -> Vec<Value> {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{target}limit={limit}{after}"));
            assert_eq!(page["missing_shards"].as_array().unwrap().len(), 0);
            rows.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return rows,
            }
        }
    }

    fn client(&self, id: &str) -> Client {
        Client::connect(self.server.address(), 5, id, true, None)
    }
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    let ids = rows.iter().map(|row| row["client_id"].as_str().unwrap());
    ids.map(String::from).collect()
}

/// Has a message retained.
fn retain(client: &mut Client, topic: &str, payload: &[u8]) {
    client.publish(topic, payload, true);
    assert_eq!(client.packet().expect("PUBACK")[0], 0x40);
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn clients_are_listed_found_and_described() {
    let web = Web::start(&[], None);
    let all: Vec<String> = (0..30).map(|number| format!("dev/{number:02}")).collect();
    let mut clients: Vec<Client> = all.iter().map(|id| web.client(id)).collect();
    let away = Client::connect(web.server.address(), 5, "away", false, None);
    away.disconnect();
    until("it is away", || {
        web.get("/api/v1/clients/away")["connected"] == false
    });
    let expected: BTreeSet<String> = all.iter().cloned().collect();
    for limit in [4, 1000] {
        for target in [
            "/api/v1/clients?connected=true&",
            "/api/v1/clients?prefix=dev&sort=name&",
        ] {
            let rows = web.all(target, limit);
            assert_eq!(
                (rows.len(), ids(&rows)),
                (30, expected.clone()),
                "{target}{limit}"
            );
        }
        assert_eq!(
            ids(&web.all("/api/v1/clients?connected=false&", limit)).len(),
            1
        );
    }
    for sort in ["lag", "bytes", "messages"] {
        let page = web.get(&format!("/api/v1/clients?sort={sort}&limit=5"));
        assert_eq!(page["items"].as_array().unwrap().len(), 5);
        assert_eq!(page["next"], Value::Null);
    }
    clients[7].subscribe("a/+/ä");
    let found = web.get(&format!("/api/v1/clients/{}", encoded("dev/07")));
    assert_eq!(found["subscription_list"][0]["filter"], "a/+/ä");
    assert_eq!(found["connection"]["keep_alive_seconds"], 60);
    assert_eq!(
        (&found["protocol"], &found["transport"]),
        (&"5".into(), &"mqtt".into())
    );
    assert_eq!(found["connection"]["anonymous"], true);
    assert!(found["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    for (target, status) in [
        ("/api/v1/clients/nobody", 404),
        ("/api/v1/clients/dev/07", 404),
        ("/api/v1/clients/", 404),
        ("/api/v1/clients?limit=0", 400),
        ("/api/v1/clients?colour=red", 400),
        ("/api/v1/clients?after=x", 400),
    ] {
        assert_eq!(web.ask("GET", target, None).0, status, "{target}");
    }
}

/// Who is said to get a topic is who gets it.
#[test]
fn who_gets_a_topic() {
    let acl = "topic readwrite open/#\ntopic write closed\ntopic read /api/#\nuser ann\ntopic readwrite #\ntopic read /api/#\n";
    let web = Web::start(&[], Some(acl));
    let mut clients: Vec<Client> = (0..4)
        .map(|number| web.client(&format!("c{number}")))
        .collect();
    clients[0].subscribe("open/door");
    clients[1].subscribe("#");
    clients[2].subscribe("$share/g/open/+");
    clients[3].subscribe("other");
    let rows = web.all("/api/v1/subscriptions?topic=open/door&", 1);
    assert_eq!(
        ids(&rows),
        BTreeSet::from(["c0".into(), "c1".into(), "c2".into()])
    );
    assert!(
        rows.iter()
            .all(|row| row["may_read"] == true && row["connected"] == true)
    );
    let closed = web.all("/api/v1/subscriptions?topic=closed&", 9);
    assert_eq!(
        (closed.len(), &closed[0]["may_read"]),
        (1, &Value::Bool(false))
    );
    let by_filter = web.all("/api/v1/subscriptions?filter=%24share/g/open/%2B&", 9);
    assert_eq!(ids(&by_filter), BTreeSet::from(["c2".into()]));
    let by_client = web.all("/api/v1/subscriptions?client=c2&", 9);
    assert_eq!(
        (&by_client[0]["share"], &by_client[0]["filter"]),
        (&"g".into(), &"open/+".into())
    );
    let mut publisher = web.client("p");
    publisher.publish_once("closed", b"no");
    publisher.publish_once("open/door", b"yes");
    for client in &mut clients[..3] {
        let publish = client.packet().unwrap();
        assert!(publish.ends_with(b"yes"), "{publish:?}");
    }
}

/// MQTT 5 is told why; the session stays unless it is to end too; and nobody does it without a user.
#[test]
fn a_client_is_disconnected_by_a_user() {
    let web = Web::start(&[], None);
    let mut client = Client::connect(web.server.address(), 5, "c", false, None);
    client.subscribe("a");
    assert_eq!(web.ask("DELETE", "/api/v1/clients/c", None).0, 401);
    let began = Instant::now();
    let done = web.delete("/api/v1/clients/c");
    assert_eq!(
        (&done["was_connected"], &done["session_ended"]),
        (&true.into(), &false.into())
    );
    let goodbye = client.packet().unwrap();
    assert_eq!((goodbye[0], goodbye[2]), (0xe0, ADMINISTRATIVE_ACTION));
    assert!(client.packet().is_none());
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(web.get("/api/v1/clients/c")["connected"], false);
    let done = web.delete("/api/v1/clients/c?end_session=true");
    assert_eq!(
        (&done["was_connected"], &done["session_ended"]),
        (&false.into(), &true.into())
    );
    assert_eq!(web.ask("GET", "/api/v1/clients/c", None).0, 404);
    assert_eq!(web.ask("DELETE", "/api/v1/clients/c", Some("ann")).0, 404);

    let mut old = Client::connect(web.server.address(), 4, "old", true, None);
    web.delete("/api/v1/clients/old");
    assert!(old.packet().is_none(), "3.1.1 has no word for it");
    assert_eq!(web.ask("POST", "/api/v1/clients/old", Some("ann")).0, 405);
}

#[test]
fn retained_messages_are_for_those_who_may() {
    let acl = "topic readwrite open/#\ntopic write closed/#\ntopic read /api/#\nuser ann\ntopic readwrite #\ntopic read /api/#\nuser bob\ntopic read #\ntopic read /api/#\n";
    let web = Web::start(&[], Some(acl));
    let mut publisher = web.client("p");
    for number in 0..20 {
        retain(&mut publisher, &format!("open/{number}"), b"text");
    }
    retain(&mut publisher, "closed/1", b"\xff\x00");
    until("all are stored", || {
        web.all("/api/v1/retained?", 1000).len() == 21
    });
    for limit in [3, 1000] {
        assert_eq!(
            web.all("/api/v1/retained?filter=open/%2B&", limit).len(),
            20
        );
    }
    let one = web.get("/api/v1/retained?topic=open/3");
    assert_eq!(
        (&one["payload"], &one["payload_base64"]),
        (&"text".into(), &Value::Null)
    );
    let closed = "/api/v1/retained?topic=closed/1";
    assert_eq!(web.ask("GET", closed, None).0, 403);
    let one = web.json("GET", closed, Some("bob"));
    assert_eq!(
        (&one["payload"], &one["payload_base64"]),
        (&Value::Null, &"/wA=".into())
    );
    for (user, status) in [(None, 401), (Some("bob"), 403)] {
        assert_eq!(web.ask("DELETE", closed, user).0, status, "{user:?}");
    }
    assert_eq!(web.delete(closed)["removed"], true);
    assert_eq!(web.ask("DELETE", closed, Some("ann")).0, 404);
    let sys = "/api/v1/retained?topic=$SYS/broker/version";
    assert_eq!(web.ask("DELETE", sys, Some("ann")).0, 403);
    assert_eq!(web.all("/api/v1/retained?", 1000).len(), 20);
}

/// What is taken away or ended is so behind a restart.
#[test]
fn what_is_done_is_kept() {
    let folder = Folder::new("queries-store");
    let place = format!("persistence_location {}/", folder.0.display());
    let mut web = Web::start(&["persistence true", &place], None);
    let mut publisher = web.client("p");
    for topic in ["stays", "goes"] {
        retain(&mut publisher, topic, b"x");
    }
    for id in ["stays", "goes"] {
        let mut client = Client::connect(web.server.address(), 5, id, false, None);
        client.subscribe("a");
        client.disconnect();
    }
    until("both are stored", || {
        web.all("/api/v1/retained?", 9).len() == 2
    });
    until("both are away", || {
        web.all("/api/v1/clients?connected=false&", 9).len() == 2
    });
    web.delete("/api/v1/retained?topic=goes");
    web.delete("/api/v1/clients/goes?end_session=true");
    assert_eq!(web.get("/api/v1/store")["state"], "open");
    web.server.terminate();
    web.server.wait();
    assert!(web.server.start_again(&Program::Firehose { shards: 3 }));
    let topics = web.all("/api/v1/retained?", 9);
    assert_eq!((topics.len(), &topics[0]["topic"]), (1, &"stays".into()));
    assert_eq!(
        ids(&web.all("/api/v1/clients?", 9)),
        BTreeSet::from(["stays".into()])
    );
}

#[test]
fn figures_are_described() {
    let web = Web::start(&[], None);
    let shards = web.get("/api/v1/shards");
    assert_eq!(shards["shards"].as_array().unwrap().len(), 2);
    assert!(shards["shards"][1]["figures"]["turns"].is_u64());
    let memory = web.get("/api/v1/memory");
    assert_eq!(memory["rung"], "calm");
    assert!(
        memory["accounts"]["connections"]["limit"].is_u64(),
        "{memory}"
    );
    assert_eq!(web.get("/api/v1/store")["state"], Value::Null);
}

/// Once a second, for as many as may look at a time; who does not read holds up nobody.
#[test]
fn figures_come_live() {
    let web = Web::start(&[], None);
    let stream = web.send("GET", "/api/v1/live", None);
    let mut lines = BufReader::new(stream).lines();
    let mut next = |prefix: &str| loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(rest) = line.strip_prefix(prefix) {
            return rest.to_string();
        }
    };
    assert_eq!(next("content-type: "), "text/event-stream");
    let all = web.json("GET", "/api/v1/openapi.json", None);
    let content = &all["paths"]["/api/v1/live"]["get"]["responses"]["200"]["content"];
    let schema = &content["text/event-stream"]["schema"];
    let began = Instant::now();
    let mut client = web.client("c");
    client.ping();
    let mut connected = 0;
    while connected == 0 {
        let event: Value = serde_json::from_str(&next("data: ")).unwrap();
        if let Err(fault) = conforms(&all, schema, &event) {
            panic!("{fault}: {event}");
        }
        connected = event["figures"]["clients_connected"].as_u64().unwrap();
        assert!(began.elapsed() < PATIENCE);
    }
    assert!(
        began.elapsed() > Duration::from_millis(500),
        "it is once a second"
    );
    // Those behind take nothing.
    let deaf: Vec<TcpStream> = (0..11)
        .map(|_| web.send("GET", "/api/v1/live", None))
        .collect();
    until("no more may look", || {
        let mut stream = web.send("GET", "/api/v1/live", None);
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        &head == b"HTTP/1.1 503"
    });
    assert_eq!(web.get("/api/v1/clients/c")["connected"], true);
    drop(deaf);
    until("others may look again", || {
        let mut stream = web.send("GET", "/api/v1/live", None);
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        &head == b"HTTP/1.1 200"
    });
}

#[test]
fn the_command_line_says_what_to_do() {
    let web = Web::start(
        &[],
        Some("topic read /healthz\nuser ann\ntopic read /api/v1/#\n"),
    );
    let port = web.port;
    let plain = format!("http://127.0.0.1:{port}");
    let mqtt = format!("http://{}", web.server.address());
    let tls = format!("https://127.0.0.1:{port}");
    let ann = ["--username", "ann"];
    let says = |arguments: &[&str], code: i32, part: &str| {
        let done = firehose(arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}: {}", done.stdout);
        assert!(done.stderr.contains(part), "{arguments:?}: {}", done.stderr);
        assert!(
            code == 2 || done.stderr.lines().count() == 1,
            "{}",
            done.stderr
        );
    };
    says(
        &["clients", "--url", &plain],
        1,
        "--username NAME with --password-file FILE",
    );
    says(
        &["clients", "--url", &plain, "--username", "eve"],
        1,
        "`eve` is not known there, or its password",
    );
    let kick = ["kick", "x", "--url", &plain];
    says(
        &[&kick[..], &ann].concat(),
        1,
        "topic write /api/v1/clients/x (asked as `ann`)",
    );
    says(&["clients", "--url", &mqtt], 1, "`protocol http_api`");
    says(&["clients", "--url", &tls, "--insecure"], 1, "http://");
    says(
        &["clients", "--url", "http://127.0.0.1:1"],
        1,
        "`listener 1 127.0.0.1` and below it `protocol http_api`",
    );
    let other = format!("{plain}/elsewhere");
    says(
        &[&["clients", "--url", &other], &ann[..]].concat(),
        1,
        "ann",
    );
    // What is typed wrongly is a usage error, as everywhere.
    for url in ["127.0.0.1", "ftp://h", "http://ann:right@h", "http://h:0"] {
        says(&["clients", "--url", url], 2, "--url");
        says(&["health", url], 2, "[URL]");
    }
    says(&["top", "--mqtt", "http://h"], 2, "--mqtt");
    says(
        &["clients", "--url", &plain, "--insecure"],
        2,
        "--insecure is about TLS",
    );
    says(
        &["clients", "--url", &tls, "--cafile", "/nonexistent"],
        2,
        "/nonexistent: ",
    );
    says(
        &[
            "clients",
            "--url",
            &plain,
            "--password-file",
            "/nonexistent",
        ],
        2,
        "/nonexistent",
    );
    let environment = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .arg("health")
        .env("FIREHOSE_URL", &plain)
        .output();
    assert_eq!(environment.unwrap().stdout, b"ready\n");
}

#[test]
fn the_command_line_speaks_tls() {
    let files = Certificates::new();
    for name in ["server.crt", "server.key", "ca.crt"] {
        give(&files.path(name));
    }
    let (certfile, keyfile) = (files.file("server.crt"), files.file("server.key"));
    let own = free_port();
    let lines = [
        format!("certfile {certfile}"),
        format!("keyfile {keyfile}"),
        format!("listener {own} 127.0.0.1"),
        "protocol http_api".into(),
        format!("certfile {certfile}"),
        format!("keyfile {keyfile}"),
        format!("cafile {}", files.file("ca.crt")),
        "require_certificate true".into(),
        "use_identity_as_username true".into(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let web = Web::start(&lines, None);
    let url = format!("https://localhost:{}", web.port);
    let asks = |arguments: &[&str]| firehose(&[&["clients", "--url"], arguments].concat());
    let cafile = files.file("ca.crt");
    let known = asks(&[&url, "--cafile", &cafile]);
    assert_eq!(known.code, Some(0), "{}", known.stderr);
    assert_eq!(asks(&[&url, "--insecure"]).code, Some(0));
    let health = firehose(&["health", "--url", &url, "--cafile", &cafile]);
    assert_eq!(health.stdout, "ready\n", "{}", health.stderr);
    let top = firehose(&["top", "--once", "--url", &url, "--cafile", &cafile]);
    assert!(top.stdout.contains("MEMORY calm"), "{}", top.stderr);
    let unknown = asks(&[&url]);
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.stderr.contains("--cafile FILE"),
        "{}",
        unknown.stderr
    );
    let plain = asks(&[&web.url()]);
    assert!(plain.stderr.contains("https://"), "{}", plain.stderr);
    // Whoever shows a certificate is a user.
    let url = format!("https://localhost:{own}");
    let nobody = asks(&[&url, "--cafile", &cafile]);
    assert!(nobody.stderr.contains("--cert FILE"), "{}", nobody.stderr);
    let (cert, key) = (files.file("good.crt"), files.file("good.key"));
    let shown = ["--cafile", &cafile, "--cert", &cert, "--key", &key];
    let somebody = asks(&[&[&url[..]], &shown[..]].concat());
    assert_eq!(somebody.code, Some(0), "{}", somebody.stderr);
    let kicked = firehose(&[&["kick", "x", "--url", &url], &shown[..]].concat());
    assert!(
        kicked.stderr.contains("no such client"),
        "{}",
        kicked.stderr
    );
}

#[test]
fn the_command_line_asks_too() {
    let web = Web::start(&[], None);
    let url = web.url();
    let mut client = Client::connect(web.server.address(), 5, "a client", false, None);
    client.subscribe("a/+");
    retain(&mut client, "kept", b"hello");
    let asks = |arguments: &[&str]| {
        let mut all = vec![arguments[0], "--url", &url];
        all.extend(&arguments[1..]);
        let done = firehose(&all);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
        done.stdout
    };
    let table = asks(&["clients"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("CLIENT ") && lines.len() == 2,
        "{table}"
    );
    assert!(
        lines[1].starts_with("a client  -") && lines[1].contains("127.0.0.1:"),
        "{table}"
    );
    let one: Value = serde_json::from_str(&asks(&["clients", "--json", "--sort", "lag"])).unwrap();
    assert_eq!(one["client_id"], "a client");
    let details = asks(&["clients", "a client"]);
    assert!(
        details.contains("subscription_list.0.filter") && details.contains("a/+"),
        "{details}"
    );
    let who = asks(&["who", "a/b"]);
    assert!(
        who.lines().nth(1).unwrap().starts_with("a client  yes"),
        "{who}"
    );
    assert_eq!(asks(&["who", "b"]).lines().count(), 1);
    assert_eq!(asks(&["who", "--filter", "a/+"]).lines().count(), 2);
    let kept = asks(&["retained"]);
    assert!(kept.lines().nth(1).unwrap().starts_with("kept "), "{kept}");
    assert!(asks(&["retained", "--show", "kept"]).contains("hello"));

    let fails = |arguments: &[&str], part: &str| {
        let mut all = vec![arguments[0], "--url", &url];
        all.extend(&arguments[1..]);
        let done = firehose(&all);
        assert_eq!(done.code, Some(1), "{arguments:?}: {}", done.stdout);
        assert!(
            done.stderr.contains(part) && done.stderr.lines().count() == 1,
            "{}",
            done.stderr
        );
    };
    fails(&["kick", "a client"], "--user");
    fails(&["kick", "nobody", "--user", "ann"], "no such client");
    let done = asks(&["kick", "a client", "--user", "ann"]);
    assert_eq!(done, "a client: disconnected; its session is kept.\n");
    assert_eq!(client.packet().unwrap()[2], ADMINISTRATIVE_ACTION);
    let done = asks(&["kick", "a client", "--user", "ann"]);
    let wanted = "a client: was not connected; its session is kept, and nothing was done.\n";
    assert_eq!(done, wanted);
    web.server
        .says("it was not connected, and nothing was done");
    let done = asks(&["kick", "a client", "--user", "ann", "--end-session"]);
    assert_eq!(
        done,
        "a client: was not connected; its session has ended.\n"
    );
    fails(&["clients", "a client"], "no such client");
    assert_eq!(
        asks(&["retained", "--delete", "kept", "--user", "ann"]),
        "kept: deleted.\n"
    );
    fails(&["retained", "--show", "kept"], "no retained message");
    let nobody = firehose(&["clients", "--url", "http://127.0.0.1:1"]);
    assert_eq!(nobody.code, Some(1));
    assert_eq!(firehose(&["who"]).code, Some(2));
}

/// Somebody else may listen there, and answer anything.
#[test]
fn an_answer_that_is_no_list_is_said_to_be_none() {
    let liar = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", liar.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in liar.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{head}[1,2,3]").as_bytes());
        }
    });
    for asked in [&["clients"][..], &["who", "a"], &["retained"]] {
        let done = firehose(&[asked, &["--url", &url]].concat());
        assert_eq!(done.code, Some(1), "{asked:?}: {}", done.stderr);
        assert!(done.stderr.contains("no list"), "{}", done.stderr);
    }
}

/// Those with most messages first, from both shards, and only for who may read them.
#[test]
fn the_busiest_topics_are_for_those_who_may() {
    let acl = "topic readwrite open/#\ntopic write closed/#\ntopic read /api/#\nuser bob\ntopic read #\ntopic read /api/#\n";
    let web = Web::start(&[], Some(acl));
    for number in 0..4 {
        let mut client = web.client(&format!("p{number}"));
        client.publish_burst("open/much", b"0123456789", 100);
        client.publish_burst("closed/1", b"x", 50);
        client.publish_burst("open/little", b"x", 10);
        client.ping();
    }
    let topics = |page: &Value| -> Vec<String> {
        let all = page["items"].as_array().unwrap();
        let names = all.iter().map(|one| one["topic"].as_str().unwrap().into());
        names.collect()
    };
    let page = web.get("/api/v1/topics");
    assert_eq!(topics(&page), ["open/much", "open/little"]);
    let first = &page["items"][0];
    let of = |name: &str| first[name].as_f64().unwrap();
    let rate = of("messages_per_second");
    assert!(rate > 0.0 && of("at_least") <= rate && rate <= of("at_most"));
    assert!((of("payload_bytes_per_second") / rate - 10.0).abs() < 0.01);
    let all = page["messages_per_second"].as_f64().unwrap();
    assert!(rate < all && page["missing_shards"].as_array().unwrap().is_empty());
    let page = web.json("GET", "/api/v1/topics?limit=2", Some("bob"));
    assert_eq!(topics(&page), ["open/much", "closed/1"]);
    assert_eq!(web.ask("GET", "/api/v1/topics?limit=0", None).0, 400);
    assert_eq!(web.ask("GET", "/api/v1/topics?topic=a", None).0, 400);
}
