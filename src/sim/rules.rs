//! Worlds with rules: who may read what changes with reloads, and who a client is with its connections. The model knows when
//! which rules held, and by which name each connection came.

use std::collections::BTreeMap;

use super::rng::Rng;
use crate::mqtt::topic;

/// User names; a client without one may do everything.
const USERS: [&str; 3] = ["u0", "u1", "u2"];

/// The client that is the member of the shared group that stays.
pub(super) const WORKER: usize = 8;

/// What a user may read, at a time.
const READABLE: [&[&str]; 5] = [
    &["#"],
    &["a/#", "s/x"],
    &["c", "d/#", "s/y"],
    &["a/b", "s/#"],
    &[],
];

/// What each user may read, as numbers of `READABLE`; `None` while there is no file.
type Readable = Option<[usize; USERS.len()]>;

/// See the module.
#[derive(Default)]
pub(super) struct Rules {
    /// The rules, and the step from which they hold.
    versions: Vec<(u64, Readable)>,
    /// By link: the step in which it began, and the name.
    callers: BTreeMap<usize, (u64, Option<usize>)>,
    /// By client: the names that it ever came with.
    names: BTreeMap<usize, Vec<Option<usize>>>,
}

fn may(user: Option<usize>, readable: &Readable, name: &str) -> bool {
    match (user, readable) {
        (Some(user), Some(readable)) => {
            let filters = READABLE[readable[user]];
            filters.iter().any(|filter| topic::matches(filter, name))
        }
        _ => true,
    }
}

impl Rules {
    /// Whether there are any in this world.
    pub(super) fn exist(&self) -> bool {
        !self.versions.is_empty()
    }

    /// Whether a client keeps its subscriptions.
    pub(super) fn keeps(&self, client: usize) -> bool {
        self.exist() && client == WORKER
    }

    /// The rules that have held since a step.
    fn since(&self, step: u64) -> impl Iterator<Item = &Readable> {
        let before = self.versions.iter().rposition(|(from, _)| *from <= step);
        let since = &self.versions[before.unwrap_or(0)..];
        since.iter().map(|(_, readable)| readable)
    }

    /// Whether a link may have been sent a message: by some rules that held since it began.
    pub(super) fn may_come(&self, link: usize, name: &str) -> bool {
        let Some(&(step, user)) = self.callers.get(&link) else {
            return true;
        };
        !self.exist() || self.since(step).any(|readable| may(user, readable, name))
    }

    /// Whether a client may read a message that was sent in a step, whatever its name was and the rules since.
    pub(super) fn must_come(&self, client: usize, sent_at: u64, name: &str) -> bool {
        let Some(names) = self.names.get(&client).filter(|_| self.exist()) else {
            return true;
        };
        let always = |user: &Option<usize>| {
            let mut rules = self.since(sent_at);
            rules.all(|readable| may(*user, readable, name))
        };
        names.iter().all(always)
    }

    /// The name by which a client comes, after this one. It changes it where it has none yet, or may.
    pub(super) fn name_of(
        &self,
        client: usize,
        before: Option<&'static str>,
        rng: &mut Rng,
    ) -> Option<&'static str> {
        let may_change = client.is_multiple_of(3) && rng.once_in(3);
        let is_first = !self.names.contains_key(&client);
        let named = (1..=9).contains(&client) && client != WORKER;
        match named && (is_first || may_change) {
            true => USERS.get(rng.below(USERS.len() + 1)).copied(),
            false => before,
        }
    }

    /// A client comes by a link in this step, with this name.
    pub(super) fn note_caller(
        &mut self,
        client: usize,
        link: usize,
        step: u64,
        user: Option<&str>,
    ) {
        let user = user.and_then(|user| USERS.iter().position(|known| *known == user));
        self.callers.insert(link, (step, user));
        let names = self.names.entry(client).or_default();
        if !names.contains(&user) {
            names.push(user);
        }
    }

    /// From this step on other rules hold, or none. Returns the file that says so.
    pub(super) fn change(&mut self, step: u64, rng: &mut Rng) -> Option<String> {
        let has_file = !self.exist() || !rng.once_in(5);
        let readable: Readable =
            has_file.then(|| std::array::from_fn(|_| rng.below(READABLE.len())));
        self.versions.push((step, readable));
        readable.map(|readable| {
            let mut text = String::from("topic readwrite #\n");
            for (user, &readable) in USERS.iter().zip(&readable) {
                text += &format!("user {user}\ntopic write #\n");
                for filter in READABLE[readable] {
                    text += &format!("topic read {filter}\n");
                }
            }
            text
        })
    }
}
