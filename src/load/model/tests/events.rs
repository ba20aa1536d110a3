//! Topics, payloads, filters and clients.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::events_of;
use crate::load::job::BUS_STREAMS;
use crate::load::model::clients::Clients;
use crate::load::model::{
    Bus, Event, PUBLISHERS_2017, STAMP_CHARS, STAMP_OFFSET, Source, filters, names, sources, world,
};
use crate::load::stamp::{Read, Stamp, read, write_json};
use crate::mqtt::topic::{matches, topic_filter_valid, topic_name_valid};

const GERRIT_EVENTS: [&str; 11] = [
    "change-abandoned",
    "change-merged",
    "change-restored",
    "comment-added",
    "draft-published",
    "hashtags-changed",
    "merge-failed",
    "patchset-created",
    "ref-updated",
    "reviewer-added",
    "topic-changed",
];

/// A busy quarter of a minute with a burst at its beginning.
fn sample() -> Vec<Event> {
    let bus = Bus::new(5, 20.0, PUBLISHERS_2017).with_start_minute(14.0 * 60.0);
    events_of(bus, 20)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn has_shape(event: &Event) -> bool {
    let levels: Vec<&str> = event.topic.split('/').collect();
    let in_repo = |namespace: &str| namespace.starts_with("openstack");
    match (event.source, levels.as_slice()) {
        (Source::Gerrit, ["gerrit", namespace, _, name]) => {
            in_repo(namespace) && GERRIT_EVENTS.contains(name)
        }
        (Source::Launchpad, ["launchpad", _, "bug", number]) => is_number(number),
        (Source::Ansible, ["ansible", "playbook", uuid, rest @ ..]) => {
            is_uuid(uuid)
                && matches!(
                    rest,
                    ["action", "start"]
                        | ["action", "finish", "OK" | "FAILED"]
                        | ["stats", _]
                        | ["task", _, "OK" | "FAILED" | "UNREACHABLE"]
                )
        }
        (Source::Subunit, ["gearman-subunit", worker, namespace, _, change]) => {
            worker.starts_with("subunit-worker") && in_repo(namespace) && is_number(change)
        }
        (Source::Logstash, ["gearman-logstash", worker, namespace, _, change, last]) => {
            let named = worker.starts_with("logstash-worker") && in_repo(namespace);
            named && is_number(change) && *last == "retrieve_logs"
        }
        _ => false,
    }
}

#[test]
fn topics_are_valid_and_of_the_published_shapes() {
    let mut sources_seen = HashSet::new();
    for event in sample() {
        assert!(topic_name_valid(&event.topic), "{}", event.topic);
        assert!(has_shape(&event), "{:?} {}", event.source, event.topic);
        sources_seen.insert(event.source);
    }
    assert_eq!(sources_seen.len(), sources().len());
}

/// Each of the events of Gerrit, and each end of tasks and of playbooks, occurs.
#[test]
fn everything_happens_at_some_time() {
    let bus = Bus::new(9, 200.0, 1).with_start_minute(14.0 * 60.0);
    let events = events_of(bus, 10);
    let seen: HashSet<&str> = events
        .iter()
        .filter_map(|event| event.topic.rsplit('/').next())
        .collect();
    for name in GERRIT_EVENTS
        .into_iter()
        .chain(["start", "OK", "FAILED", "UNREACHABLE"])
    {
        assert!(seen.contains(name), "{name}");
    }
}

fn required(event: &Event) -> &'static [&'static str] {
    let last = event.topic.rsplit('/').next().unwrap();
    match event.source {
        Source::Gerrit => match last {
            "comment-added" => &["author", "approvals", "comment", "patchSet", "change"],
            "patchset-created" | "draft-published" => &["uploader", "patchSet", "change"],
            "change-merged" => &["submitter", "newRev", "patchSet", "change"],
            "change-abandoned" => &["abandoner", "reason", "patchSet", "change"],
            "change-restored" => &["restorer", "reason", "patchSet", "change"],
            "merge-failed" => &["submitter", "reason", "patchSet", "change"],
            "reviewer-added" => &["reviewer", "patchSet", "change"],
            "topic-changed" => &["changer", "oldTopic", "change"],
            "hashtags-changed" => &["editor", "added", "removed", "hashtags", "change"],
            _ => &["submitter", "refUpdate"],
        },
        Source::Launchpad => &[
            "status",
            "project",
            "assignee",
            "bug-reporter",
            "event-type",
            "bug-number",
            "commenters",
            "tags",
            "importance",
            "bug-modifier",
            "body",
        ],
        Source::Ansible if event.topic.contains("/task/") => &[
            "status",
            "host",
            "session",
            "playbook_name",
            "playbook_id",
            "ansible_result",
            "ansible_type",
            "ansible_task",
            "ansible_host",
        ],
        Source::Ansible if event.topic.contains("/stats/") => {
            &["host", "ansible_host", "playbook_id", "stats"]
        }
        Source::Ansible => &["status", "playbook_name", "playbook_id"],
        Source::Subunit | Source::Logstash => &["status", "build_uuid", "source_url"],
    }
}

