//! The configuration, from text to values: each option, each misdeed, and what Mosquitto 2 does with the same file.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

mod effective;
mod listeners;
mod manual;
mod memory;
mod misdeeds;
mod mosquitto;
mod persistence;
mod transport;

use super::option::{Scope, Value};
use super::options::OPTIONS;
use super::*;
use crate::broker::{ListenerSettings, LogMask};

/// A directory of its own for one test, removed when it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("firehose-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    let scratch = Scratch::new();
    load(&scratch.file("broker.conf", text))
}

/// The configuration of a text that is right and deserves no warning.
fn config(text: &str) -> Config {
    let (config, warnings) = read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(warnings, [], "{text:?}");
    config
}

/// Where its listeners listen.
fn sockets(config: &Config) -> Vec<Socket> {
    let listeners = config.listeners.iter();
    listeners.map(|listener| listener.socket.clone()).collect()
}

/// What its listeners grant.
fn granted(config: &Config) -> Vec<ListenerSettings> {
    let listeners = config.listeners.iter();
    listeners
        .map(|listener| listener.settings.clone())
        .collect()
}

/// The error of a text, without its file: "LINE: reason".
fn error(text: &str) -> String {
    let error = read(text).expect_err(text).to_string();
    error
        .split_once("broker.conf:")
        .map_or(error.clone(), |(_, rest)| rest.to_string())
}

fn warnings(text: &str) -> Vec<String> {
    let (_, warnings) = read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    warnings
        .iter()
        .map(|w| format!("{}: {}: {}", w.at.line, w.option, w.text))
        .collect()
}

#[test]
fn no_line_gives_the_default() {
    for text in ["", "\n", "# a comment\n\n   \n\t\n", "\r\n"] {
        assert_eq!(config(text), Config::default(), "{text:?}");
    }
}

#[test]
fn default_serves_anonymous_clients_of_this_host() {
    let config = Config::default();
    let sockets = sockets(&config);
    let addresses: Vec<_> = sockets
        .iter()
        .map(|s| s.address.as_deref().unwrap())
        .collect();
    assert_eq!(addresses, ["127.0.0.1", "::1"]);
    assert!(!config.listeners[0].socket.optional && config.listeners[1].socket.optional);
    assert!(
        granted(&config)
            .iter()
            .all(|l| l.allow_anonymous && l.port == 1883)
    );
    assert!(config.local_only);
}

#[test]
fn each_default_of_the_table_is_what_leaving_the_option_out_does() {
    for option in OPTIONS.iter().filter(|option| !option.default.is_empty()) {
        let listener = matches!(option.scope, Scope::Listener(_));
        let above = if listener { "listener 1883\n" } else { "" };
        let placeless = |text: &str| {
            let mut config = config(text);
            config.is_empty = false;
            let listeners = config.listeners.iter_mut();
            listeners.for_each(|listener| listener.socket.at = None);
            config
        };
        let without = placeless(above);
        let with = placeless(&format!("{above}{} {}\n", option.name, option.default));
        assert_eq!(with, without, "{}", option.name);
    }
}

#[test]
fn each_name_stands_in_one_table_once() {
    let mut names = HashSet::new();
    let ours = OPTIONS.iter().map(|option| option.name);
    for name in ours.chain(known::KNOWN.iter().map(|(name, _)| *name)) {
        assert!(names.insert(name), "{name}");
    }
}

/// Every option takes effect, and each number's range ends where the table says.
#[test]
fn each_number_ends_where_its_range_ends() {
    fn check<T>(name: &str, value: &Value<T>) {
        let (min, max) = match value {
            Value::Number { min, max, .. } => (*min, *max),
            Value::Bound { max, .. } => (-7, *max),
            _ => return,
        };
        for value in [min, max] {
            config(&format!("listener 1883\n{name} {value}\n"));
        }
        if let Some(above) = max.checked_add(1) {
            let text = error(&format!("listener 1883\n{name} {above}\n"));
            assert!(text.contains("out of range"), "{text}");
        }
        if min >= 0 {
            let text = error(&format!("listener 1883\n{name} {}\n", min - 1));
            assert!(text.contains("out of range"), "{text}");
        }
    }
    for option in OPTIONS {
        match &option.scope {
            Scope::Global(value) => check(option.name, value),
            Scope::Listener(value) => check(option.name, value),
            Scope::Security(value) | Scope::ListenerSecurity(value) => check(option.name, value),
            Scope::Structure(_) | Scope::Include => {}
        }
    }
}

