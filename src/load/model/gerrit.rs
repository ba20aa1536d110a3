//! Gerrit's events: the JSON of its `stream-events`, as version 2.11 wrote it, with the project and event as topic.

use fastrand::Rng;

use super::changes::{Change, Changes};
use super::choice::Choice;
use super::event::Event;
use super::json::{Json, push_number, push_revision};
use super::world::{World, any, any_text};

/// The events, and how many in a thousand are such.
const EVENTS: [(&str, f64); 11] = [
    ("comment-added", 540.0),
    ("patchset-created", 175.0),
    ("reviewer-added", 125.0),
    ("ref-updated", 75.0),
    ("change-merged", 45.0),
    ("change-abandoned", 12.0),
    ("topic-changed", 9.0),
    ("merge-failed", 6.0),
    ("hashtags-changed", 5.0),
    ("change-restored", 4.0),
    ("draft-published", 4.0),
];

/// Comments in a thousand that a machine makes.
const MACHINE_COMMENTS: u32 = 550;

pub(super) struct Gerrit {
    events: Choice,
}

impl Gerrit {
    pub(super) fn new() -> Self {
        Gerrit {
            events: Choice::weighted(&EVENTS.map(|(_, weight)| weight)),
        }
    }

    /// Writes an event and says to which repository it belongs.
    pub(super) fn fill(
        &self,
        changes: &mut Changes,
        world: &World,
        rng: &mut Rng,
        now_s: u64,
        event: &mut Event,
    ) -> u32 {
        let name = EVENTS[self.events.draw(rng)].0;
        let at = changes.draw(rng);
        if name == "patchset-created" {
            if rng.u32(..3) == 0 {
                changes.replace(at, world, rng);
            } else {
                changes.revise(at);
            }
        }
        let change = changes.get(at);
        let repo = change.repo;
        event.topic.push_str("gerrit/");
        event.topic.push_str(&world.repos[repo].path);
        event.topic.push('/');
        event.topic.push_str(name);

        let mut json = Json::payload(&mut event.payload);
        json.string("type", name);
        write_own(&mut json, name, change, world, rng);
        if !matches!(name, "ref-updated" | "hashtags-changed" | "topic-changed") {
            change.write_patch_set(&mut json, world, now_s);
        }
        if name != "ref-updated" {
            change.write(&mut json, status(name));
        }
        json.number("eventCreatedOn", now_s);
        json.end();
        if matches!(name, "change-merged" | "change-abandoned") {
            changes.replace(at, world, rng);
        }
        repo as u32
    }
}

fn status(event: &str) -> &'static str {
    match event {
        "change-merged" => "MERGED",
        "change-abandoned" => "ABANDONED",
        _ => "NEW",
    }
}

/// The fields that only one type of event has.
fn write_own(json: &mut Json, name: &str, change: &Change, world: &World, rng: &mut Rng) {
    let owner = &world.people[change.owner].json;
    let other = &any(rng, &world.people).json;
    let reason = any_text(rng, &world.subjects);
    match name {
        "comment-added" => write_comment(json, change, world, rng),
        "patchset-created" | "draft-published" => json.raw("uploader", owner),
        "reviewer-added" => json.raw("reviewer", other),
        "ref-updated" => write_ref(json, change, world, other),
        "change-merged" => {
            json.raw("submitter", &world.machines[0].json);
            json.string_of("newRev", |out| push_revision(out, change.hash() ^ 99));
        }
        "merge-failed" => {
            json.raw("submitter", &world.machines[0].json);
            json.string("reason", "Merge Conflict");
        }
        "change-abandoned" => {
            json.raw("abandoner", owner);
            json.string("reason", reason);
        }
        "change-restored" => {
            json.raw("restorer", owner);
            json.string("reason", reason);
        }
        "topic-changed" => {
            json.raw("changer", other);
            json.string("oldTopic", "bp/placement");
        }
        _ => write_hashtags(json, other),
    }
}

fn write_comment(json: &mut Json, change: &Change, world: &World, rng: &mut Rng) {
    let by_machine = rng.u32(..1000) < MACHINE_COMMENTS;
    let machine = any(rng, &world.machines);
    let (author, label, text) = if by_machine {
        (machine, "Verified", any_text(rng, &world.builds))
    } else {
        (
            any(rng, &world.people),
            "Code-Review",
            any_text(rng, &world.comments),
        )
    };
    let good = rng.u32(..5) > 0;
    json.raw("author", &author.json);
    json.array("approvals");
    json.item_object();
    json.string("type", label);
    json.string("description", label);
    json.string("value", if good { "1" } else { "-1" });
    json.string("oldValue", "0");
    json.end();
    json.item_object();
    json.string("type", "Workflow");
    json.string("description", "Workflow");
    json.string("value", "0");
    json.end();
    json.end_array();
    json.string_of("comment", |out| {
        out.extend_from_slice(b"Patch Set ");
        push_number(out, u64::from(change.patch_set));
        out.extend_from_slice(b": ");
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(if good { b"+1\\n\\n" } else { b"-1\\n\\n" });
        if by_machine {
            out.extend_from_slice(b"Build finished (check pipeline).\\n");
        }
        out.extend_from_slice(text.as_bytes());
    });
}

fn write_ref(json: &mut Json, change: &Change, world: &World, submitter: &[u8]) {
    json.raw("submitter", submitter);
    json.object("refUpdate");
    json.string_of("oldRev", |out| push_revision(out, change.hash() ^ 98));
    json.string_of("newRev", |out| push_revision(out, change.hash() ^ 99));
    json.string("refName", "refs/heads/master");
    json.string("project", &world.repos[change.repo].path);
    json.end();
}

fn write_hashtags(json: &mut Json, editor: &[u8]) {
    json.raw("editor", editor);
    json.array("added");
    json.item("pike-1");
    json.end_array();
    json.array("removed");
    json.end_array();
    json.array("hashtags");
    json.item("pike-1");
    json.item("summit");
    json.end_array();
}