#[test]
fn payloads_are_json_with_the_fields_of_their_kind() {
    for event in sample() {
        let text = std::str::from_utf8(&event.payload).unwrap();
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let object = value.as_object().unwrap();
        for field in required(&event) {
            assert!(object.contains_key(*field), "{field}: {text}");
        }
        let levels: Vec<&str> = event.topic.split('/').collect();
        match event.source {
            Source::Gerrit => agree_on_change(&levels, &value),
            Source::Launchpad => {
                assert_eq!(value["project"], levels[1]);
                assert_eq!(value["bug-number"], levels[3]);
            }
            Source::Ansible => {
                assert_eq!(value["playbook_id"], levels[2]);
                if let ["task", host, status] = levels[3..] {
                    assert_eq!(value["ansible_host"], host);
                    assert_eq!(value["status"], status);
                }
            }
            Source::Subunit | Source::Logstash => {
                let url = value["source_url"].as_str().unwrap();
                assert!(url.contains(&format!("/{}/", levels[4])), "{url}");
                assert_eq!(value["build_uuid"].as_str().unwrap().len(), 32);
            }
        }
    }
}

fn agree_on_change(levels: &[&str], value: &Value) {
    assert_eq!(value["type"], levels[3]);
    // The first minute from 14:00 on May 8, 2017.
    let created = value["eventCreatedOn"].as_u64().unwrap();
    assert!((1_494_252_000..1_494_252_060).contains(&created));
    let repo = format!("{}/{}", levels[1], levels[2]);
    if levels[3] == "ref-updated" {
        assert_eq!(value["refUpdate"]["project"], repo);
        return;
    }
    let change = &value["change"];
    assert_eq!(change["project"], repo);
    for field in [
        "branch", "id", "number", "subject", "owner", "url", "status",
    ] {
        assert!(change[field].is_string() || change[field].is_object());
    }
    assert_eq!(change["id"].as_str().unwrap().len(), 41);
    let patch_set = &value["patchSet"];
    if patch_set.is_object() {
        assert_eq!(patch_set["revision"].as_str().unwrap().len(), 40);
        let number = change["number"].as_str().unwrap();
        let end = format!("/{number}/{}", patch_set["number"].as_str().unwrap());
        assert!(patch_set["ref"].as_str().unwrap().ends_with(&end));
    }
}

#[test]
fn the_stamp_has_its_place() {
    for (sequence, mut event) in (0..).zip(sample()) {
        assert_eq!(event.payload[..STAMP_OFFSET], *b"{\"fh\":\"");
        let end = STAMP_OFFSET + STAMP_CHARS;
        assert!(event.payload[STAMP_OFFSET..end].iter().all(|b| *b == b'0'));
        assert_eq!(event.payload[end..end + 2], *b"\",");
        let stamp = Stamp {
            run: 7,
            stream: 3,
            sequence,
            intended_ns: event.at_ns,
        };
        write_json(&mut event.payload, stamp);
        assert_eq!(read(&event.payload, b""), Read::Stamped(stamp));
    }
}

/// A playbook starts, does its tasks, tells the statistics of the hosts on which they were, and finishes; hosts on
/// which a task went wrong take no part any more, and make it fail.
#[test]
fn playbooks_run_from_start_to_finish() {
    let mut runs: HashMap<String, Vec<String>> = HashMap::new();
    for event in sample().iter().filter(|e| e.source == Source::Ansible) {
        let levels: Vec<&str> = event.topic.splitn(4, '/').collect();
        let run = runs.entry(levels[2].into()).or_default();
        run.push(levels[3].into());
    }
    let mut finished = 0;
    for steps in runs.values() {
        assert_eq!(steps[0], "action/start");
        let Some(finish) = steps.iter().position(|s| s.starts_with("action/finish/")) else {
            continue;
        };
        finished += 1;
        assert_eq!(finish, steps.len() - 1);
        let tasks: Vec<&str> = steps
            .iter()
            .filter_map(|s| s.strip_prefix("task/"))
            .collect();
        let stats: Vec<&str> = steps
            .iter()
            .filter_map(|s| s.strip_prefix("stats/"))
            .collect();
        let on: HashSet<&str> = tasks.iter().filter_map(|t| t.split('/').next()).collect();
        assert_eq!(on, stats.iter().copied().collect());
        assert_eq!(steps.len(), tasks.len() + stats.len() + 2);
        let bad = tasks.iter().any(|task| !task.ends_with("/OK"));
        assert_eq!(steps[finish].ends_with("FAILED"), bad);
    }
    assert!(finished >= 5, "{finished}");
}

