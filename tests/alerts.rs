//! The alerts and dashboards of `tuning/`: Prometheus' tool finds nothing wrong with them, each alert has its test and its section
//! of the documents, and every expression gives data where a broker runs.

mod support;

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/prometheus.rs"]
mod prometheus;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use certificates::Certificates;
use prometheus::Prometheus;
use support::client::Client;
use support::{Folder, PATIENCE, Program, Server, free_port, needed};

const DASHBOARDS: [&str; 2] = ["grafana/operator.json", "grafana/capacity.json"];

/// What dashboards and rules that were made for mosquitto-exporter ask for.
const OF_EXPORTER: [&str; 24] = [
    "broker_clients_connected",
    "broker_clients_disconnected",
    "broker_clients_maximum",
    "broker_clients_total",
    "broker_clients_expired",
    "broker_subscriptions_count",
    "broker_shared_subscriptions_count",
    "broker_retained_messages_count",
    "broker_messages_stored",
    "broker_store_messages_bytes",
    "broker_heap_current",
    "broker_heap_maximum",
    "broker_uptime",
    "resets(broker_uptime[15m])",
    "rate(broker_bytes_received[1m])",
    "rate(broker_bytes_sent[1m])",
    "rate(broker_messages_received[1m])",
    "rate(broker_messages_sent[1m])",
    "increase(broker_publish_messages_received[5m])",
    "increase(broker_publish_messages_sent[5m])",
    "rate(broker_publish_messages_dropped[5m])",
    "broker_load_messages_received_1min / avg_over_time(broker_load_messages_received_1min[15m])",
    "broker_load_bytes_sent_15min",
    "broker_load_connections_5min + broker_load_sockets_5min",
];

fn tuning(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tuning")
        .join(file)
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(tuning(file)).unwrap()
}

/// The values of a field in rules, each of which stands on one line.
fn fields<'a>(rules: &'a str, name: &str) -> Vec<&'a str> {
    let lines = rules.lines().map(|line| line.trim_start());
    let lines = lines.map(|line| line.trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .collect()
}

/// As Prometheus' own tool judges the rules, and what their tests say.
fn promtool_finds_the_rules_right() {
    needed("promtool");
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let mut tool = Command::new("promtool");
        tool.args(arguments).current_dir(tuning("prometheus"));
        let output = tool.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            output.status.success() && said.contains("SUCCESS"),
            "{arguments:?}: {said}"
        );
    }
}

/// An alert that no test fires may never fire; one that says not what to do helps nobody.
fn each_alert_is_tested_and_explained() {
    let rules = text_of("prometheus/alerts.yml");
    let tests = text_of("prometheus/alerts_test.yml");
    let names = fields(&rules, "alert");
    assert!(names.len() >= 15, "{names:?}");
    for name in &names {
        let fired = format!("'{{alertname=\"{name}\"}}'");
        assert!(tests.contains(&fired), "{name} has no test");
    }
    let unique: BTreeSet<&&str> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/observing.md");
    let document = std::fs::read_to_string(document).unwrap();
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let anchors: BTreeSet<String> = headings
        .map(|line| line.trim_start_matches(['#', ' ']).to_lowercase())
        .map(|line| line.replace([',', '`', '?'], "").replace(' ', "-"))
        .collect();
    let runbooks = fields(&rules, "runbook");
    assert_eq!(runbooks.len(), names.len());
    assert_eq!(fields(&rules, "summary").len(), names.len());
    for runbook in runbooks {
        let anchor = runbook.strip_prefix("docs/observing.md#").unwrap();
        assert!(anchors.contains(anchor), "{anchor}: {anchors:?}");
    }
}

/// Every `expr` of a dashboard, at any depth.
fn expressions(json: &Value, into: &mut Vec<String>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value.as_str()) {
                    ("expr", Some(text)) => into.push(text.into()),
                    _ => expressions(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, into)),
        _ => {}
    }
}

/// With what Grafana puts in the place of its variables.
fn of_dashboards() -> Vec<String> {
    let mut all = Vec::new();
    for file in DASHBOARDS {
        let json: Value = serde_json::from_str(&text_of(file)).unwrap();
        let before = all.len();
        expressions(&json, &mut all);
        assert!(all.len() > before + 20, "{file}");
    }
    let filled = all.iter().map(|text| {
        text.replace("$__rate_interval", "1m")
            .replace("$job", "firehose")
            .replace("$instance", ".*")
    });
    filled.collect()
}

/// A comparison filters: whether there is something to compare is seen by what it says of it.
fn of_rules() -> Vec<String> {
    let rules = text_of("prometheus/alerts.yml");
    let all = fields(&rules, "expr").into_iter().map(|text| {
        [" == ", " >= ", " > ", " < "]
            .iter()
            .fold(text.to_string(), |text, sign| {
                text.replace(sign, &format!("{sign}bool "))
            })
    });
    all.collect()
}

/// A query that gives nothing, or no number, is a panel that stays empty and an alert that never comes.
fn every_expression_has_data() {
    needed("prometheus");
    let (http, tls) = (free_port(), free_port());
    let (store, certificates) = (Folder::new("store"), Certificates::new());
    let config = [
        "sys_interval 1".into(),
        "persistence true".into(),
        format!("persistence_location {}", store.0.display()),
        format!("listener {tls} 127.0.0.1"),
        format!("certfile {}", certificates.file("server.crt")),
        format!("keyfile {}", certificates.file("server.key")),
        format!("listener {http} 127.0.0.1"),
        "protocol http_api".into(),
    ];
    let server = Server::start(&Program::Firehose { shards: 2 }, &config);
    let jobs = [
        ("firehose", "/metrics"),
        ("mosquitto", "/metrics/mosquitto"),
    ];
    let prometheus = Prometheus::start(http, &jobs);
    let mut wanted: Vec<String> = of_dashboards();
    wanted.extend(of_rules());
    wanted.extend(OF_EXPORTER.map(String::from));
    let mut client = Client::connect(server.address(), 4, "one", true, None);
    client.subscribe("a");
    let started = Instant::now();
    let has_data = |query: &String| {
        let values = prometheus.values(query);
        !values.is_empty() && values.iter().all(|value| !value.is_nan())
    };
    while !wanted.is_empty() && started.elapsed() < 2 * PATIENCE {
        client.publish_burst("a", b"0123456789", 50);
        std::thread::sleep(Duration::from_millis(300));
        if prometheus.listens() {
            wanted.retain(|query| !has_data(query));
        }
    }
    assert!(wanted.is_empty(), "without data: {wanted:#?}");
}

cases!(
    promtool_finds_the_rules_right,
    each_alert_is_tested_and_explained,
    every_expression_has_data
);
