//! Worlds with rules: who may read what changes with reloads, and who a client is with its connections. The model knows when
//! which rules held, and by which name each connection came.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::{SHARED, World};
use crate::access::Acl;
use crate::broker::Settings;
use crate::mqtt::topic;

/// User names; a client without one may do everything.
const USERS: [&str; 3] = ["u0", "u1", "u2"];

/// The client that is the member of the shared group that stays.
const WORKER: usize = 8;

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
pub struct Rules {
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
    pub fn exist(&self) -> bool {
        !self.versions.is_empty()
    }

    /// Whether a client keeps its subscriptions.
    pub fn keeps(&self, client: usize) -> bool {
        self.exist() && client == WORKER
    }

    /// The rules that have held since a step.
    fn since(&self, step: u64) -> impl Iterator<Item = &Readable> {
        let before = self.versions.iter().rposition(|(from, _)| *from <= step);
        let since = &self.versions[before.unwrap_or(0)..];
        since.iter().map(|(_, readable)| readable)
    }

    /// Whether a link may have been sent a message: by some rules that held since it began.
    pub fn may_come(&self, link: usize, name: &str) -> bool {
        let Some(&(step, user)) = self.callers.get(&link) else {
            return true;
        };
        !self.exist() || self.since(step).any(|readable| may(user, readable, name))
    }

    /// Whether a client may read a message that was sent in a step, whatever its name was and the rules since.
    pub fn must_come(&self, client: usize, sent_at: u64, name: &str) -> bool {
        let Some(names) = self.names.get(&client).filter(|_| self.exist()) else {
            return true;
        };
        let always = |user: &Option<usize>| {
            let mut rules = self.since(sent_at);
            rules.all(|readable| may(*user, readable, name))
        };
        names.iter().all(always)
    }
}

impl World {
    /// From here on there are rules. One member of the shared group may read everything and stays: what the other one may
    /// not read is its.
    pub fn begin_rules(&mut self) {
        self.reload();
        self.clients[WORKER].steady = true;
        self.connect(WORKER);
        self.settle();
        self.subscribe_to(WORKER, &[(SHARED, 1)]);
        self.settle();
    }

    /// The name by which a client comes next, and notes it. One in three changes it, now and then.
    pub fn name(&mut self, index: usize, link: usize) {
        if !self.oracle.rules.exist() {
            return;
        }
        let may_change = index.is_multiple_of(3) && self.rng.once_in(3);
        let is_first = !self.oracle.rules.names.contains_key(&index);
        let named = (1..=9).contains(&index) && index != WORKER;
        if named && (is_first || may_change) {
            let user = self.rng.below(USERS.len() + 1);
            self.clients[index].user = USERS.get(user).copied();
        }
        let user = self.clients[index].user;
        let user = user.and_then(|user| USERS.iter().position(|known| *known == user));
        let rules = &mut self.oracle.rules;
        rules.callers.insert(link, (self.step, user));
        let names = rules.names.entry(index).or_default();
        if !names.contains(&user) {
            names.push(user);
        }
    }

    /// All shards read the configuration again, with other rules, or none.
    pub fn reload(&mut self) {
        let has_file = !self.oracle.rules.exist() || !self.rng.once_in(5);
        let readable: Readable =
            has_file.then(|| std::array::from_fn(|_| self.rng.below(READABLE.len())));
        self.oracle.rules.versions.push((self.step, readable));
        let mut settings = Settings::clone(&self.settings);
        settings.listeners[0].acl = readable.map(|readable| {
            let mut text = String::from("topic readwrite #\n");
            for (user, &readable) in USERS.iter().zip(&readable) {
                text += &format!("user {user}\ntopic write #\n");
                for filter in READABLE[readable] {
                    text += &format!("topic read {filter}\n");
                }
            }
            Arc::new(Acl::parse(text.as_bytes()).unwrap().0)
        });
        let settings = Arc::new(settings);
        for shard in 0..self.brokers.len() {
            self.brokers[shard].on_reload(self.now_ms, settings.clone());
            self.after(shard);
        }
    }
}
