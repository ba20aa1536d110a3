//! What an installation has beside the broker: pages of the manual, completions of shells, configurations to begin with.

mod support;

#[path = "support/harness.rs"]
mod harness;

#[path = "support/certificates.rs"]
#[allow(dead_code)]
mod certificates;

use std::path::Path;
use std::process::Command;

use certificates::Certificates;
use support::{Finished, Folder, free_port, needed, run};

fn firehose(arguments: &[&str]) -> Finished {
    run(Command::new(env!("CARGO_BIN_EXE_firehose")).args(arguments))
}

/// All pages in a folder of their own, and their paths.
fn pages() -> (Folder, Vec<std::path::PathBuf>) {
    let folder = Folder::new("pages");
    let done = firehose(&["man", "--dir", folder.0.to_str().unwrap()]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let mut pages = Vec::new();
    for section in ["man1", "man5"] {
        let entries = std::fs::read_dir(folder.0.join(section)).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let named = firehose(&["man", "--list"]).stdout;
    assert_eq!(named.lines().count(), pages.len());
    (folder, pages)
}

fn pages_have_no_warnings() {
    let mandoc = needed("mandoc");
    let (_folder, pages) = pages();
    let mut command = Command::new(mandoc);
    let done = run(command.args(["-T", "lint", "-W", "warning"]).args(&pages));
    assert_eq!((done.code, &*done.stdout), (Some(0), ""), "{}", done.stderr);
    let man = needed("man");
    for page in &pages {
        let mut command = Command::new(&man);
        command.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]);
        let done = run(command
            .arg(page)
            .env("MANROFFSEQ", "")
            .env("MANWIDTH", "80"));
        let name = page.display();
        assert_eq!((done.code, &*done.stderr), (Some(0), ""), "{name}");
    }
}

/// One page a command, and what a person looks for in it.
fn pages_say_what_help_says() {
    let (folder, pages) = pages();
    let text = |name: &str| std::fs::read_to_string(folder.0.join(name)).unwrap();
    let serve = text("man1/firehose-serve.1");
    for part in [
        "test\\-config",
        ".SH \"EXIT STATUS\"",
        "io_uring is forbidden",
    ] {
        assert!(serve.contains(part), "{part}");
    }
    let help = firehose(&["--help"]).stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands
        .lines()
        .map_while(|line| line.split_whitespace().next());
    for command in commands.filter(|name| *name != "help") {
        let page = folder.0.join(format!("man1/firehose-{command}.1"));
        assert!(pages.contains(&page), "{command}");
        assert_eq!(
            firehose(&["man", command]).stdout,
            std::fs::read_to_string(page).unwrap()
        );
    }
    let bench = firehose(&["man", "bench", "fanout"]);
    assert_eq!(bench.stdout, text("man1/firehose-bench-fanout.1"));
    let conf = text("man5/firehose.conf.5");
    assert_eq!(firehose(&["man", "firehose.conf"]).stdout, conf);
    for part in [
        "max_inflight_messages",
        "Default: 20.",
        "Takes effect with a restart.",
        "psk_file",
    ] {
        assert!(conf.contains(part), "{part}");
    }
    assert_eq!(firehose(&["man", "no-such-page"]).code, Some(2));
}

/// Shells read them, and complete with them.
fn completions_are_what_shells_read() {
    let folder = Folder::new("completions");
    for (shell, file) in [("bash", "bash"), ("zsh", "_firehose"), ("fish", "fish")] {
        let done = firehose(&["completions", shell]);
        assert_eq!(done.code, Some(0));
        assert!(done.stdout.contains("test-config"), "{shell}");
        folder.write(file, &done.stdout);
    }
    assert_eq!(firehose(&["completions", "tcsh"]).code, Some(2));
    let script = "source ./bash; COMP_WORDS=(firehose serve --test); COMP_CWORD=2; _firehose firehose --test serve; echo ${COMPREPLY[@]}";
    let mut command = Command::new("bash");
    let done = run(command.args(["-c", script]).current_dir(&folder.0));
    assert_eq!((done.stdout.trim(), &*done.stderr), ("--test-config", ""));
    let script = "source ./fish; complete -C 'firehose serve --test'";
    let mut command = Command::new(needed("fish"));
    command
        .args(["--no-config", "-c", script])
        .env("HOME", &folder.0);
    let done = run(command.current_dir(&folder.0));
    assert!(
        done.stdout.starts_with("--test-config\t"),
        "{}",
        done.stdout
    );
    // What a person at a terminal does, since completion begins there only: TAB behind a part of a word, and a look at the line.
    folder.write("typed.zsh", TYPED);
    let mut command = Command::new(needed("zsh"));
    command.args(["-f", "typed.zsh"]).env("HOME", &folder.0);
    let done = run(command.current_dir(&folder.0));
    assert!(
        done.stdout.contains("serve --test-config"),
        "{}{}",
        done.stdout,
        done.stderr
    );
}

