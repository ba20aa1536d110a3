//! `protocol http_api` with the real broker: its endpoints, whom they answer, and clients that behave badly.

mod support;

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/stream.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod stream;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use certificates::Certificates;
use stream::{Kind, Stream};
use support::client::Client;
use support::{Folder, PATIENCE, Program, Server, free_port, give};

/// A broker with a listener of HTTP.
struct Web {
    server: Server,
    port: u16,
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Reads one answer, whose length is said.
fn read_answer(stream: &mut impl Read) -> Option<Answer> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer {
        status,
        head,
        body: Vec::new(),
    };
    let length = answer.header("content-length").unwrap_or("0").parse();
    answer.body = vec![0; length.unwrap()];
    stream.read_exact(&mut answer.body).ok()?;
    Some(answer)
}

fn request(method: &str, path: &str, more: &[&str]) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !more.iter().any(|line| line.starts_with("Host:")) {
        text += "Host: localhost\r\n";
    }
    more.iter().for_each(|line| text += &format!("{line}\r\n"));
    text + "\r\n"
}

impl Web {
    fn start(lines: &[&str]) -> Web {
        Web::start_at("127.0.0.1", lines)
    }

    fn start_at(address: &str, lines: &[&str]) -> Web {
        for _ in 0..3 {
            let port = free_port();
            let listener = format!("listener {port} {address}");
            let mut all = vec![&*listener, "protocol http_api"];
            all.extend(lines);
            let config: Vec<String> = all.iter().map(ToString::to_string).collect();
            let server = Server::start(&Program::Firehose { shards: 2 }, &config);
            if server.is_ready() {
                return Web { server, port };
            }
        }
        panic!("it does not start");
    }

