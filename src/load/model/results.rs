//! What tasks of playbooks report: results made once, of which messages carry copies.
//!
//! Most are small. One in `LARGE_EVERY` holds the whole output of a run, up to some forty kilobytes.

use fastrand::Rng;

use super::json::{Json, escape};
use super::names::{NOUNS, VERBS};
use super::world::{any, any_text, text};

/// One result in so many is a large one.
const LARGE_EVERY: u32 = 250;

/// Results made of each task and kind.
const SMALL: usize = 8;
const LARGE: usize = 4;

/// Lines of output of a small result at most, and of large ones.
const SMALL_LINES: usize = 1;
const LARGE_LINES: std::ops::Range<usize> = 40..170;

/// A task of a playbook.
pub(super) struct Task {
    /// As Ansible announces it.
    pub title: String,
    ok: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    failed: Vec<Vec<u8>>,
}

/// How a task ended on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Failed,
    Unreachable,
}

impl Status {
    /// As topics and payloads say it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Failed => "FAILED",
            Status::Unreachable => "UNREACHABLE",
        }
    }
}

type Arguments = &'static [(&'static str, &'static str)];

/// Roles, tasks, modules, and the arguments that a module shows.
const TASKS: &[(&str, &str, &str, Arguments)] = &[
    (
        "puppet",
        "copy hiera data",
        "copy",
        &[
            ("dest", "/etc/puppet/hieradata/production"),
            ("mode", "0600"),
            ("owner", "root"),
        ],
    ),
    (
        "puppet",
        "run puppet",
        "puppet",
        &[
            (
                "manifest",
                "/opt/system-config/production/manifests/site.pp",
            ),
            ("environment", "production"),
            ("logdest", "syslog"),
            ("facter_basename", "ansible"),
            ("timeout", "30m"),
        ],
    ),
    (
        "puppet",
        "fetch last run summary",
        "fetch",
        &[
            ("src", "/var/lib/puppet/state/last_run_summary.yaml"),
            ("flat", "true"),
        ],
    ),
    (
        "install_modules",
        "install puppet modules",
        "command",
        &[
            ("_raw_params", "/opt/system-config/install_modules.sh"),
            ("chdir", "/opt/system-config"),
        ],
    ),
    (
        "base",
        "update package index",
        "apt",
        &[("update_cache", "true"), ("cache_valid_time", "3600")],
    ),
    (
        "git",
        "update checkout",
        "git",
        &[
            (
                "repo",
                "https://git.openstack.org/openstack-infra/system-config",
            ),
            ("dest", "/opt/system-config"),
            ("version", "master"),
        ],
    ),
    (
        "service",
        "restart service",
        "service",
        &[("name", "apache2"), ("state", "restarted")],
    ),
    (
        "openstack_health",
        "collect statistics",
        "shell",
        &[
            ("_raw_params", "openstack-health-collect --since 15m"),
            ("warn", "true"),
        ],
    ),
];

/// All tasks with their results.
pub(super) fn tasks(rng: &mut Rng) -> Vec<Task> {
    let mut list = Vec::with_capacity(TASKS.len());
    for (role, name, module, arguments) in TASKS {
        let mut made = |count: usize, status: Status, lines: std::ops::Range<usize>| {
            let mut results = Vec::with_capacity(count);
            for _ in 0..count {
                let lines = rng.usize(lines.clone());
                results.push(result(rng, status, lines, module, arguments));
            }
            results
        };
        list.push(Task {
            title: format!("TASK: {role} : {name}"),
            ok: made(SMALL, Status::Ok, 0..SMALL_LINES + 1),
            large: made(LARGE, Status::Ok, LARGE_LINES),
            failed: made(LARGE, Status::Failed, 1..30),
        });
    }
    list
}

/// What Ansible says of a host that does not answer.
pub(super) const UNREACHABLE: &[u8] = b"{\"unreachable\":true,\"changed\":false,\
\"msg\":\"Failed to connect to the host via ssh: ssh: connect to host port 22: Connection timed out\\r\\n\"}";

impl Task {
    /// One of its results.
    pub(super) fn result(&self, status: Status, rng: &mut Rng) -> &[u8] {
        let results = match status {
            Status::Ok if rng.u32(..LARGE_EVERY) == 0 => &self.large,
            Status::Ok => &self.ok,
            Status::Failed => &self.failed,
            Status::Unreachable => return UNREACHABLE,
        };
        let result: &Vec<u8> = any(rng, results);
        result
    }
}

fn result(
    rng: &mut Rng,
    status: Status,
    lines: usize,
    module: &str,
    arguments: Arguments,
) -> Vec<u8> {
    let failed = status == Status::Failed;
    let lines: Vec<String> = (0..lines).map(|_| escape(&line(rng))).collect();
    let mut bytes = Vec::new();
    let mut json = Json::part(&mut bytes);
    json.boolean("_ansible_parsed", true);
    json.boolean("_ansible_no_log", false);
    if failed {
        json.boolean("failed", true);
        json.string("msg", &format!("{module} failed with return code: 1"));
    }
    json.boolean("changed", rng.u32(..4) == 0);
    json.number("rc", u64::from(failed));
    json.string("stdout", &lines.join("\\n"));
    json.array("stdout_lines");
    for line in &lines {
        json.item(line);
    }
    json.end_array();
    let words = if failed { 60 } else { 0 };
    json.string("stderr", &escape(&text(rng, words)));
    json.object("invocation");
    json.string("module_name", module);
    json.object("module_args");
    for (key, value) in arguments {
        json.string(key, value);
    }
    for key in ["debug", "noop", "show_diff"] {
        json.boolean(key, false);
    }
    for key in ["tags", "execute", "certname"] {
        json.raw(key, b"null");
    }
    json.end();
    json.end();
    json.end();
    bytes
}

/// A line as Puppet writes it.
fn line(rng: &mut Rng) -> String {
    let (verb, noun) = (any_text(rng, VERBS), any_text(rng, NOUNS));
    format!(
        "Notice: /Stage[main]/Openstack_project::Server/Exec[{verb} {noun}]/returns: executed \"successfully\" in {}.{:02} seconds",
        rng.u32(..20),
        rng.u32(..100)
    )
}