#[test]
fn global_options_arrive() {
    let settings = config(
        "max_inflight_messages 100\nmax_inflight_bytes 5000\nmax_queued_messages 7\nmax_queued_bytes 70000\n\
         queue_qos0_messages true\nmax_packet_size 2000\nmessage_size_limit 1000\nmax_keepalive 60\n\
         retain_available false\nallow_duplicate_messages false\nupgrade_outgoing_qos true\n\
         check_retain_source false\nmax_subscriptions_per_client 100\nmax_topic_levels 10\n\
         max_topic_length 200\nmin_wildcard_depth 2\nmax_publish_rate 50/s\nsys_interval 3\nconnection_messages false\n\
         persistent_client_expiration 2w\nglobal_max_clients 9\nretain_expiry_interval 5\n",
    )
    .settings;
    assert_eq!(
        (settings.max_inflight_messages, settings.max_inflight_bytes),
        (100, 5000)
    );
    assert_eq!(
        (settings.max_queued_messages, settings.max_queued_bytes),
        (7, 70_000)
    );
    assert_eq!(
        (settings.max_packet_size, settings.message_size_limit),
        (2000, 1000)
    );
    assert_eq!((settings.max_keepalive, settings.sys_interval), (60, 3));
    assert!(settings.queue_qos0_messages && settings.upgrade_outgoing_qos);
    assert!(!settings.retain_available && !settings.allow_duplicate_messages);
    assert!(!settings.connection_messages);
    let quotas = crate::broker::Quotas {
        subscriptions: 100,
        topic_levels: 10,
        topic_bytes: 200,
        wildcard_depth: 2,
        publish_rate: 50,
        clients: 9,
    };
    assert_eq!((settings.quotas, settings.retain_expiry_min), (quotas, 5));
    assert_eq!(settings.persistent_client_expiration, Some(2 * 7 * 86_400));

    let config = config(
        "global_max_connections 500\nset_tcp_nodelay true\npid_file /run/fire hose.pid\nlog_timestamp false\n\
         log_timestamp_format %Y-%m-%dT%H:%M:%S\nshards 3\ncpu_list 4-6, 1\n",
    );
    assert_eq!(config.global_max_connections, Some(500));
    assert!(config.set_tcp_nodelay && !config.log.timestamp);
    assert_eq!(config.pid_file, Some("/run/fire hose.pid".into()));
    assert_eq!(
        config.log.timestamp_format.as_deref(),
        Some("%Y-%m-%dT%H:%M:%S")
    );
    assert_eq!(
        (config.shards, config.cpu_list),
        (Some(3), Some(CpuList(vec![4, 5, 6, 1])))
    );
}

#[test]
fn bounds_of_a_source_address_arrive() {
    let bounds = config(
        "max_connections_per_address 5\nmax_connection_rate_per_address 7/s\nlimit_local_addresses true\n",
    )
    .sources;
    assert_eq!((bounds.connections, bounds.rate), (5, 7));
    assert!(bounds.local && !SourceBounds::default().local);
    let none = "max_connections_per_address -1\nmax_connection_rate_per_address 0\n";
    let bounds = config(none).sources;
    assert_eq!((bounds.connections, bounds.rate), (0, 0));
    for (value, reason) in [
        ("1000001", "out of range"),
        ("1000001/s", "out of range"),
        ("-1", "out of range"),
        ("5/m", ""),
        ("fast", ""),
        ("/s", ""),
    ] {
        for option in ["max_connection_rate_per_address", "max_publish_rate"] {
            let text = error(&format!("{option} {value}\n"));
            assert!(text.contains(reason), "{text}");
        }
    }
}

/// As Mosquitto's code has it, whatever its manual says of the default.
#[test]
fn the_source_of_a_retained_message_is_checked_again_if_that_is_wanted() {
    for (text, is_wanted) in [
        ("", false),
        ("check_retain_source false\n", false),
        ("check_retain_source true\n", true),
    ] {
        assert_eq!(
            config(text).settings.check_retain_source,
            is_wanted,
            "{text}"
        );
    }
}

#[test]
fn numbers_below_zero_are_no_bound() {
    let config = config(
        "listener 1883\nmax_connections -1\nmax_queued_messages -4\nmax_inflight_messages 0x10\n",
    );
    assert_eq!(config.listeners[0].socket.max_connections, None);
    assert_eq!(config.settings.max_queued_messages, 0);
    assert_eq!(config.settings.max_inflight_messages, 16);
}

#[test]
fn spans_of_time_have_units() {
    let expiration = |value: &str| {
        let text = format!("persistent_client_expiration {value}\n");
        config(&text).settings.persistent_client_expiration.unwrap()
    };
    assert_eq!(expiration("1h"), 3600);
    assert_eq!(expiration("14d"), 14 * 86_400);
    assert_eq!(expiration("1m"), 30 * 86_400);
    assert_eq!(expiration("2y"), 730 * 86_400);
    for wrong in ["3", "3q", "h", "-1h", "0d", "99999999999999999999y", "é"] {
        let text = error(&format!("persistent_client_expiration {wrong}\n"));
        assert!(text.contains("span of time"), "{text}");
    }
}