/// A shell in a terminal of its own; `ready` and a number of tries, as its prompt comes when it likes.
const TYPED: &str = r"
zmodload zsh/zpty
zpty shell zsh -f -i
said() { local part; for _ in {1..100}; do while zpty -r -t shell part; do heard+=$part; done; [[ $heard == *$1* ]] && return; sleep 0.1; done; }
zpty -w shell 'PS1=; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; print rea''dy'
said ready
zpty -w -n shell $'firehose serve --test-c\t'
said --test-config
print -r -- ${heard//[^[:print:]]/}
";

/// A configuration of `init` with ports of the test's own: a start with it would succeed, and warns of nothing.
fn tried(folder: &Folder) {
    let file = folder.0.join("firehose.conf");
    let mut text = std::fs::read_to_string(&file).unwrap();
    for port in ["1883", "8883", "8884", "9883"] {
        text = text.replace(
            &format!("listener {port}"),
            &format!("listener {}", free_port()),
        );
    }
    let file = folder.write("tried.conf", &text);
    let done = firehose(&["serve", "-c", file.to_str().unwrap(), "--test-config"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let warnings = done.stderr.lines().filter(|line| line.contains("warning"));
    // What a machine of tests gives is not what is asked here.
    let warnings: Vec<_> = warnings
        .filter(|line| !line.contains("limit") && !line.contains("store"))
        .collect();
    assert!(warnings.is_empty(), "{warnings:?}");
}

fn init(what: &str, folder: &Folder, more: &[&str]) -> Finished {
    let file = folder.0.join("firehose.conf");
    let mut arguments = vec!["init", what, file.to_str().unwrap()];
    arguments.extend(more);
    firehose(&arguments)
}

fn user(folder: &Folder, name: &str) {
    let file = folder.0.join("passwords");
    let done = firehose(&["passwd", "-c", "-b", file.to_str().unwrap(), name, "secret"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    support::give(&file);
}

fn init_local_would_start() {
    let folder = Folder::new("init");
    let done = init("local", &folder, &[]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    tried(&folder);
}

fn init_public_would_start_with_a_certificate_and_a_user() {
    let folder = Folder::new("init");
    let done = init("public", &folder, &[]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("certs/server.crt"), "{}", done.stdout);
    let certificates = Certificates::new();
    std::fs::create_dir(folder.0.join("certs")).unwrap();
    for name in ["server.crt", "server.key"] {
        let file = folder.0.join("certs").join(name);
        let read = |name: &str| std::fs::read_to_string(certificates.path(name)).unwrap();
        let above = match name {
            "server.crt" => read("ca.crt"),
            _ => String::new(),
        };
        std::fs::write(&file, read(name) + &above).unwrap();
        support::give(&file);
    }
    support::give(&folder.0.join("certs"));
    support::give(&folder.0.join("state"));
    user(&folder, "feeder");
    tried(&folder);
}

fn init_edge_would_start_with_a_user() {
    let folder = Folder::new("init");
    let done = init("edge", &folder, &[]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    support::give(&folder.0.join("state"));
    user(&folder, "device");
    tried(&folder);
}

/// Nothing is replaced, and nothing half written, unless it is asked for.
fn init_replaces_nothing_unasked() {
    let folder = Folder::new("init");
    folder.write("acl", "mine\n");
    let done = init("public", &folder, &[]);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("acl is there") && done.stderr.contains("--force"));
    assert!(!Path::new(&folder.0.join("firehose.conf")).exists());
    let done = init("public", &folder, &["--force", "--state", "/srv/kept"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let read = |name: &str| std::fs::read_to_string(folder.0.join(name)).unwrap();
    assert!(read("acl").contains("topic read #"));
    assert!(read("firehose.conf").contains("\npersistence_location /srv/kept\n"));
    let names = std::fs::read_dir(&folder.0).unwrap().count();
    assert_eq!(names, 3, "firehose.conf, acl and conf.d");
    let done = init("public", &folder, &[]);
    assert_eq!(done.code, Some(1));
    assert_eq!(init("cloud", &folder, &[]).code, Some(2));
    let folder = Folder::new("init");
    folder.write("conf.d", "no folder\n");
    let done = init("local", &folder, &[]);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("conf.d"), "{}", done.stderr);
    assert!(!Path::new(&folder.0.join("firehose.conf")).exists());
}

/// `--force` is for files: what root names by mistake may be a device.
fn init_replaces_no_device() {
    let folder = Folder::new("init");
    let file = folder.0.join("firehose.conf");
    let _socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
    let done = init("local", &folder, &["--force"]);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(
        done.stderr.contains("is there and is no file"),
        "{}",
        done.stderr
    );
    assert!(!std::fs::symlink_metadata(&file).unwrap().is_file());
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}

/// The configuration of the package is what `init local` prints for the folder of the package.
fn init_prints_the_configuration_of_the_package() {
    let done = firehose(&["init", "local", "/etc/firehose/firehose.conf", "--print"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for line in [
        "listener 1883 localhost",
        "user firehose",
        "#persistence_location /var/lib/firehose",
        "include_dir /etc/firehose/conf.d",
    ] {
        assert!(done.stdout.lines().any(|found| found == line), "{line}");
    }
}

fn init_leaves_no_place_open() {
    for what in ["local", "public", "edge"] {
        let folder = Folder::new("init");
        init(what, &folder, &[]);
        let text = std::fs::read_to_string(folder.0.join("firehose.conf")).unwrap();
        assert!(!text.contains('{'), "{text}");
        let folder = folder.0.display().to_string();
        assert!(text.contains(&format!("{folder}/firehose.conf --test-config")));
        assert!(text.contains(&format!("\ninclude_dir {folder}/conf.d\n")));
    }
}

cases!(
    pages_have_no_warnings,
    pages_say_what_help_says,
    completions_are_what_shells_read,
    init_local_would_start,
    init_public_would_start_with_a_certificate_and_a_user,
    init_edge_would_start_with_a_user,
    init_replaces_nothing_unasked,
    init_replaces_no_device,
    init_leaves_no_place_open,
    init_prints_the_configuration_of_the_package,
);