/// The three filters that the issue names get messages in the first two minutes, whatever the seed.
#[test]
fn the_published_filters_match_within_two_minutes() {
    for seed in 0..8 {
        let events = events_of(Bus::new(seed, 1.0, 1), 120);
        for (filter, _) in &filters()[..3] {
            let count = events.iter().filter(|e| matches(filter, &e.topic)).count();
            assert!(count > 0, "seed {seed}: {filter}");
        }
    }
}

/// Every filter is valid and matches something, and the sets of filters that messages match are fewer than the
/// streams of a publisher.
#[test]
fn filters_match_and_their_sets_are_few() {
    let mut seen = vec![0; filters().len()];
    let mut sets = HashSet::new();
    for event in sample() {
        let mut set = 0u64;
        for (at, (filter, _)) in filters().iter().enumerate() {
            if matches(filter, &event.topic) {
                seen[at] += 1;
                set |= 1 << at;
            }
        }
        sets.insert(set);
    }
    for ((filter, weight), count) in filters().iter().zip(seen) {
        assert!(topic_filter_valid(filter) && *weight > 0);
        assert!(count > 0, "{filter}");
    }
    assert_eq!(filters().iter().map(|(_, weight)| weight).sum::<u32>(), 100);
    assert!(sets.len() as u32 <= BUS_STREAMS / 2, "{}", sets.len());
}

#[test]
fn each_publisher_belongs_to_one_source_and_keeps_its_topics() {
    for publishers in [5, 12, PUBLISHERS_2017, 200] {
        let bus = Bus::new(1, 20.0, publishers).with_start_minute(14.0 * 60.0);
        let mut source_of = HashMap::new();
        let mut publisher_of = HashMap::new();
        for event in events_of(bus, 20) {
            assert!(event.publisher < publishers);
            let source = source_of.entry(event.publisher).or_insert(event.source);
            assert_eq!(*source, event.source);
            let publisher = publisher_of.entry(event.topic).or_insert(event.publisher);
            assert_eq!(*publisher, event.publisher);
        }
    }
}

#[test]
fn clients_are_divided_without_rest() {
    for publishers in 0..300 {
        let clients = Clients::new(publishers);
        let sum: u32 = sources().iter().map(|source| clients.count(*source)).sum();
        assert_eq!(sum, publishers.max(5));
        for source in sources() {
            for key in 0..500 {
                assert!(clients.publisher(*source, key) < publishers.max(1));
            }
        }
    }
    let of_2017 = Clients::new(PUBLISHERS_2017);
    let counts: Vec<u32> = sources().iter().map(|s| of_2017.count(*s)).collect();
    assert_eq!(counts, [1, 1, 1, 2, 20]);
}

#[test]
fn names_are_many_and_distinct() {
    let world = world::World::new(&mut fastrand::Rng::with_seed(1));
    let repos: HashSet<&str> = world.repos.iter().map(|repo| repo.path.as_str()).collect();
    assert_eq!(repos.len(), world.repos.len());
    assert!((180..=220).contains(&repos.len()), "{}", repos.len());
    let users: HashSet<&str> = world.people.iter().map(|p| p.username.as_str()).collect();
    assert_eq!(users.len(), world.people.len());
    let hosts: HashSet<&str> = world.hosts.iter().map(String::as_str).collect();
    assert_eq!(hosts.len(), world.hosts.len());
    assert_eq!(world.hosts[0], "health.openstack.org");
    assert_eq!(names::REPOS[0], "openstack/nova");
}

#[test]
fn seeds_repeat_everything() {
    let events = |seed| events_of(Bus::new(seed, 10.0, 25).with_time_lapse(30.0), 20);
    assert_eq!(events(3), events(3));
    assert_ne!(events(3), events(4));
}
