//! Every option of Mosquitto 2.1's manual, and what becomes of it.

use std::collections::HashSet;

use super::super::known::{KNOWN, Known};
use super::*;

const LIST: &str = include_str!("mosquitto-2.1.options");

/// Names and what the list says of them.
fn listed() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = LIST
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (name, verdict) = line.split_once(' ').unwrap();
        (name, verdict.trim())
    })
}

/// Why an option of this kind is not honoured, in the words of the list.
fn reason(known: Known) -> &'static str {
    match known {
        Known::Bridge => "bridges",
        Known::Control | Known::Plugin => "plugins",
        Known::Psk => "pre-shared keys",
        Known::Engine | Known::KeyForm => "engines",
        Known::Meaningless(_) => "no meaning here",
        Known::Obsolete => "none",
    }
}

#[test]
fn every_option_is_honoured_or_has_its_reason() {
    for (name, verdict) in listed() {
        let is_ours = OPTIONS.iter().any(|option| option.name == name);
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let found = match known {
            None if is_ours => "honoured",
            Some((_, known)) => reason(*known),
            None => "unknown",
        };
        assert_eq!(found, verdict, "{name}");
    }
}

/// What is not honoured and stands in no list is of older versions only.
#[test]
fn nothing_else_is_left_out() {
    let listed: HashSet<&str> = listed().map(|(name, _)| name).collect();
    let others = KNOWN.iter().map(|(name, _)| *name);
    let others: Vec<&str> = others.filter(|name| !listed.contains(name)).collect();
    assert_eq!(others, ["retry_interval"]);
}

/// The reason is in the warning, or in the error where going on would let somebody in.
#[test]
fn the_reason_is_told() {
    for (line, told) in [
        ("autosave_interval 1800", "nothing waits to be saved here"),
        ("autosave_on_changes true", "nothing waits to be saved here"),
        ("connection up", "bridges are not supported"),
        ("listener 1\nhttp_dir /srv", "over HTTP"),
        ("enable_control_api true", "no plugins here"),
        ("dhparamfile /etc/dh.pem", "elliptic curves"),
        (
            "packet_buffer_size 8192",
            "buffers that all connections share",
        ),
        ("websockets_log_level 7", "libwebsockets"),
        ("tls_keyform pem", "PEM"),
    ] {
        let (_, warnings) = read(&format!("{line}\n")).unwrap();
        let text = warnings[0].to_string();
        assert!(text.contains(told), "{text}");
    }
    for (line, told) in [
        ("plugin /usr/lib/x.so", "would open the broker"),
        ("psk_hint x", "pre-shared keys is not spoken here"),
        ("tls_engine pkcs11", "rustls"),
        ("tls_keyform engine", "PEM"),
    ] {
        let text = error(&format!("{line}\n"));
        assert!(text.contains(told), "{text}");
    }
}
