//! What lines look like, where they go, and how many are written.

use super::format::{self, Rate};
use super::*;
use crate::config::LogDestination;
use crate::escape::one_line;

#[test]
fn nobody_makes_up_lines_of_the_log() {
    let odd = "Client a\n1: faked\u{1b}[2J \u{202e}disconnected.";
    let line = one_line(odd);
    assert_eq!(line, "Client a\\n1: faked\\u{1b}[2J \\u{202e}disconnected.");
    assert_eq!(one_line("\tas it was"), "\tas it was");
    let json = format::json(LogKind::Notice, odd);
    assert!(!json.contains('\n') && json.is_ascii());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["message"], odd);
    assert_eq!(value["level"], "notice");
    let time = value["time"].as_str().unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[test]
fn lines_beyond_the_rate_are_counted_and_told() {
    let mut rate = Rate::new(2);
    assert_eq!(rate.turn(1), None);
    let admitted = (0..10).filter(|_| rate.admit(LogKind::Notice)).count();
    assert_eq!(admitted, 2);
    assert!(rate.admit(LogKind::Warning), "another kind has its own");
    assert!((0..10).all(|_| rate.admit(LogKind::Error)));
    assert_eq!(
        (rate.turn(1), rate.turn(2), rate.turn(3)),
        (None, Some(8), None)
    );
    assert!(rate.admit(LogKind::Notice));
    assert!((0..5000).all({
        let mut unbounded = Rate::new(0);
        move |_| unbounded.admit(LogKind::Debug)
    }));
}

#[test]
fn datagrams_are_as_daemons_read_them() {
    let text = sockets::syslog_datagram(3, LogKind::Error, "Nov  3 10:00:00", "1: oh");
    let pid = std::process::id();
    let wanted = format!("<27>Nov  3 10:00:00 firehose[{pid}]: 1: oh");
    assert_eq!(String::from_utf8(text).unwrap(), wanted);
    let entry = sockets::journal_datagram(LogKind::Notice, "x=1");
    let wanted = "PRIORITY=5\nSYSLOG_IDENTIFIER=firehose\nMESSAGE=x=1\n";
    assert_eq!(entry, wanted.as_bytes());
}

#[test]
fn lines_that_publishing_causes_are_not_published() {
    assert_eq!(output::topic(LogKind::Debug), None);
    assert_eq!(output::topic(LogKind::Internal), None);
    assert_eq!(
        output::topic(LogKind::Subscribe),
        Some("$SYS/broker/log/M/subscribe")
    );
}

/// After a rotation whoever asks for the new file gets it, however many lines wait.
#[test]
fn a_request_to_reopen_has_a_place_of_its_own() {
    let folder = std::env::temp_dir().join(format!("firehose-reopen-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("log");
    let configured = Configured {
        destinations: vec![LogDestination::File(path.clone())],
        ..Configured::default()
    };
    let writer = LogWriter::open(&configured).unwrap();
    let (_lines, incoming) = crossbeam_channel::bounded(1);
    let log = writer.start(incoming, LogMask::ALL).unwrap();
    std::fs::rename(&path, folder.join("log.1")).unwrap();
    for _ in 0..10 * limits::LOG_LINES {
        let line = LogLine::free(LogKind::Notice, "a line".into());
        if log.lines.try_send(line).is_err() {
            break;
        }
    }
    log.reopen();
    log.finish();
    assert!(path.exists());
    std::fs::remove_dir_all(folder).unwrap();
}
