//! Launchpad's notifications of bugs.

use fastrand::Rng;

use super::choice::Choice;
use super::event::Event;
use super::json::{Json, decimal, mix};
use super::world::{Person, World, any, any_text};

/// Projects that have bugs: as many of the busiest repositories.
const PROJECTS: usize = 40;

const STATUSES: &[&str] = &[
    "New",
    "New",
    "Triaged",
    "Confirmed",
    "In Progress",
    "In Progress",
    "Fix Released",
    "Fix Committed",
    "Invalid",
    "Incomplete",
    "Won't Fix",
];
const IMPORTANCES: &[&str] = &["Undecided", "Wishlist", "Low", "Medium", "High", "Critical"];
const TAGS: &[&str] = &[
    "rfe",
    "api",
    "low-hanging-fruit",
    "gate-failure",
    "doc",
    "ocata-backport-potential",
    "libvirt",
    "sg-fw",
];

pub(super) struct Launchpad {
    projects: Choice,
}

impl Launchpad {
    pub(super) fn new() -> Self {
        Launchpad {
            projects: Choice::zipf(PROJECTS, 0.8),
        }
    }

    /// Writes a notification and says to which project it belongs.
    pub(super) fn fill(&self, world: &World, rng: &mut Rng, event: &mut Event) -> u32 {
        let at = self.projects.draw(rng);
        let project = &world.repos[at].project;
        // A project's bugs that are talked about these days.
        let bug = 1_600_000 + mix((at as u64) << 8 | rng.u64(..60)) % 89_000;
        let mut digits = [0; 20];
        let number = decimal(bug, &mut digits);
        event.topic.push_str("launchpad/");
        event.topic.push_str(project);
        event.topic.push_str("/bug/");
        event.topic.push_str(number);
        let bug = Bug {
            project,
            number,
            reporter: &world.people[mix(bug) as usize % world.people.len()],
        };
        write(&mut event.payload, &bug, world, rng);
        at as u32
    }
}

/// What a notification is about.
struct Bug<'a> {
    project: &'a str,
    number: &'a str,
    reporter: &'a Person,
}

fn write(payload: &mut Vec<u8>, bug: &Bug<'_>, world: &World, rng: &mut Rng) {
    let mut json = Json::payload(payload);
    json.string("status", any_text(rng, STATUSES));
    json.string("project", bug.project);
    match rng.u32(..3) {
        0 => json.string("assignee", "None"),
        _ => json.string("assignee", &any(rng, &world.people).email),
    }
    full_name(&mut json, "bug-reporter", bug.reporter);
    json.string("event-type", "bug");
    json.string("bug-number", bug.number);
    json.array("commenters");
    for _ in 0..rng.u32(1..6) {
        json.item(&any(rng, &world.people).username);
    }
    json.end_array();
    json.array("tags");
    for _ in 0..rng.u32(..3) {
        json.item(any_text(rng, TAGS));
    }
    json.end_array();
    json.string("importance", any_text(rng, IMPORTANCES));
    full_name(&mut json, "bug-modifier", any(rng, &world.people));
    json.string("body", any_text(rng, &world.reports));
    json.end();
}

/// `Full Name (username)`.
fn full_name(json: &mut Json, key: &str, person: &Person) {
    json.string_of(key, |out| {
        out.extend_from_slice(person.name.as_bytes());
        out.extend_from_slice(b" (");
        out.extend_from_slice(person.username.as_bytes());
        out.push(b')');
    });
}
