//! What events are about: repositories, people, and texts that are made once and copied after.

use fastrand::Rng;

use super::json::{Json, escape};
use super::names::{
    ADJECTIVES, FAMILIES, FIRST_NAMES, HOSTS, JOBS, MACHINES, NOUNS, OSLO, REPOS, SECOND_NAMES,
    TAILS, VERBS, WORDS,
};

const SUBJECTS: usize = 256;
const COMMENTS: usize = 96;
const REPORTS: usize = 48;

/// A repository.
pub(super) struct Repo {
    /// `NAMESPACE/REPO`.
    pub path: String,
    /// What Launchpad calls the project.
    pub project: String,
}

/// A person or a system with an account.
pub(super) struct Person {
    pub name: String,
    pub username: String,
    pub email: String,
    /// The account as Gerrit writes it.
    pub json: Vec<u8>,
}

/// All of it; texts are escaped.
pub(super) struct World {
    pub repos: Vec<Repo>,
    pub people: Vec<Person>,
    pub machines: Vec<Person>,
    pub hosts: Vec<String>,
    pub subjects: Vec<String>,
    /// What people say of a patch set.
    pub comments: Vec<String>,
    /// What is said of a bug.
    pub reports: Vec<String>,
    /// Lists of a build's results.
    pub builds: Vec<String>,
}

impl World {
    pub(super) fn new(rng: &mut Rng) -> Self {
        World {
            repos: repos(),
            people: people(),
            machines: MACHINES.iter().map(|name| machine(name)).collect(),
            hosts: hosts(),
            subjects: (0..SUBJECTS).map(|_| escape(&subject(rng))).collect(),
            comments: texts(rng, COMMENTS, 4, 90),
            reports: texts(rng, REPORTS, 20, 320),
            builds: (0..COMMENTS).map(|_| escape(&build(rng))).collect(),
        }
    }
}

/// One of a list that is not empty.
#[inline]
pub(super) fn any<'a, T>(rng: &mut Rng, list: &'a [T]) -> &'a T {
    &list[rng.usize(..list.len())]
}

/// One of a list of texts that is not empty.
#[inline]
pub(super) fn any_text<'a, S: AsRef<str>>(rng: &mut Rng, list: &'a [S]) -> &'a str {
    any(rng, list).as_ref()
}

fn repos() -> Vec<Repo> {
    let mut paths: Vec<String> = REPOS.iter().map(|path| path.to_string()).collect();
    for family in FAMILIES {
        paths.push(format!("openstack/python-{family}client"));
        paths.push(format!("openstack/puppet-{family}"));
        paths.push(format!("openstack/openstack-ansible-os_{family}"));
    }
    paths.extend(OSLO.iter().map(|name| format!("openstack/oslo.{name}")));
    let project = |path: &String| path.rsplit('/').next().unwrap_or(path).to_string();
    paths
        .into_iter()
        .map(|path| Repo {
            project: project(&path),
            path,
        })
        .collect()
}

fn hosts() -> Vec<String> {
    let mut hosts = Vec::new();
    for (name, numbers) in HOSTS {
        match name.split_once('.') {
            Some((first, rest)) if *numbers > 0 => {
                hosts.extend((1..=*numbers).map(|number| format!("{first}{number:02}.{rest}")));
            }
            _ => hosts.push(name.to_string()),
        }
    }
    hosts
}

fn people() -> Vec<Person> {
    let mut people = Vec::new();
    for (at, second) in SECOND_NAMES.iter().enumerate() {
        for (step, first) in FIRST_NAMES.iter().enumerate() {
            let (first_low, second_low) = (first.to_lowercase(), second.to_lowercase());
            // Two styles of user names.
            let username = if (at + step) % 3 == 0 {
                format!("{first_low}-{second_low}")
            } else {
                format!("{}{second_low}", &first_low[..2])
            };
            let email = format!("{first_low}.{second_low}@example.org");
            people.push(person(format!("{first} {second}"), username, email));
        }
    }
    people
}

fn machine(name: &str) -> Person {
    let username = name.to_lowercase().replace(' ', "-");
    let email = format!("{username}@example.com");
    person(name.to_string(), username, email)
}

fn person(name: String, username: String, email: String) -> Person {
    let mut bytes = Vec::new();
    let mut json = Json::part(&mut bytes);
    json.string("name", &name);
    json.string("email", &email);
    json.string("username", &username);
    json.end();
    Person {
        name,
        username,
        email,
        json: bytes,
    }
}

fn subject(rng: &mut Rng) -> String {
    let (verb, adjective) = (any_text(rng, VERBS), any_text(rng, ADJECTIVES));
    let (noun, tail) = (any_text(rng, NOUNS), any_text(rng, TAILS));
    format!("{verb} {adjective} {noun} {tail}")
}

/// Texts of about `least` to `most` words, short ones first of all.
fn texts(rng: &mut Rng, count: usize, least: usize, most: usize) -> Vec<String> {
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        let share = rng.f64();
        let words = least + ((most - least) as f64 * share * share) as usize;
        list.push(escape(&text(rng, words)));
    }
    list
}

/// Running text in sentences and paragraphs.
pub(super) fn text(rng: &mut Rng, words: usize) -> String {
    let mut text = String::new();
    let mut in_sentence = 0;
    for left in (0..words).rev() {
        let word = any_text(rng, WORDS);
        let mut letters = word.chars();
        if in_sentence == 0 {
            text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        }
        text.extend(letters);
        in_sentence += 1;
        let end = match rng.u32(..12) {
            _ if left == 0 => ".",
            0 if in_sentence > 3 => ".\n\n",
            1 if in_sentence > 3 => ". ",
            2 => ", ",
            _ => " ",
        };
        if end.starts_with('.') {
            in_sentence = 0;
        }
        text.push_str(end);
    }
    text
}

/// The results of a build, as the gate writes them into a comment.
fn build(rng: &mut Rng) -> String {
    let mut text = String::new();
    for job in JOBS.iter().take(rng.usize(3..JOBS.len())) {
        let (minutes, seconds) = (rng.u32(2..90), rng.u32(..60));
        let result = if rng.u32(..12) == 0 {
            "FAILURE"
        } else {
            "SUCCESS"
        };
        text.push_str(&format!(
            "\n- {job} http://logs.openstack.org/{:02}/{}/check/{job}/{:07x}/ : {result} in {minutes}m {seconds:02}s",
            rng.u32(..100),
            rng.u32(400_000..470_000),
            rng.u32(..1 << 28),
        ));
    }
    text
}
