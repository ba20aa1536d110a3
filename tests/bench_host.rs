//! The load tester's own broker, as it starts it: the binary of this package, in a memory budget and under its eyes.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use firehose::load::host::{
    BrokerCommand, BrokerSpec, HostError, MemoryCgroup, RunningBroker, Sampler, broker_use, start,
};
use support::PATIENCE;
use support::client::Client;

const BUDGET: u64 = 256 << 20;

fn spec(shards: u16, extra_config: &str) -> BrokerSpec {
    BrokerSpec {
        command: BrokerCommand::Own {
            program: PathBuf::from(env!("CARGO_BIN_EXE_firehose")),
            shards: Some(shards),
            extra_config: extra_config.into(),
        },
        budget: None,
        cpus: Vec::new(),
        log: None,
    }
}

/// Skips the test where a budget cannot be had, and says why.
fn cgroups_needed() {
    if let Err(why) = MemoryCgroup::create(BUDGET) {
        support::cannot(&why);
    }
}

/// Messages from one client to another.
fn talk(broker: &RunningBroker, messages: u32) {
    let mut to = Client::connect(broker.address(), 4, "to", true, None);
    to.subscribe("a/b");
    let mut from = Client::connect(broker.address(), 4, "from", true, None);
    for _ in 0..messages {
        from.publish("a/b", b"hello", false);
        let puback = from.packet().unwrap();
        assert_eq!(puback[0], 0x40);
        let publish = to.packet().unwrap();
        assert_eq!(publish[0] & 0xf0, 0x30);
        to.acknowledge(&publish);
    }
}

fn it_serves_and_is_watched() {
    let epoch = Instant::now();
    let mut broker = start(spec(2, "")).unwrap();
    let info = broker.info();
    let version = format!("firehose {} (own process)", env!("CARGO_PKG_VERSION"));
    assert_eq!(info.what, version);
    assert_eq!(info.address, broker.address().to_string());
    let sampler = Sampler::start(broker.target(), epoch, Duration::from_millis(20));
    let before = sampler.now();
    talk(&broker, 500);
    let after = sampler.now();
    // Two shards and the control thread.
    assert!(after.threads >= 3 && after.at_s > before.at_s);
    assert!(after.rss_bytes > 1 << 20 && after.pss_bytes.is_some());
    assert!(broker.events(1.0).is_empty());
    assert_eq!(broker.stop(), None);
    let (samples, events) = sampler.finish();
    assert!(events.is_empty() && !samples.is_empty());
    let used = broker_use(&before, &after, &samples, 500);
    assert!(used.rss_peak_bytes >= after.rss_bytes && used.cpu_ns_per_delivery.is_some());
}

fn it_runs_in_its_budget_and_on_its_cpu() {
    cgroups_needed();
    let mut spec = spec(1, "max_keepalive 600");
    spec.budget = Some(BUDGET);
    spec.cpus = vec![0];
    let broker = start(spec).unwrap();
    let budget = broker.info().budget.unwrap();
    assert!(budget.enforced, "{budget:?}");
    assert!(budget.how.contains("kernel memory"), "{budget:?}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");

    let sampler = Sampler::start(broker.target(), Instant::now(), Duration::from_millis(20));
    talk(&broker, 100);
    let now = sampler.now();
    let counted = now.cgroup_bytes.unwrap();
    assert!(counted > 1 << 20 && counted < BUDGET, "{now:?}");
    assert!(now.cgroup_peak_bytes.unwrap() >= counted);
    // Rings and buffers of the kernel are in it.
    let kernel = now.cgroup_kernel_bytes.unwrap();
    assert!(kernel > 100 << 10 && kernel < counted, "{now:?}");
    assert_eq!(broker.stop(), None);
    let (samples, events) = sampler.finish();
    assert!(events.is_empty(), "{events:?}");
    assert!(samples.iter().all(|sample| sample.cgroup_bytes.is_some()));
}

fn a_kill_is_an_event() {
    let broker = start(spec(1, "")).unwrap();
    let sampler = Sampler::start(broker.target(), Instant::now(), Duration::from_millis(20));
    let pid = broker.pid().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-9", &pid]).status().unwrap().success());
    let started = Instant::now();
    while sampler.events().is_empty() {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    let (_, events) = sampler.finish();
    assert_eq!(events[0].kind, "killed");
    assert!(events[0].text.contains("SIGKILL"), "{}", events[0].text);
    // The kernel closes what lies in a ring's file table from a thread of its own, a moment after the process has gone.
    while TcpStream::connect(broker.address()).is_ok() {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_wrong_configuration_is_a_usage_error() {
    let error = start(spec(1, "frobnicate true")).unwrap_err();
    assert!(matches!(error, HostError::Usage(_)), "{error:?}");
    assert!(error.to_string().contains("frobnicate"), "{error}");
}

fn what_the_machine_does_not_give_is_not() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = start(spec(1, &format!("listener {port} 127.0.0.1"))).unwrap_err();
    assert!(matches!(error, HostError::Cannot(_)), "{error:?}");
    assert!(error.to_string().contains("cannot listen"), "{error}");
}

fn another_broker_is_watched_as_well() {
    let mosquitto = support::needed("mosquitto");
    let mut spec = spec(1, "");
    spec.command = BrokerCommand::Other {
        command: format!("{} -p {{port}}", mosquitto.display()),
        host: "localhost".into(),
        port: 0,
    };
    spec.budget = Some(BUDGET);
    let broker = start(spec).unwrap();
    let info = broker.info();
    assert!(info.what.contains("mosquitto -p"), "{}", info.what);
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", broker.pid())).unwrap();
    assert_eq!(comm, "mosquitto\n");
    let sampler = Sampler::start(broker.target(), Instant::now(), Duration::from_millis(20));
    talk(&broker, 100);
    let now = sampler.now();
    assert!(now.rss_bytes > 1 << 20 && now.threads == 1);
    assert_eq!(now.cgroup_bytes.is_some(), info.budget.unwrap().enforced);
    assert_eq!(broker.stop(), None);
    assert!(sampler.finish().1.is_empty());
}

cases![
    it_serves_and_is_watched,
    it_runs_in_its_budget_and_on_its_cpu,
    a_kill_is_an_event,
    a_wrong_configuration_is_a_usage_error,
    what_the_machine_does_not_give_is_not,
    another_broker_is_watched_as_well,
];
