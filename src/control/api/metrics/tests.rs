//! What is on the page.

use std::collections::BTreeSet;

use super::*;
use crate::broker::Counters;
use crate::control::api::shown::Shown;
use crate::control::api::tests::World;
use crate::shard::Metrics;

/// A page by lines: `# TYPE` and `# HELP` by family, and the samples.
struct Read {
    families: BTreeSet<String>,
    samples: Vec<(String, f64)>,
}

/// Reads a page, and judges its form: each family once, with its help and type in front of its lines.
fn read(text: &str) -> Read {
    let mut read = Read {
        families: BTreeSet::new(),
        samples: Vec::new(),
    };
    let (mut current, mut kind) = (String::new(), String::new());
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(
                help.ends_with('.') && read.families.insert(name.into()),
                "{line}"
            );
            current = name.into();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, given) = rest.split_once(' ').unwrap();
            assert_eq!(name, current);
            kind = given.into();
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            let ends: &[&str] = match &*kind {
                "histogram" => &["_bucket", "_sum", "_count"],
                "counter" => &["", "_total"],
                _ => &[""],
            };
            assert!(
                ends.iter().any(|end| format!("{current}{end}") == bare),
                "{line}"
            );
            assert_eq!(kind == "counter", bare.ends_with("_total"), "{line}");
            read.samples.push((name.into(), value.parse().unwrap()));
        }
    }
    let names: BTreeSet<&String> = read.samples.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), read.samples.len(), "a line stands there twice");
    read
}

impl Read {
    fn value(&self, name: &str) -> Option<f64> {
        let mut all = self.samples.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| *value)
    }
}

/// A figure that is new is on the page, whoever counts it: nobody has to think of this one.
#[test]
fn every_figure_is_on_the_page() {
    let world = World::new(2);
    let text = world.get("/metrics");
    let page = read(text.words());
    let names = &world.api.names;
    let snapshot = world.api.snapshot();
    let mut shown = BTreeSet::new();
    for sample in snapshot.samples() {
        let named = names.of(sample);
        let end = match named.kind {
            Kind::Counter => "_total",
            _ => "",
        };
        let family = format!("{}{end}", named.family);
        assert!(page.families.contains(&family), "{family}");
        shown.insert((sample.figure.name, format!("{:?}", sample.of)));
    }
    for figure in Counters::FIGURES.iter().chain(&Metrics::FIGURES) {
        for shard in ["Shard(0)", "Shard(1)"] {
            assert!(
                shown.contains(&(figure.name, shard.into())),
                "{}",
                figure.name
            );
        }
    }
    // Two figures under one name and one label would be one line twice, which `read` finds; one that hides another has fewer.
    let lines = |start: &str| {
        let all = page.samples.iter();
        all.filter(|(name, _)| name.contains("shard=\"1\"") && name.starts_with(start))
            .count()
    };
    assert_eq!(lines("firehose_"), Counters::COUNT + Metrics::COUNT);
}

#[test]
fn parts_add_up_to_the_whole() {
    let world = World::new(1);
    let mut counters = Counters::default();
    (counters.publish_dropped, counters.publish_replaced) = (10, 4);
    (counters.publish_dropped_expired, counters.backlog_refused) = (1, 2);
    (counters.publish_sent, counters.publish_sent_qos1) = (9, 5);
    counters.publish_sent_qos2 = 3;
    counters.bytes_received = 77;
    world.api.sources.shared.publish_for_tests(&counters);
    let text = world.get("/metrics");
    let page = read(text.words());
    let dropped = |reason| {
        let name = format!("firehose_publishes_dropped_total{{shard=\"0\",reason=\"{reason}\"}}");
        page.value(&name)
    };
    assert_eq!(
        ["queue", "replaced", "expired", "memory", "packet_size"].map(dropped),
        [3.0, 4.0, 1.0, 2.0, 0.0].map(Some)
    );
    let sent = |qos| {
        let labels = format!("shard=\"0\",direction=\"sent\",qos=\"{qos}\"");
        page.value(&format!("firehose_publishes_total{{{labels}}}"))
    };
    assert_eq!([0, 1, 2].map(sent), [1.0, 5.0, 3.0].map(Some));
    let received = page.value("firehose_receive_bytes_total{shard=\"0\"}");
    assert_eq!(received, Some(77.0));
    let text = world.get("/metrics?shard=sum");
    let sum = read(text.words());
    assert_eq!(sum.value("firehose_receive_bytes_total"), Some(77.0));
    assert!(!text.words().contains("shard="));
}

