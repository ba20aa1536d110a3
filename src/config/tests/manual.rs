//! The words of the manual against the table of options, and their examples against the parser.

use super::super::manual::{Entry, GROUPS, chapters};
use super::*;

fn entries() -> impl Iterator<Item = &'static Entry> {
    GROUPS.iter().flat_map(|group| group.entries)
}

#[test]
fn each_option_of_the_table_is_in_the_manual_and_the_other_way_round() {
    let told: Vec<&str> = entries().map(|entry| entry.name).collect();
    let names: HashSet<&str> = told.iter().copied().collect();
    assert_eq!(told.len(), names.len(), "an option is told twice");
    let table: HashSet<&str> = OPTIONS.iter().map(|option| option.name).collect();
    let untold: Vec<_> = table.difference(&names).collect();
    let unknown: Vec<_> = names.difference(&table).collect();
    assert!(
        untold.is_empty() && unknown.is_empty(),
        "not in the manual: {untold:?}; only in the manual: {unknown:?}"
    );
}

#[test]
fn everything_is_said_of_each_option() {
    for chapter in chapters() {
        for option in chapter.options {
            let name = option.name;
            assert!(!option.value.is_empty(), "{name}: what stands behind it?");
            assert!(!option.default.is_empty(), "{name}");
            assert!(option.text.ends_with('.'), "{name}: {}", option.text);
            let pages = option.text.matches("(5)").count() + option.text.matches("(1)").count();
            assert!(pages < 3, "{name} is explained elsewhere");
        }
    }
}

/// What the table says of a default and of a form is not said again.
#[test]
fn words_repeat_nothing_of_the_table() {
    for entry in entries() {
        let option = OPTIONS.iter().find(|option| option.name == entry.name);
        let option = option.unwrap();
        assert!(
            option.default.is_empty() || entry.left_out.is_empty(),
            "{}: two defaults",
            entry.name
        );
    }
}

/// An example that names no file is what the parser takes, and is not the default.
#[test]
fn examples_are_right() {
    for entry in entries().filter(|entry| !entry.example.contains('/')) {
        let option = OPTIONS.iter().find(|option| option.name == entry.name);
        assert_ne!(option.unwrap().default, entry.example, "{}", entry.name);
        let about = entry.name;
        // They say which listeners there are, or need more than themselves.
        let lines = match about {
            "listener" => format!("listener {}\n", entry.example),
            "port" | "bind_address" | "per_listener_settings" => {
                format!("{about} {}\n", entry.example)
            }
            _ => format!("listener 8883\n{about} {}\n", entry.example),
        };
        let refused = read(&lines).err().map(|error| error.to_string());
        // A listener without a certificate has no use for it, which is found behind the line.
        let refused = refused.filter(|error| !error.contains("the listener speaks no TLS"));
        assert_eq!(refused, None, "{about}");
    }
}
