//! The texts that a person reads when the broker cannot start, and the ready line.

use std::io;

use super::*;

#[test]
fn a_taken_port_is_named_with_its_cure() {
    let text = |at: Option<&str>| {
        let error = ServeError::Listen {
            place: "127.0.0.1:1883".into(),
            at: at.map(String::from),
            source: io::Error::from_raw_os_error(libc::EADDRINUSE),
        };
        error.to_string()
    };
    let default = text(None);
    assert!(
        default.ends_with("choose another port with -p"),
        "{default}"
    );
    // Where a file has the listener, -p has no effect.
    let text = text(Some("a.conf:3"));
    assert!(
        text.starts_with("cannot listen on 127.0.0.1:1883: "),
        "{text}"
    );
    assert!(
        text.contains("(a.conf:3)") && text.ends_with("choose another port in that line"),
        "{text}"
    );
    assert!(!text.contains('\n'));
}

#[test]
fn the_ready_line_names_listeners_and_shards() {
    let line = ready_line("mqtt 127.0.0.1:1883", 2, &[0, 1], "nobody");
    assert!(
        line.ends_with("ready: mqtt 127.0.0.1:1883; 2 shards on CPUs 0,1; user nobody"),
        "{line}"
    );
    let line = ready_line("mqtt 127.0.0.1:1883", 1, &[3], "nobody");
    assert!(line.contains("1 shard on CPU 3;"), "{line}");
}

#[test]
fn rings_get_shorter_where_there_are_many() {
    assert_eq!(resources::mesh_slots(1), limits::MESH_SLOTS);
    assert_eq!(resources::mesh_slots(2), limits::MESH_SLOTS);
    let most = limits::SHARDS_MAX as u8;
    let slots = resources::mesh_slots(most);
    assert!(slots.is_power_of_two() && slots >= 64);
    assert!(slots * usize::from(most) * usize::from(most - 1) <= limits::MESH_SLOTS_TOTAL);
}

#[test]
fn file_tables_are_no_larger_than_the_configuration_can_use() {
    let mut config = Config::default();
    let all = resources::descriptors(&config);
    config.global_max_connections = Some(10);
    let few = resources::descriptors(&config);
    assert_eq!(few, all.min(10 + limits::DESCRIPTORS_SPARE));
    assert!(resources::check_open_files(&config, 1).is_ok());
    config.global_max_connections = Some(u32::MAX);
    assert!(matches!(
        resources::check_open_files(&config, 1),
        Err(ServeError::Host(HostError::OpenFiles { .. }))
    ));
}

#[test]
fn shards_are_as_many_as_asked_for_or_one_per_cpu() {
    assert_eq!(resources::shards(Some(3), 2), 3);
    assert_eq!(resources::shards(None, 2), 2);
    assert_eq!(
        usize::from(resources::shards(None, 500)),
        limits::SHARDS_MAX
    );
    assert_eq!(resources::shards(None, 0), 1);
}

/// The unit of `tuning/` starts the broker anew unless the code is 2 or 3.
#[test]
fn what_fails_while_it_runs_is_started_anew() {
    use crate::shard::ShardError;
    use crate::uring::RingError;
    let source = || Box::new(ShardError::Ring(RingError::Lost));
    let (shard, unit) = (1, include_str!("../../tuning/firehose.service"));
    let failed = ServeError::Failed {
        shard,
        source: source(),
    };
    assert_eq!(failed.exit_code(), EXIT_FAILED);
    assert_eq!(ServeError::Lost(shard).exit_code(), EXIT_FAILED);
    let at_start = ServeError::Shard {
        shard,
        source: source(),
    };
    assert_eq!(at_start.exit_code(), EXIT_MACHINE);
    assert!(unit.contains("\nRestart=on-failure\n"));
    assert!(unit.contains("\nRestartPreventExitStatus=2 3\n"));
}

/// What the manual says of restarts is what a reload says: each option's example, read after a start without it.
#[test]
fn the_manual_knows_what_needs_a_restart() {
    use crate::config::manual::{Change, chapters};
    let folder = std::env::temp_dir().join(format!("firehose-manual-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let read = |text: &str| {
        let file = folder.join("broker.conf");
        std::fs::write(&file, text).unwrap();
        crate::config::load(&file).map(|(config, _)| config)
    };
    let options = chapters().into_iter().flat_map(|chapter| chapter.options);
    let mut of_listeners = Vec::new();
    for option in options {
        let kept = match option.name {
            "persistence" | "retained_persistence" => "",
            _ => "persistence true\n",
        };
        let before = format!("{kept}listener 8883\n");
        let after = format!("{before}{} {}\n", option.name, option.example);
        let needed = match read(&after) {
            Ok(after) => changes::needs_restart(&read(&before).unwrap(), &after).is_some(),
            // It names a file that is not here, or says which listeners there are: nothing of either waits.
            Err(_) => false,
        };
        match option.scope {
            "the broker" => assert_eq!(option.change == Change::Restart, needed, "{}", option.name),
            _ if option.change == Change::Restart => of_listeners.push(option.name),
            _ => {}
        }
    }
    // `changes::lines` tells of it.
    assert_eq!(of_listeners, ["mount_point"]);
    std::fs::remove_dir_all(&folder).unwrap();
}