#[test]
fn log_options_add_up() {
    let destinations = |text: &str| config(text).log.destinations;
    assert_eq!(destinations(""), [LogDestination::Stderr]);
    assert_eq!(destinations("log_dest none\n"), []);
    let both = [
        LogDestination::Stdout,
        LogDestination::File("/var/log/fire hose.log".into()),
    ];
    assert_eq!(
        destinations("log_dest stdout\nlog_dest file /var/log/fire hose.log\nlog_dest stdout\n"),
        both
    );
    assert_eq!(
        destinations("log_dest syslog\nlog_dest topic\nlog_dest journald\n"),
        [
            LogDestination::Syslog,
            LogDestination::Topic,
            LogDestination::Journald
        ],
    );
    let (parsed, _) = read("log_format json\nlog_facility 5\nlog_lines_per_second 0\n").unwrap();
    assert_eq!(
        (
            parsed.log.json,
            parsed.log.facility,
            parsed.log.lines_per_second
        ),
        (true, 21, 0),
    );
    assert!(read("log_facility 8\n").is_err() && read("log_format xml\n").is_err());
    let (fallback, notes) = read("log_dest dlt\n").unwrap();
    assert_eq!(fallback.log.destinations, [LogDestination::Stderr]);
    assert!(notes[0].text.contains("dlt is not supported yet"));

    let types = |text: &str| config(text).settings.log;
    assert_eq!(types(""), LogMask::DEFAULT);
    assert_eq!(types("log_type error\nlog_type warning\n"), LogMask(3));
    assert_eq!(types("log_type none\n"), LogMask::NONE);
    assert_eq!(types("log_type debug\nlog_type all\n"), LogMask::ALL);
}

#[test]
fn includes_are_read_in_the_order_of_their_names() {
    let scratch = Scratch::new();
    let directory = scratch.0.join("conf.d");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("b.conf"), "sys_interval 2\n").unwrap();
    fs::write(directory.join("Z.conf"), "sys_interval 1\n").unwrap();
    fs::write(directory.join("c.conf.bak"), "nonsense\n").unwrap();
    fs::write(directory.join(".conf"), "nonsense\n").unwrap();
    let text = format!(
        "listener 1884\ninclude_dir {}\nmax_qos 1\n",
        directory.display()
    );
    let main = scratch.file("broker.conf", &text);
    let (config, warnings) = load(&main).unwrap();
    assert_eq!((config.settings.sys_interval, warnings.len()), (2, 0));
    assert_eq!(
        config.listeners[0].settings.max_qos, 1,
        "the listener above the include goes on"
    );

    fs::write(directory.join("d.conf"), "\nallow_anonymous yes\n").unwrap();
    let text = load(&main).unwrap_err().to_string();
    assert!(
        text.contains("d.conf:2: allow_anonymous: `yes` is neither"),
        "{text}"
    );
    fs::write(
        directory.join("d.conf"),
        format!("include_dir {}\n", directory.display()),
    )
    .unwrap();
    let text = load(&main).unwrap_err().to_string();
    assert!(
        text.contains("d.conf:1: include_dir: only the main"),
        "{text}"
    );
}

#[test]
fn ports_of_the_command_line_count_only_without_listeners() {
    let mut local = config("allow_anonymous false\n");
    assert!(local.use_ports(&[1884, 1885]));
    let sockets = sockets(&local);
    let ports: Vec<_> = sockets
        .iter()
        .map(|s| (s.port, s.address.as_deref().unwrap()))
        .collect();
    assert_eq!(
        ports,
        [
            (1884, "127.0.0.1"),
            (1884, "::1"),
            (1885, "127.0.0.1"),
            (1885, "::1")
        ]
    );
    let listeners = granted(&local);
    assert!(listeners.iter().all(|l| !l.allow_anonymous));
    assert_eq!(
        listeners.iter().map(|l| l.port).collect::<Vec<_>>(),
        [1884, 1884, 1885, 1885]
    );

    let mut remote = config("listener 1884\n");
    let before = remote.clone();
    assert!(!remote.use_ports(&[1885]));
    assert_eq!(remote, before);
}

#[test]
fn an_acl_file_is_read_where_it_is_named() {
    let scratch = Scratch::new();
    let acl = scratch.file("acl", "topic read #\npattern read x\n");
    let two = format!("acl_file {}\nlistener 1883\nlistener 1884\n", acl.display());
    let (config, warnings) = load(&scratch.file("two.conf", &two)).unwrap();
    let [one, other] = &granted(&config)[..] else {
        panic!("two listeners")
    };
    let (one, other) = (one.acl.as_ref().unwrap(), other.acl.as_ref().unwrap());
    assert!(std::sync::Arc::ptr_eq(one, other), "listeners share it");
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().contains("acl:2: a pattern without"));

    let own = format!(
        "per_listener_settings true\nlistener 1883\nacl_file {}\nlistener 1884\n",
        acl.display()
    );
    let (config, _) = load(&scratch.file("own.conf", &own)).unwrap();
    let has: Vec<bool> = granted(&config)
        .iter()
        .map(|listener| listener.acl.is_some())
        .collect();
    assert_eq!(has, [true, false]);

    scratch.file("acl", "topic read #\n\ntopic reads x\n");
    let error = load(&scratch.file("two.conf", &two))
        .unwrap_err()
        .to_string();
    let expected = format!(
        "two.conf:1: {}:3: `reads` is none of read, write, readwrite, deny",
        acl.display()
    );
    assert!(error.ends_with(&expected), "{error}");
    for (text, expected) in [
        ("acl_file /no/such/file\n", "cannot read /no/such/file"),
        ("acl_file\n", "acl_file: the value is missing"),
    ] {
        let error = load(&scratch.file("bad.conf", text)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
