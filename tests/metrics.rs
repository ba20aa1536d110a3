//! `/metrics` as Prometheus and its tool read it.

mod support;

#[path = "support/harness.rs"]
mod harness;
#[path = "support/prometheus.rs"]
mod prometheus;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::client::Client;
use support::{PATIENCE, Program, Server, free_port, needed};

use prometheus::{Prometheus, get};

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

/// Its queries give what was published, by our names and by those of Mosquitto's exporter.
fn prometheus_counts_what_was_published() {
    needed("prometheus");
    let http = free_port();
    let config = [
        format!("listener {http} 127.0.0.1"),
        "protocol http_api".into(),
    ];
    let server = Server::start(&Program::Firehose { shards: 2 }, &config);
    let jobs = [
        ("firehose", "/metrics"),
        ("mosquitto", "/metrics/mosquitto"),
    ];
    let prometheus = Prometheus::start(http, &jobs);
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
        if prometheus.listens() {
            let asked = wanted
                .iter()
                .map(|(query, _)| prometheus.values(query).first().copied());
            found = asked.collect();
        }
    }
    assert_eq!(found, wanted.map(|(_, value)| Some(value)));
    for job in ["firehose", "mosquitto"] {
        assert_eq!(prometheus.values(&format!("up{{job=\"{job}\"}}")), [1.0]);
    }
}

cases!(
    promtool_has_nothing_to_say,
    prometheus_counts_what_was_published
);