    fn connect(&self) -> TcpStream {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, more: &[&str]) -> Answer {
        let mut stream = self.connect();
        let more = [more, &["Connection: close"]].concat();
        let text = request(method, path, &more);
        stream.write_all(text.as_bytes()).unwrap();
        match method {
            "HEAD" => {
                let mut head = String::new();
                stream.read_to_string(&mut head).unwrap();
                assert!(head.ends_with("\r\n\r\n"), "{head}");
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let body = Vec::new();
                Answer { status, head, body }
            }
            _ => read_answer(&mut stream).unwrap(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }
}

/// Whether the other side ends the connection within a time, whatever it says before.
fn ends_within(stream: &mut TcpStream, time: Duration) -> bool {
    let until = Instant::now() + time;
    let mut bytes = [0; 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn every_endpoint_answers() {
    let web = Web::start(&[]);
    web.server.says(&format!("http 127.0.0.1:{}", web.port));
    let mut client = Client::connect(web.server.address(), 4, "one", true, None);
    client.ping();
    for (path, kind, words) in [
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
        ("/readyz", "text/plain; charset=utf-8", "ready\n"),
        (
            "/api/v1/version",
            "text/plain; charset=utf-8",
            env!("CARGO_PKG_VERSION"),
        ),
        (
            "/api/v1/systree",
            "application/json",
            "{\n\t\"$SYS/broker/clients/total\":\t1,",
        ),
        (
            "/api/v1/listeners",
            "application/json",
            "\"protocol\":\t\"httpapi\"",
        ),
        (
            "/metrics",
            "text/plain; version=0.0.4; charset=utf-8",
            "\nfirehose_clients_connected{shard=\"",
        ),
        (
            "/metrics/mosquitto",
            "text/plain; version=0.0.4; charset=utf-8",
            "\nbroker_clients_connected 1\n",
        ),
    ] {
        let answer = web.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
        let head = web.ask("HEAD", path, &[]);
        assert_eq!(head.status, 200, "{path}");
    }
    let accept = "Accept: application/openmetrics-text; version=1.0.0";
    let answer = web.ask("GET", "/metrics", &[accept]);
    assert!(answer.text().ends_with("# EOF\n"));
    // Mosquitto's answers to what there is not.
    assert_eq!(web.ask("POST", "/api/badrequest", &[]).status, 405);
    let missing = web.get("/api/missing");
    assert_eq!((missing.status, &*missing.text()), (404, "Not found.\n"));
    assert_eq!(web.ask("DELETE", "/metrics", &[]).status, 405);
    // Several on one connection.
    let mut stream = web.connect();
    for _ in 0..3 {
        let text = request("GET", "/metrics", &[]);
        stream.write_all(text.as_bytes()).unwrap();
        let answer = read_answer(&mut stream).unwrap();
        assert!(
            answer
                .text()
                .contains("firehose_turn_seconds_bucket{shard=\"1\",le=\"+Inf\"}")
        );
    }
}

#[test]
fn passwords_and_rights_decide() {
    let users = Folder::new("users");
    let file = users.0.join("users");
    for (create, user) in [("-cb", "ann"), ("-b", "bob")] {
        let output = Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args([
                "passwd",
                create,
                &file.display().to_string(),
                user,
                "secret",
            ])
            .output();
        assert!(output.unwrap().status.success());
    }
    give(&file);
    let acl = users.write(
        "acl",
        "user ann\ntopic read /#\nuser bob\ntopic read /api/v1/version\n",
    );
    let file = format!("password_file {}", file.display());
    let acl = format!("acl_file {}", acl.display());
    let closed = ["listener_allow_anonymous false", &file, &acl];
    // Everybody who reaches this host may ask: it has passwords.
    let web = Web::start_at("0.0.0.0", &closed);
    let (ann, wrong, bob) = (
        "Authorization: Basic YW5uOnNlY3JldA==",
        "Authorization: Basic YW5uOndyb25n",
        "Authorization: Basic Ym9iOnNlY3JldA==",
    );
    let status = |path, who: &[&str]| web.ask("GET", path, who).status;
    assert_eq!(status("/healthz", &[]), 200);
    assert_eq!(status("/readyz", &[]), 200);
    let refused = web.get("/metrics");
    assert_eq!(
        (refused.status, &*refused.text()),
        (401, "Not authorised\n")
    );
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Basic realm="), "{challenge}");
    assert_eq!(status("/metrics", &[wrong]), 401);
    assert_eq!(status("/metrics", &[ann]), 200);
    let refused = web.ask("GET", "/metrics", &[bob]);
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").is_none());
    assert!(
        refused.text().contains("topic read /metrics"),
        "{}",
        refused.text()
    );
    assert_eq!(status("/api/v1/version", &[bob]), 200);
    // A thread of its own writes the log.
    let line = "HTTP client ann [127.0.0.1] refused: not authorised.";
    let started = Instant::now();
    while !web.server.log().contains(line) && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = web.server.log();
    assert!(log.contains(line), "{log}");
    assert!(!log.contains("HTTP client bob"), "{log}");
}

#[test]
fn a_foreign_host_is_refused() {
    let web = Web::start(&["http_host broker.example"]);
    for (host, status) in [
        ("localhost:9883", 200),
        ("127.0.0.1", 200),
        ("broker.example", 200),
        ("evil.example", 403),
        ("", 403),
    ] {
        let line = format!("Host: {host}");
        assert_eq!(
            web.ask("GET", "/healthz", &[&line]).status,
            status,
            "{host}"
        );
    }
    let target = "http://evil.example/healthz";
    assert_eq!(web.ask("GET", target, &["Host: localhost"]).status, 403);
}

#[test]
fn files_are_served_from_their_directory() {
    let folder = Folder::new("pages");
    folder.write("index.html", "<p>hello");
    let big = "0123456789abcdef".repeat(40_000);
    folder.write("big.js", &big);
    let line = format!("http_dir {}", folder.0.display());
    let web = Web::start(&[&line]);
    let page = web.get("/");
    assert_eq!((page.status, &*page.text()), (200, "<p>hello"));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(web.get("/big.js").text() == big);
    assert_eq!(web.ask("HEAD", "/big.js", &[]).status, 200);
    for path in ["/none", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"] {
        assert_eq!(web.get(path).status, 404, "{path}");
    }
}

#[test]
fn tls_is_spoken_where_there_is_a_certificate() {
    let files = Certificates::new();
    for name in ["server.crt", "server.key", "ca.crt"] {
        give(&files.path(name));
    }
    let certfile = format!("certfile {}", files.file("server.crt"));
    let keyfile = format!("keyfile {}", files.file("server.key"));
    let web = Web::start(&[&certfile, &keyfile]);
    let to = SocketAddr::from(([127, 0, 0, 1], web.port));
    let mut stream = Stream::connect(Kind::Tls, to, None).unwrap();
    for path in ["/healthz", "/metrics"] {
        stream.send(request("GET", path, &[]).as_bytes());
        stream.set_read_timeout(PATIENCE);
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    // Who speaks no TLS is told by the end.
    let mut plain = web.connect();
    plain
        .write_all(request("GET", "/", &[]).as_bytes())
        .unwrap();
    assert!(ends_within(&mut plain, PATIENCE));
}

#[test]
fn a_head_has_its_bounds() {
    let web = Web::start(&[]);
    // One that is too large.
    let mut stream = web.connect();
    let huge = format!("X: {}", "y".repeat(20_000));
    // It may be refused before all of it is out.
    let _ = stream.write_all(request("GET", "/healthz", &[&huge]).as_bytes());
    let answer = read_answer(&mut stream);
    assert!(answer.is_none_or(|answer| answer.status == 431));
    // One that is none.
    let mut stream = web.connect();
    stream
        .write_all(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00")
        .unwrap();
    assert!(ends_within(&mut stream, PATIENCE));
    // Half of one, with a byte every now and then.
    let started = Instant::now();
    let mut stream = web.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ").unwrap();
    let mut is_over = false;
    while !is_over && started.elapsed() < PATIENCE {
        let _ = stream.write_all(b"y");
        is_over = ends_within(&mut stream, Duration::from_millis(500));
    }
    let took = started.elapsed();
    assert!(is_over && took > Duration::from_secs(9), "{took:?}");
    assert_eq!(web.get("/healthz").status, 200);
}

/// Who has a connection since before a reload goes by what holds now, as everybody does.
#[test]
fn a_reload_reaches_connections_that_are_open() {
    let web = Web::start(&[]);
    let mut stream = web.connect();
    let mut status = || {
        stream
            .write_all(request("GET", "/metrics", &[]).as_bytes())
            .unwrap();
        read_answer(&mut stream).unwrap().status
    };
    assert_eq!(status(), 200);
    let text = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\nlistener {} 127.0.0.1\nprotocol http_api\nlistener_allow_anonymous false\n",
        web.server.port, web.port
    );
    let log = web.server.reload_with(&text);
    assert_eq!(status(), 403, "{log}");
}

/// One that has the only place keeps it while nobody else comes.
#[test]
fn the_only_place_is_a_place() {
    let web = Web::start(&["max_connections 1"]);
    for _ in 0..3 {
        let mut stream = web.connect();
        std::thread::sleep(Duration::from_millis(600));
        stream
            .write_all(request("GET", "/healthz", &[]).as_bytes())
            .unwrap();
        assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    }
}

/// Those that say nothing give way to those that ask.
#[test]
fn silent_connections_give_way() {
    let web = Web::start(&[]);
    let silent: Vec<TcpStream> = (0..16).map(|_| web.connect()).collect();
    let started = Instant::now();
    for _ in 0..4 {
        assert_eq!(web.get("/healthz").status, 200);
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    drop(silent);
}

/// There is no room for more than 16; those that say nothing end, and those that are idle give way.
#[test]
fn many_connections_do_not_keep_others_out() {
    let web = Web::start(&[]);
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..16 {
        let mut stream = web.connect();
        stream
            .write_all(request("GET", "/healthz", &[]).as_bytes())
            .unwrap();
        assert_eq!(read_answer(&mut stream).unwrap().status, 200);
        idle.push(stream);
    }
    let started = Instant::now();
    for _ in 0..4 {
        assert_eq!(web.get("/readyz").status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(8));
    drop(idle);
    let silent: Vec<TcpStream> = (0..40).map(|_| web.connect()).collect();
    let mut client = Client::connect(web.server.address(), 4, "one", true, None);
    client.ping();
    drop(silent);
    assert_eq!(web.get("/healthz").status, 200);
}

#[test]
fn a_reload_opens_changes_and_closes_listeners() {
    let web = Web::start(&[]);
    let (mqtt, first, second) = (web.server.port, web.port, free_port());
    let text = |ports: &[(u16, &str)]| {
        let http = ports
            .iter()
            .map(|(port, more)| format!("listener {port} 127.0.0.1\nprotocol http_api\n{more}\n"));
        let all: String = http.collect();
        format!("allow_anonymous true\nlistener {mqtt} 127.0.0.1\n{all}")
    };
    let log = web
        .server
        .reload_with(&text(&[(first, "http_host a.example"), (second, "")]));
    assert!(
        log.contains(&format!("Listener 127.0.0.1:{second} is opened.")),
        "{log}"
    );
    assert!(
        log.contains(&format!("Listener 127.0.0.1:{first} has other settings.")),
        "{log}"
    );
    assert_eq!(web.ask("GET", "/healthz", &["Host: a.example"]).status, 200);
    let other = Web {
        port: second,
        ..web
    };
    assert_eq!(
        other.ask("GET", "/healthz", &["Host: a.example"]).status,
        403
    );
    let shown = other.get("/api/v1/listeners").text();
    assert_eq!(shown.matches("httpapi").count(), 2);
    // One that may stay for longer than anybody waits here.
    let mut open = other.connect();
    open.write_all(request("GET", "/healthz", &[]).as_bytes())
        .unwrap();
    assert_eq!(read_answer(&mut open).unwrap().status, 200);
    let log = other.server.reload_with(&text(&[(first, "")]));
    assert!(
        log.contains(&format!("Listener 127.0.0.1:{second} is closed.")),
        "{log}"
    );
    assert!(ends_within(&mut open, PATIENCE));
    assert!(TcpStream::connect(("127.0.0.1", second)).is_err());
}

#[test]
fn firehose_health_says_how_it_is() {
    let web = Web::start(&[]);
    let health = |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", web.port);
        let output = Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(["health", &url])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    assert_eq!(health(""), (Some(0), "ready\n".into()));
    assert_eq!(health("/healthz"), (Some(0), "ok\n".into()));
    assert_eq!(health("/none"), (
            Some(1),
            "404 Not found. (it has no such path: is it the listener with `protocol http_api` of a firehose?)\n".into()
        ));
    let mut web = web;
    web.server.terminate();
    assert!(web.server.wait().unwrap().success());
    let output = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["health", &format!("http://127.0.0.1:{}", web.port)])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("refused") && text.lines().count() == 1,
        "{text}"
    );
}

/// An address that other hosts reach wants passwords, or it does not start; the line is named.
#[test]
fn no_door_is_open_to_the_network() {
    let folder = Folder::new("open");
    for (lines, words) in [
        (
            "listener 9883\nprotocol http_api\n",
            "allow_anonymous false",
        ),
        (
            "allow_anonymous true\nlistener 9883 0.0.0.0\nprotocol http_api\n",
            "allow_anonymous false",
        ),
        ("listener 0 /tmp/x.sock\nprotocol http_api\n", "over TCP"),
        (
            "listener 9883 127.0.0.1\nprotocol http_api\nenable_proxy_protocol 2\n",
            "PROXY",
        ),
    ] {
        let path = folder.write("broker.conf", lines);
        let output = Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(["serve", "--test-config", "-c", &path.display().to_string()])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains(words) && text.contains("broker.conf:"),
            "{text}"
        );
    }
}

/// Whoever looks after a broker does not take a long start for its death.
#[test]
fn a_long_start_is_alive_and_not_ready() {
    let folder = Folder::new("start");
    // A file whose reader waits until somebody has written it.
    let database = folder.0.join("mosquitto.db");
    let made = Command::new("mkfifo")
        .arg("-m")
        .arg("666")
        .arg(&database)
        .status();
    assert!(made.unwrap().success());
    let (mqtt, port) = (free_port(), free_port());
    let lines = [
        "persistence true".into(),
        format!("persistence_location {}", folder.0.display()),
        format!("listener {port} 127.0.0.1"),
        "protocol http_api".into(),
    ];
    let path = folder.write("broker.conf", &support::configuration(mqtt, &lines));
    let mut broker = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["serve", "--shards", "1", "-c", &path.display().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(request("GET", path, &[]).as_bytes())
            .ok()?;
        let answer = read_answer(&mut stream)?;
        Some((answer.status, answer.text()))
    };
    let started = Instant::now();
    let mut alive = None;
    while alive.is_none() && started.elapsed() < PATIENCE {
        alive = get("/healthz");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(alive, Some((200, "ok\n".into())));
    let (status, text) = get("/readyz").unwrap();
    assert!(status == 503 && text.contains("being taken up"), "{text}");
    assert_eq!(get("/metrics"), Some((503, "The broker starts.\n".into())));
    // What is no database is told as without anybody who asks.
    // Whether it reads that far is its own affair: what is no regular file may be refused as soon as it is open.
    let written = std::fs::write(&database, "nonsense");
    let failed = written.err().map(|error| error.kind());
    assert!(
        matches!(failed, None | Some(std::io::ErrorKind::BrokenPipe)),
        "{failed:?}"
    );
    let status = support::wait_for(&mut broker).unwrap();
    let mut said = String::new();
    broker.stderr.unwrap().read_to_string(&mut said).unwrap();
    assert!(!status.success() && said.contains("mosquitto.db"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// Those that do not take their answers hold all places: who looks how the broker is is answered, and they give way.
#[test]
fn slow_readers_keep_nobody_out() {
    let folder = Folder::new("slow");
    let big = "0123456789abcdef".repeat(1 << 20);
    folder.write("big.js", &big);
    let line = format!("http_dir {}", folder.0.display());
    let web = Web::start(&[&line]);
    let slow = |web: &Web| {
        let mut stream = web.connect();
        let text = request("GET", "/big.js", &[]);
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let held: Vec<TcpStream> = (0..16).map(|_| slow(&web)).collect();
    let began = Instant::now();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(web.get(path).status, 200, "{path}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    // And anything else, when they have been waited for.
    let began = Instant::now();
    loop {
        let answer = web.get("/api/v1/version");
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(100));
    }
    // Without anybody who waits they have some seconds.
    drop(held);
    let mut alone = slow(&web);
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(limits_slow_ms() + 2_000));
    let mut all = Vec::new();
    let _ = alone.read_to_end(&mut all);
    assert!(all.len() < big.len(), "{} bytes came", all.len());
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// `limits::HTTP_SLOW_MS`.
fn limits_slow_ms() -> u64 {
    5_000
}

/// What others hold for answers is in an account, like everything that is held for peers.
#[test]
fn what_is_held_for_who_asks_is_charged() {
    let web = Web::start(&[]);
    let leased = || {
        let page = web.get("/metrics").text();
        let line = page
            .lines()
            .find(|line| line.starts_with("firehose_memory_account_bytes{account=\"http\"}"));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.unwrap().parse::<f64>().unwrap()
    };
    let one = leased();
    assert!(one >= 32_768.0, "{one}");
    let open: Vec<TcpStream> = (0..5).map(|_| web.connect()).collect();
    std::thread::sleep(Duration::from_millis(50));
    assert!(leased() >= one + 5.0 * 32_768.0);
    drop(open);
}

/// What cannot be read, or is said twice, is refused with the reason.
#[test]
fn what_cannot_be_read_is_told() {
    let web = Web::start(&[]);
    for (path, reason) in [
        ("/%zz", "%"),
        ("/api/v1/clients/a%00b", "NUL"),
        ("/api/v1/clients/%C0%AF", "UTF-8"),
        ("/api/v1/subscriptions?filter=%", "%"),
        ("/api/v1/subscriptions?topic=a%00", "NUL"),
        ("/api/v1/retained?filter=a%23", "filter"),
        ("/metrics?shard=7", "sum"),
        ("/api/v1/history?after=x", "seconds"),
    ] {
        let answer = web.get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains(reason), "{path}: {}", answer.text());
    }
    let hosts = ["Host: localhost", "Host: localhost"];
    assert_eq!(web.ask("GET", "/healthz", &hosts).status, 400);
    let raw = |text: &str| {
        let mut stream = web.connect();
        stream.write_all(text.as_bytes()).unwrap();
        read_answer(&mut stream).unwrap().status
    };
    assert_eq!(raw("GET /healthz HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(raw("GET /healthz HTTP/1.0\r\n\r\n"), 200);
}
