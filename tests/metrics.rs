//! `/metrics` as Prometheus and its tool read it.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::client::Client;
use support::{Folder, PATIENCE, Program, Server, free_port, needed};

/// The body of what is answered there.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.into()
}

/// Its names, types, units and helps are as Prometheus wants them.
fn promtool_has_nothing_to_say() {
    needed("promtool");
    let port = free_port();
    let config = [
        format!("listener {port} 127.0.0.1"),
        "protocol http_api".into(),
    ];
    let server = Server::start(&Program::Firehose { shards: 2 }, &config);
    let mut client = Client::connect(server.address(), 4, "one", true, None);
    client.ping();
    for path in ["/metrics", "/metrics?shard=sum"] {
        let page = get(port, path);
        let mut tool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        tool.stdin
            .take()
            .unwrap()
            .write_all(page.as_bytes())
            .unwrap();
        let output = tool.wait_with_output().unwrap();
        let said = [output.stderr, output.stdout].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{path}: {said}");
    }
}

/// A field of the answer to a query, as a number; `None` while there is nothing.
fn queried(port: u16, query: &str) -> Option<f64> {
    let escaped: String = query
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    let answer = get(port, &format!("/api/v1/query?query={escaped}"));
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    answer["data"]["result"][0]["value"][1]
        .as_str()?
        .parse()
        .ok()
}

/// Ends with the test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Its queries give what was published, by our names and by those of Mosquitto's exporter.
fn prometheus_counts_what_was_published() {
    let program = needed("prometheus");
    let (http, own) = (free_port(), free_port());
    let config = [
        format!("listener {http} 127.0.0.1"),
        "protocol http_api".into(),
    ];
    let server = Server::start(&Program::Firehose { shards: 2 }, &config);
    let folder = Folder::new("prometheus");
    let jobs = [("firehose", "/metrics"), ("mosquitto", "/metrics/mosquitto")].map(|(name, path)| {
        format!(
            "  - job_name: {name}\n    metrics_path: {path}\n    static_configs:\n      - targets: ['127.0.0.1:{http}']\n"
        )
    });
    let text = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n{}",
        jobs.concat()
    );
    let file = folder.write("prometheus.yml", &text);
    let prometheus = Command::new(program)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.0.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{own}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _prometheus = Prometheus(prometheus.unwrap());
    let mut client = Client::connect(server.address(), 4, "one", true, None);
    client.subscribe("a");
    client.publish_burst("a", b"0123456789", 500);
    let started = Instant::now();
    let mut found = Vec::new();
    let wanted = [
        (
            "sum(firehose_publishes_total{direction=\"received\"})",
            500.0,
        ),
        ("sum(firehose_publishes_total{direction=\"sent\"})", 500.0),
        ("sum(firehose_clients_connected)", 1.0),
        ("count(firehose_turn_seconds_bucket{le=\"+Inf\"})", 2.0),
        ("broker_publish_messages_received", 500.0),
        ("broker_clients_connected", 1.0),
    ];
    while found != wanted.map(|(_, value)| Some(value)) && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(200));
        if TcpStream::connect(("127.0.0.1", own)).is_ok() {
            found = wanted
                .iter()
                .map(|(query, _)| queried(own, query))
                .collect();
        }
    }
    assert_eq!(found, wanted.map(|(_, value)| Some(value)));
    for job in ["firehose", "mosquitto"] {
        assert_eq!(queried(own, &format!("up{{job=\"{job}\"}}")), Some(1.0));
    }
}

cases!(
    promtool_has_nothing_to_say,
    prometheus_counts_what_was_published
);
