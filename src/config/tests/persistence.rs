//! What is kept on the disk, where, and what an acknowledgement means.

use std::path::Path;

use super::*;

/// What a text says about the disk.
fn kept(text: &str) -> Persistence {
    config(text).persistence.expect(text)
}

#[test]
fn nothing_is_kept_unless_somebody_asks() {
    for text in [
        "",
        "persistence false\n",
        "persistence_location /var/lib/mosquitto/\npersistence_sync none\n",
        "persistence true\npersistence false\n",
    ] {
        assert_eq!(config(text).persistence, None, "{text}");
    }
}

/// In Mosquitto they are one option: the last line counts, whichever name it has.
#[test]
fn retained_persistence_is_another_name() {
    assert!(config("retained_persistence true\n").persistence.is_some());
    let both = "persistence true\nretained_persistence false\n";
    assert_eq!(config(both).persistence, None);
}

#[test]
fn the_store_lies_where_mosquitto_has_its_database() {
    let here = std::env::current_dir().unwrap();
    let located = |text: &str| {
        let kept = kept(&format!("persistence true\n{text}"));
        (kept.location, kept.import)
    };
    for (text, location, import) in [
        ("", here.clone(), here.join("mosquitto.db")),
        (
            "persistence_location /var/lib/mosquitto/\n",
            "/var/lib/mosquitto".into(),
            "/var/lib/mosquitto/mosquitto.db".into(),
        ),
        (
            "persistence_file a b.db\npersistence_location store/\n",
            here.join("store"),
            here.join("store/a b.db"),
        ),
        // Mosquitto puts a slash between the two, whatever the second begins with.
        (
            "persistence_location /srv\npersistence_file /x.db\n",
            "/srv".into(),
            "/srv/x.db".into(),
        ),
        ("persistence_file /x.db\n", here.clone(), "/x.db".into()),
    ] {
        assert_eq!(located(text), (location, import), "{text}");
        assert!(located(text).0.to_str().unwrap().starts_with('/'));
        assert!(
            !located(text)
                .0
                .as_os_str()
                .as_encoded_bytes()
                .ends_with(b"/")
        );
    }
    assert_eq!(kept("persistence 1\n").location, Path::new(&here));
}

#[test]
fn an_acknowledgement_means_what_is_asked_for() {
    let sync = |line: &str| kept(&format!("persistence true\n{line}\n")).sync;
    assert_eq!(sync(""), SyncPolicy::Group);
    assert_eq!(sync("persistence_sync group"), SyncPolicy::Group);
    assert_eq!(sync("persistence_sync none"), SyncPolicy::None);
    let every = [1, 1000, 60_000];
    for ms in every {
        let line = format!("persistence_sync interval {ms} # ms");
        assert_eq!(sync(&line), SyncPolicy::Interval(ms));
    }
    assert_eq!(
        warnings("persistence_sync group 5\n"),
        ["1: persistence_sync: `5` after the value is not looked at"]
    );
    for (line, told) in [
        ("", "the value is missing"),
        (" always", "`always` is none of group, interval MS or none"),
        (" interval", "milliseconds is missing, like interval 1000"),
        (" interval soon", "`soon` is not a whole number"),
        (" interval 0", "0 is out of range, 1 to 60000"),
        (" interval 60001", "out of range"),
        (" interval 4294967297", "out of range"),
        (" interval -1", "out of range"),
    ] {
        let text = error(&format!("persistence_sync{line}\n"));
        assert!(text.starts_with("1: persistence_sync: "), "{text}");
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn the_size_is_one_with_which_a_store_works() {
    let bytes =
        |word: &str| kept(&format!("persistence true\npersistence_max_size {word}\n")).max_bytes;
    assert_eq!(kept("persistence true\n").max_bytes, 0);
    assert_eq!(bytes("0"), 0);
    assert_eq!(bytes("256M"), 256 << 20);
    assert_eq!(bytes("2T"), 2 << 40);
    for (word, told) in [
        ("", "the value is missing"),
        ("1", "needs 256M at least"),
        ("255M", "needs 256M at least"),
        ("much", "a size is a number of bytes"),
        ("-1", "a size is a number of bytes"),
    ] {
        let text = error(&format!("persistence_max_size {word}\n"));
        assert!(text.contains(told), "{text}");
    }
}

/// As in Mosquitto.
#[test]
fn places_are_named_once() {
    for name in ["persistence_location", "persistence_file"] {
        let text = error(&format!("{name} a\n{name} b\n"));
        assert!(text.contains("given twice"), "{text}");
        let text = error(&format!("{name}\n"));
        assert!(text.contains("the value is missing"), "{text}");
    }
}
