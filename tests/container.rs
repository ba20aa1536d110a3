//! What a container has of the project: the profile of system calls, and the files that build its image.

mod support;

#[path = "support/harness.rs"]
mod harness;

#[path = "support/certificates.rs"]
#[allow(dead_code)]
mod certificates;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use certificates::Certificates;
use serde_json::Value;
use support::{Finished, Folder, PATIENCE, free_port, give, needed, run, wait_for};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What seccomp does with a call that the profile does not name.
#[derive(Clone, Copy)]
enum Unnamed {
    /// As the profile says: EPERM.
    Refused,
    /// The process ends by SIGSYS, so that no call can be refused without being noticed.
    Fatal,
}

fn profile() -> Value {
    let text = std::fs::read_to_string(format!("{ROOT}/tuning/seccomp.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The names of all groups, each of which allows what it names, on no condition.
fn names(profile: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for group in profile["syscalls"].as_array().unwrap() {
        assert_eq!(group["action"], "SCMP_ACT_ALLOW");
        assert!(group.get("args").is_none() && group.get("includes").is_none());
        let group = group["names"].as_array().unwrap();
        let group: Vec<_> = group.iter().map(|name| name.as_str().unwrap()).collect();
        assert!(group.is_sorted(), "{group:?}");
        names.extend(group.into_iter().map(str::to_owned));
    }
    names
}

/// Numbers of this architecture, as the kernel's header has them.
fn numbers() -> BTreeMap<String, u32> {
    let places = [
        format!(
            "/usr/include/{}-linux-gnu/asm/unistd_64.h",
            std::env::consts::ARCH
        ),
        "/usr/include/asm/unistd_64.h".into(),
    ];
    let mut found = places
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let Some(header) = found.next() else {
        support::cannot("the kernel's headers are not there (linux-libc-dev)");
    };
    let defined = header.lines().filter_map(|line| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    });
    defined.collect()
}

/// A filter that allows what the profile names: the number is compared with one after the other.
fn filter(unnamed: Unnamed) -> Vec<libc::sock_filter> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => 0xC000_003E,
        "aarch64" => 0xC000_00B7,
        other => support::cannot(&format!("no number is known for {other}")),
    };
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    // One more instruction is jumped over where it is not equal.
    let unless_equal = |k: u32| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let give = libc::BPF_RET | libc::BPF_K;
    let end = match unnamed {
        Unnamed::Refused => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        Unnamed::Fatal => libc::SECCOMP_RET_KILL_PROCESS,
    };
    let numbers = numbers();
    let mut filter = vec![
        statement(load, 4),
        libc::sock_filter {
            jt: 1,
            jf: 0,
            ..unless_equal(architecture)
        },
        statement(give, libc::SECCOMP_RET_KILL_PROCESS),
        statement(load, 0),
    ];
    for name in names(&profile()) {
        // Calls of other architectures and of other kernels have no number here.
        if let Some(&number) = numbers.get(&name) {
            filter.push(unless_equal(number));
            filter.push(statement(give, libc::SECCOMP_RET_ALLOW));
        }
    }
    filter.push(statement(give, end));
    filter
}

/// A command that runs as a container runs it: with the profile, and with no way to more rights.
fn contained(program: impl AsRef<Path>, arguments: &[&str], unnamed: Unnamed) -> Command {
    let mut filter = filter(unnamed);
    let mut command = Command::new(program.as_ref());
    command.args(arguments).env_remove("FIREHOSE_URL");
    let load = move || {
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        let mode = libc::SECCOMP_MODE_FILTER;
        // SAFETY: both calls take numbers, and the second a program that lives until it is over.
        let results = unsafe {
            [
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            ]
        };
        if results != [0, 0] {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: what runs between fork and exec calls prctl and nothing else.
    unsafe { command.pre_exec(load) };
    command
}

fn firehose(arguments: &[&str]) -> Finished {
    run(&mut contained(
        env!("CARGO_BIN_EXE_firehose"),
        arguments,
        Unnamed::Fatal,
    ))
}

fn the_profile_names_each_call_once_and_refuses_the_rest() {
    let profile = profile();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(profile["defaultErrnoRet"], libc::EPERM);
    let names = names(&profile);
    let once: BTreeSet<_> = names.iter().collect();
    assert_eq!(once.len(), names.len());
    for name in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
        assert!(once.contains(&name.to_owned()), "{name}");
    }
    for name in [
        "mount",
        "ptrace",
        "bpf",
        "unshare",
        "setns",
        "kexec_load",
        "init_module",
        "keyctl",
    ] {
        assert!(!once.contains(&name.to_owned()), "{name}");
    }
    let unshare = needed("unshare");
    let done = run(&mut contained(
        unshare,
        &["--user", "true"],
        Unnamed::Refused,
    ));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("not permitted"), "{}", done.stderr);
}