/// It answers from what was told last.
#[test]
fn a_shard_that_stands_still_holds_up_no_scrape() {
    let mut world = World::new(2);
    let first = world.answer(&[10_000, 20_000_000]);
    let started = std::time::Instant::now();
    let text = world.get("/metrics");
    assert!(started.elapsed().as_millis() < 2000);
    let page = read(text.words());
    let bucket = |le| {
        let name = format!("firehose_turn_seconds_bucket{{shard=\"0\",le=\"{le}\"}}");
        page.value(&name)
    };
    assert_eq!(
        (bucket("0.000008"), bucket("0.000016")),
        (Some(0.0), Some(1.0))
    );
    assert_eq!(
        (bucket("134.217728"), bucket("+Inf")),
        (Some(2.0), Some(2.0))
    );
    let waited = page.value("firehose_delivery_seconds_count{shard=\"0\"}");
    assert_eq!(waited, Some(2.0));
    assert_eq!(page.value("firehose_turn_seconds_count{shard=\"1\"}"), None);
    assert_eq!(page.value("firehose_turns_total{shard=\"1\"}"), Some(0.0));
    drop(world);
    first.join().unwrap();
}

/// By what is known without asking: a shard that never told is silent.
#[test]
fn whether_it_is_ready_is_a_figure() {
    let mut world = World::new(1);
    let ready = |world: &World| {
        let text = world.get("/metrics");
        read(text.words()).value("firehose_ready")
    };
    assert_eq!(ready(&world), Some(0.0));
    let shard = world.answer(&[1000]);
    let started = std::time::Instant::now();
    while ready(&world) != Some(1.0) {
        assert!(started.elapsed().as_secs() < 20);
    }
    world.api.sources.ending.begin("SIGTERM");
    assert_eq!(ready(&world), Some(0.0));
    drop(world);
    shard.join().unwrap();
}

/// A subject is what a certificate says, and two certificates may have the same.
#[test]
fn the_ends_of_certificates_are_told_once_for_each_name() {
    let world = World::new(1);
    let mut shown = shown("8883");
    shown.certificates = vec![
        ("CN=\"a\\b\"".into(), 1_900_000_000),
        ("CN=\"a\\b\"".into(), 1_800_000_000),
        ("CN=c".into(), 1_700_000_000),
    ];
    world.api.shown.replace(vec![shown]);
    let text = world.get("/metrics");
    let page = read(text.words());
    let end = |subject: &str| {
        page.value(&format!(
            "firehose_certificate_end_seconds{{listener=\"8883\",subject=\"{subject}\"}}"
        ))
    };
    assert_eq!(end("CN=\\\"a\\\\b\\\""), Some(1_800_000_000.0));
    assert_eq!(end("CN=c"), Some(1_700_000_000.0));
}

fn shown(name: &str) -> Shown {
    Shown {
        name: name.into(),
        place: ("port", name.into()),
        protocol: "mqtt",
        tls: true,
        mtls: false,
        allow_anonymous: true,
        certificates: Vec::new(),
    }
}

#[test]
fn openmetrics_is_given_to_who_asks_for_it() {
    let world = World::new(1);
    let mut ask = Ask::get("/metrics");
    ask.accept =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2".into();
    let answer = world.ask(ask);
    assert!(
        answer
            .kind
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert!(answer.words().ends_with("# EOF\n"));
    assert!(
        answer
            .words()
            .contains("# TYPE firehose_receive_bytes counter\nfirehose_receive_bytes_total{")
    );
    read(answer.words());
    let answer = world.get("/metrics");
    assert!(
        answer.kind.starts_with("text/plain; version=0.0.4") && !answer.words().contains("EOF")
    );
}

#[test]
fn the_names_of_mosquitto_exporter_are_there() {
    let world = World::new(1);
    let text = world.get("/metrics/mosquitto");
    for line in [
        "# TYPE broker_clients_connected gauge\nbroker_clients_connected 0\n",
        "# TYPE broker_messages_received counter\nbroker_messages_received 0\n",
        "# TYPE broker_retained_messages_count gauge\n",
        "# TYPE broker_heap_current gauge\n",
        "# TYPE broker_uptime gauge\n",
    ] {
        assert!(text.words().contains(line), "{line}{}", text.words());
    }
    assert!(!text.words().contains("active") && !text.words().contains("load"));
    let none = Counters::default();
    world
        .api
        .sources
        .totals
        .loads(&none, std::time::Duration::from_secs(1));
    let text = world.get("/metrics/mosquitto");
    assert!(
        text.words()
            .contains("\nbroker_load_messages_received_1min 0\n")
    );
}

/// At most 200 KB with 16 shards.
#[test]
fn a_page_of_sixteen_shards_is_small() {
    let mut world = World::new(16);
    let all: Vec<_> = (0..16).map(|_| world.answer(&[1])).collect();
    world
        .api
        .sources
        .shared
        .publish_for_tests(&Counters::from_values([u64::MAX >> 12; _]));
    let text = world.get("/metrics");
    assert!(text.words().len() < 200_000, "{}", text.words().len());
    drop(world);
    all.into_iter().for_each(|thread| thread.join().unwrap());
}
