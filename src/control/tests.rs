//! The moving averages, the log writer, the pid file.

use crossbeam_channel::bounded;

use super::averages::Average;
use super::*;
use crate::config::{Log as Configured, LogDestination};

#[test]
fn an_average_comes_to_the_rate() {
    let mut load = Average::default();
    let mut value = 0;
    for _ in 0..200 {
        value += 50;
        load.update(value, 10.0);
    }
    let [one, five, fifteen] = load.averages();
    assert!((one - 300.0).abs() < 0.1, "{one}");
    assert!((five - 300.0).abs() < 1.0, "{five}");
    assert!((fifteen - 300.0).abs() < 40.0, "{fifteen}");
}

#[test]
fn an_average_decays_with_its_minutes() {
    let mut load = Average::default();
    load.update(1000, 10.0);
    let before = load.averages();
    (0..6).for_each(|_| load.update(1000, 10.0));
    let after = load.averages();
    // After one minute the average over one minute is down to 1/e.
    assert!((after[0] / before[0] - (-1.0f64).exp()).abs() < 1e-6);
    assert!(after[2] / before[2] > 0.9);
}

#[test]
fn memory_is_read_from_the_status_file() {
    let status = "Name:\tfirehose\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
    assert_eq!(totals::status_bytes(status, "VmRSS"), Some(1 << 20));
    assert_eq!(totals::status_bytes(status, "VmHWM"), Some(2 << 20));
    assert_eq!(totals::status_bytes(status, "VmSwap"), None);
}

/// A path in the folder for temporary files that nobody else uses.
fn scratch(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("firehose-control-{}-{name}", std::process::id()))
}

/// What a log writer with this configuration makes of some lines.
fn written(name: &str, configured: &Configured, wanted: LogMask) -> String {
    let path = scratch(name);
    let _ = std::fs::remove_file(&path);
    let configured = Configured {
        destinations: vec![LogDestination::File(path.clone())],
        ..configured.clone()
    };
    let (lines, receiver) = bounded(8);
    let writer = LogWriter::open(&configured).unwrap();
    let log = writer.start(receiver, wanted).unwrap();
    let (kind, text) = (LogKind::Notice, String::from("from a shard"));
    lines.send(LogLine::free(kind, text)).unwrap();
    drop(lines);
    log.write(LogKind::Information, "own".into());
    log.finish();
    let text = std::fs::read_to_string(&path).unwrap();
    let _ = std::fs::remove_file(&path);
    text
}

#[test]
fn log_lines_start_with_the_time_as_configured() {
    let plain = Configured {
        timestamp: false,
        ..Configured::default()
    };
    let text = written("plain", &plain, LogMask::ALL);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["from a shard", "own"]);

    let text = written("seconds", &Configured::default(), LogMask::ALL);
    for line in text.lines() {
        let (time, _) = line.split_once(": ").unwrap();
        assert!(time.parse::<u64>().unwrap() > 1_700_000_000, "{line}");
    }

    let formatted = Configured {
        timestamp_format: Some("<%Y>".into()),
        ..Configured::default()
    };
    let text = written("formatted", &formatted, LogMask::ALL);
    assert!(text.lines().all(|line| line.starts_with("<2")), "{text}");
}

#[test]
fn lines_of_its_own_are_written_when_wanted() {
    let configured = Configured::default();
    let text = written("unwanted", &configured, LogMask::NONE);
    assert!(
        !text.contains("own") && text.contains("from a shard"),
        "{text}"
    );
}

#[test]
fn a_pid_file_is_removed_at_the_end() {
    let path = scratch("pid");
    let mut file = PidFile::open(Some(&path)).unwrap();
    file.write().unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        format!("{}\n", std::process::id())
    );
    drop(file);
    assert!(!path.exists());
    assert!(PidFile::open(Some(std::path::Path::new("/nonexistent/pid"))).is_err());
    // One that was not written is left as it was.
    std::fs::write(&path, "7\n").unwrap();
    drop(PidFile::open(Some(&path)).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "7\n");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_shard_that_fails_is_named_and_ends_the_others() {
    let path = scratch("failed");
    let configured = Configured {
        destinations: vec![LogDestination::File(path.clone())],
        ..Configured::default()
    };
    let (ended, ends) = bounded(2);
    let (_lines, lines) = bounded(1);
    let (handle, inbox) = crate::shard::commands().unwrap();
    let parts = Parts {
        executor: Executor::new().unwrap(),
        ready: "ready".into(),
        signals: Signals::register().unwrap(),
        writer: LogWriter::open(&configured).unwrap(),
        lines,
        log: LogMask::DEFAULT,
        shared: Shared::new(
            2,
            Vec::new(),
            None,
            std::sync::Arc::new(crate::budget::Pool::new(
                &crate::budget::Plan::unbounded(),
                2,
            )),
        ),
        shards: vec![handle],
        sys_interval_s: 0,
        ends,
        reload: Box::new(|| Ok(Reloaded::default())),
        store: Store::default(),
        http: Http {
            listeners: Vec::new(),
            shown: Vec::new(),
            checks: bounded(1).0,
            early: None,
        },
    };
    let shard = |id, failure: Option<&str>| ShardEnd {
        shard: ShardId(id),
        failure: failure.map(String::from),
    };
    let control = Control::new(parts).unwrap();
    ended.send(shard(0, Some("no more ring"))).unwrap();
    let other = std::thread::spawn(move || {
        while !inbox.told_to_drain() {
            std::thread::yield_now();
        }
        ended.send(shard(1, None)).unwrap();
    });
    control.run();
    other.join().unwrap();
    let log = std::fs::read_to_string(&path).unwrap();
    let _ = std::fs::remove_file(&path);
    assert!(
        log.contains("Shard 0 failed, the broker ends: no more ring"),
        "{log}"
    );
    assert!(!log.contains("Shard 1"), "{log}");
    let last = log.lines().next_back().unwrap();
    assert!(
        last.contains(" terminating: shard 0 failed, drained in "),
        "{log}"
    );
}