/// A broker with all that one can have: store, TLS, WebSocket, HTTP, files that are read again. No call of it is outside the profile.
fn a_broker_lives_within_the_profile() {
    let folder = Folder::new("container");
    let certificates = Certificates::new();
    for name in ["server.crt", "server.key"] {
        std::fs::copy(certificates.path(name), folder.0.join(name)).unwrap();
        give(&folder.0.join(name));
    }
    let at = |name: &str| folder.0.join(name).display().to_string();
    let [mqtt, tls, web, http] = [free_port(), free_port(), free_port(), free_port()];
    let passwords = at("passwords");
    assert_eq!(
        firehose(&[
            "passwd", "-c", "-b", "-H", "sha512", &passwords, "ann", "secret"
        ])
        .code,
        Some(0)
    );
    give(Path::new(&passwords));
    let config = format!(
        "listener {mqtt} 127.0.0.1\nallow_anonymous true\npassword_file {passwords}\npersistence true\n\
         persistence_location {0}/\nlog_dest file {0}/log\nlistener {tls} 127.0.0.1\ncertfile {0}/server.crt\n\
         keyfile {0}/server.key\nlistener {web} 127.0.0.1\nprotocol websockets\nlistener {http} 127.0.0.1\nprotocol http_api\n",
        folder.0.display()
    );
    let config = folder.write("firehose.conf", &config).display().to_string();
    assert_eq!(
        firehose(&["serve", "-c", &config, "--test-config"]).code,
        Some(0)
    );
    let serve = ["serve", "-c", &config, "--shards", "2"];
    let mut broker = contained(env!("CARGO_BIN_EXE_firehose"), &serve, Unnamed::Fatal)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let url = format!("http://127.0.0.1:{http}");
    let since = Instant::now();
    while firehose(&["health", &url]).code != Some(0) {
        let ended = broker.try_wait().unwrap();
        assert_eq!(ended.map(|status| status.signal()), None, "it has ended");
        assert!(since.elapsed() < PATIENCE, "it is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    for (port, more) in [
        (mqtt, &[][..]),
        (tls, &["--insecure"]),
        (web, &["--websocket"]),
    ] {
        let port = port.to_string();
        let mut load = vec!["bench", "fanout", "--host", "127.0.0.1", "--port", &port];
        load.extend([
            "--subscribers",
            "10",
            "--qos",
            "1",
            "--duration",
            "0.5",
            "--warm-up",
            "0.1",
        ]);
        load.extend(more);
        let done = firehose(&load);
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    }
    for ask in [
        &["clients", "--url", &url][..],
        &["top", "--once", "--url", &url],
    ] {
        let done = firehose(ask);
        assert_eq!(done.code, Some(0), "{ask:?}: {}", done.stderr);
    }
    let dir = folder.0.display().to_string();
    assert_eq!(firehose(&["store", "stats", &dir]).code, Some(0));
    let pid = broker.id().to_string();
    for signal in ["-HUP", "-USR1", "-TERM"] {
        assert_eq!(run(Command::new("kill").args([signal, &pid])).code, Some(0));
        std::thread::sleep(Duration::from_millis(200));
    }
    let ended = wait_for(&mut broker).expect("it does not end");
    assert_eq!(ended.code(), Some(0), "{ended}");
    assert_eq!(firehose(&["store", "check", &dir]).code, Some(0));
    assert_eq!(
        firehose(&["store", "backup", &dir, &at("backup")]).code,
        Some(0)
    );
}

/// The load tester, with a broker that it starts itself.
fn the_load_tester_lives_within_the_profile() {
    let done = firehose(&[
        "bench",
        "pairs",
        "--publishers",
        "5",
        "--subscribers",
        "5",
        "--rate",
        "500",
        "--duration",
        "0.5",
        "--warm-up",
        "0.1",
    ]);
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
}

/// What the Dockerfile copies is there, and .dockerignore lets it through: a build with an engine sees nothing else.
fn the_image_is_built_of_what_is_there() {
    let read = |name: &str| std::fs::read_to_string(format!("{ROOT}/{name}")).unwrap();
    let ignored = read(".dockerignore");
    let mut lines = ignored.lines();
    assert_eq!(lines.next(), Some("*"));
    let through: BTreeSet<_> = lines
        .map(|line| line.trim_start_matches('!').to_owned())
        .collect();
    let mut copied = BTreeSet::new();
    let dockerfile = read("Dockerfile");
    let lines = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "));
    for line in lines.filter(|line| !line.starts_with("--from")) {
        let mut words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        words.pop();
        copied.extend(words);
    }
    for name in &copied {
        assert!(Path::new(ROOT).join(name).exists(), "{name}");
    }
    assert_eq!(copied, through);
    for name in ["Cargo.toml", "Cargo.lock", "build.rs", "src"] {
        assert!(copied.contains(name), "{name}");
    }
}

cases!(
    the_profile_names_each_call_once_and_refuses_the_rest,
    a_broker_lives_within_the_profile,
    the_load_tester_lives_within_the_profile,
    the_image_is_built_of_what_is_there,
);
