//! The texts that a person reads when the broker cannot start, and the ready line.

use std::io;

use super::*;

#[test]
fn a_taken_port_is_named_with_its_cure() {
    let error = ServeError::Listen {
        place: "127.0.0.1:1883".into(),
        at: Some("a.conf:3".into()),
        source: io::Error::from_raw_os_error(libc::EADDRINUSE),
    };
    let text = error.to_string();
    assert!(
        text.starts_with("cannot listen on 127.0.0.1:1883: "),
        "{text}"
    );
    assert!(text.contains("(a.conf:3)") && text.contains("-p"), "{text}");
    assert!(!text.contains('\n'));
}

#[test]
fn the_ready_line_names_listeners_and_shards() {
    let line = ready_line("127.0.0.1:1883", 2, &[0, 1]);
    assert!(
        line.ends_with("ready: mqtt 127.0.0.1:1883; 2 shards on CPUs 0,1"),
        "{line}"
    );
    let line = ready_line("127.0.0.1:1883", 1, &[3]);
    assert!(line.ends_with("1 shard on CPU 3"), "{line}");
}
