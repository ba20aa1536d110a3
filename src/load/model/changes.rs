//! The open changes under review: what Gerrit's events and the workers' messages are about.

use fastrand::Rng;

use super::choice::Choice;
use super::json::{Json, decimal, mix, push_number, push_revision};
use super::world::{World, any_text};

/// Open changes of each repository.
const OPEN_PER_REPO: usize = 8;

/// The number of the first change, about that of May 2017.
const FIRST_NUMBER: u32 = 461_900;

/// A change under review.
pub(super) struct Change {
    pub repo: usize,
    pub number: u32,
    /// The number of its latest patch set.
    pub patch_set: u32,
    pub owner: usize,
    /// Its attributes in JSON, without the end of the object: the status follows.
    open_json: Vec<u8>,
}

/// All of them.
pub(super) struct Changes {
    list: Vec<Change>,
    repos: Choice,
    next_number: u32,
}

impl Changes {
    pub(super) fn new(world: &World, rng: &mut Rng) -> Self {
        let mut changes = Changes {
            list: Vec::new(),
            repos: Choice::zipf(world.repos.len(), 0.8),
            next_number: FIRST_NUMBER,
        };
        for repo in 0..world.repos.len() {
            for _ in 0..OPEN_PER_REPO {
                let mut change = changes.open(repo, Vec::new(), world, rng);
                change.patch_set = rng.u32(1..9);
                changes.list.push(change);
            }
        }
        changes
    }

    /// One of the open changes, of the busy repositories more often.
    #[inline]
    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        self.repos.draw(rng) * OPEN_PER_REPO + rng.usize(..OPEN_PER_REPO)
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> &Change {
        &self.list[at]
    }

    /// Puts a new change in the place of one that is done with.
    pub(super) fn replace(&mut self, at: usize, world: &World, rng: &mut Rng) {
        let old = &mut self.list[at];
        let (repo, buffer) = (old.repo, std::mem::take(&mut old.open_json));
        self.list[at] = self.open(repo, buffer, world, rng);
    }

    /// Another patch set of a change.
    pub(super) fn revise(&mut self, at: usize) {
        self.list[at].patch_set += 1;
    }

    fn open(&mut self, repo: usize, buffer: Vec<u8>, world: &World, rng: &mut Rng) -> Change {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        let owner = rng.usize(..world.people.len());
        let mut change = Change {
            repo,
            number,
            patch_set: 1,
            owner,
            open_json: buffer,
        };
        change.write_open(world, rng);
        change
    }
}

impl Change {
    fn write_open(&mut self, world: &World, rng: &mut Rng) {
        let mut digits = [0; 20];
        let number = decimal(u64::from(self.number), &mut digits);
        let hash = self.hash();
        let subject = any_text(rng, &world.subjects);
        self.open_json.clear();
        let mut json = Json::part(&mut self.open_json);
        json.string("project", &world.repos[self.repo].path);
        json.string(
            "branch",
            ["master", "stable/ocata"][usize::from(rng.u32(..8) == 0)],
        );
        if rng.bool() {
            json.string_of("topic", |out| {
                out.extend_from_slice(b"bug/");
                push_number(out, u64::from(rng.u32(1_500_000..1_690_000)));
            });
        }
        json.string_of("id", |out| push_change_id(out, hash));
        json.string("number", number);
        json.string("subject", subject);
        json.raw("owner", &world.people[self.owner].json);
        json.string_of("url", |out| {
            out.extend_from_slice(b"https://review.openstack.org/");
            out.extend_from_slice(number.as_bytes());
        });
        json.string_of("commitMessage", |out| {
            out.extend_from_slice(subject.as_bytes());
            out.extend_from_slice(b"\\n\\n");
            out.extend_from_slice(any_text(rng, &world.comments).as_bytes());
            out.extend_from_slice(b"\\n\\nChange-Id: ");
            push_change_id(out, hash);
            out.extend_from_slice(b"\\n");
        });
    }

    /// A number that belongs to the change.
    pub(super) fn hash(&self) -> u64 {
        mix(u64::from(self.number))
    }

    /// Writes its `change` field.
    pub(super) fn write(&self, json: &mut Json, status: &str) {
        json.raw("change", &self.open_json);
        json.string("status", status);
        json.end();
    }

    /// Appends its path among the refs and the logs: `23/461923/4`.
    pub(super) fn push_path(&self, out: &mut Vec<u8>) {
        push_number(out, u64::from(self.number / 10 % 10));
        push_number(out, u64::from(self.number % 10));
        out.push(b'/');
        push_number(out, u64::from(self.number));
        out.push(b'/');
        push_number(out, u64::from(self.patch_set));
    }

    /// Writes its `patchSet` field.
    pub(super) fn write_patch_set(&self, json: &mut Json, world: &World, now_s: u64) {
        let owner = &world.people[self.owner].json;
        let revision = self.hash() ^ u64::from(self.patch_set);
        let mut digits = [0; 20];
        json.object("patchSet");
        json.string("number", decimal(u64::from(self.patch_set), &mut digits));
        json.string_of("revision", |out| push_revision(out, revision));
        json.array("parents");
        json.item(MASTER);
        json.end_array();
        json.string_of("ref", |out| {
            out.extend_from_slice(b"refs/changes/");
            self.push_path(out);
        });
        json.raw("uploader", owner);
        json.number("createdOn", now_s - revision % 200_000);
        json.raw("author", owner);
        json.boolean("isDraft", false);
        json.string(
            "kind",
            ["REWORK", "TRIVIAL_REBASE"][usize::from(revision.is_multiple_of(5))],
        );
        json.number("sizeInsertions", revision >> 20 & 255);
        // Gerrit counts deletions below zero.
        json.negative("sizeDeletions", 1 + (revision >> 30 & 127));
        json.end();
    }
}

/// The commit that patch sets are based on.
const MASTER: &str = "5f0c6d1b9a7e48c2d3b4a5968778695a4b3c2d1e";

fn push_change_id(out: &mut Vec<u8>, hash: u64) {
    out.push(b'I');
    push_revision(out, hash ^ 8);
}
