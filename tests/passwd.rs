//! `firehose passwd` beside Debian's mosquitto_passwd: each reads what the other writes, and both brokers read both.

#[path = "access/wire.rs"]
#[allow(dead_code)]
mod wire;

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{Folder, Program, Server, needed};
use wire::{Who, Wire};

fn with_input(mut command: Command, arguments: &[&str], input: &str) -> Output {
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn passwd(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command.arg("passwd");
    let output = with_input(command, arguments, input);
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text)
}

fn done(arguments: &[&str]) {
    let (code, text) = passwd(arguments, "");
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn a_file_is_created_and_changed_and_stays_whose_it_is() {
    let folder = Folder::new("passwd");
    let path = folder.0.join("users");
    let file = path.to_str().unwrap();
    let (code, error) = passwd(&["-b", file, "u", "x"], "");
    assert_eq!(code, Some(1));
    assert!(error.contains("-c creates it"), "{error}");
    done(&["-c", "-b", file, "u", "first"]);
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    assert!(text(&path).starts_with("u:$7$101$"), "{}", text(&path));

    std::fs::write(&path, format!("# kept\n{}", text(&path))).unwrap();
    // As a broker reads it that is not root: by its group.
    let own = |path: &Path| {
        let metadata = std::fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid())
    };
    if own(&path).0 == 0 {
        std::os::unix::fs::chown(&path, Some(7), Some(8)).unwrap();
    }
    let owner = own(&path);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    // Held open, so that its number is not given to another file.
    let old = std::fs::File::open(&path).unwrap();
    let inode = old.metadata().unwrap().ino();
    done(&["-H", "sha512", "-b", file, "v", "second"]);
    done(&["-H", "argon2id", "-b", file, "w", ""]);
    done(&["-I", "7", "-b", file, "x", "y"]);
    assert_eq!((mode(), own(&path)), (0o640, owner));
    assert_ne!(std::fs::metadata(&path).unwrap().ino(), inode, "replaced");
    drop(old);
    let lines: Vec<String> = text(&path).lines().map(String::from).collect();
    let starts = [
        "# kept",
        "u:$7$101$",
        "v:$6$",
        "w:$argon2id$v=19$m=19456,t=2,p=1$",
        "x:$7$7$",
    ];
    assert_eq!(lines.len(), starts.len());
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    done(&["-D", file, "u"]);
    let (code, error) = passwd(&["-D", file, "u"], "");
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(text(&path).lines().count(), 4);
    done(&["-c", "-b", file, "only", "x"]);
    assert_eq!(text(&path).lines().count(), 1);
    assert_eq!((mode(), own(&path)), (0o640, owner));
    assert_eq!(
        std::fs::read_dir(&folder.0).unwrap().count(),
        1,
        "nothing is left behind"
    );
}

fn the_password_is_asked_for_twice() {
    let folder = Folder::new("passwd");
    let path = folder.0.join("users");
    let file = path.to_str().unwrap();
    let (code, prompt) = passwd(&["-c", file, "u"], "secret\nsecret\n");
    assert_eq!(
        (code, prompt.as_str()),
        (Some(0), "Password: Reenter password: ")
    );
    let before = text(&path);
    for (input, expected) in [
        ("secret\nsecre\n", "the two passwords differ"),
        ("\n\n", "the password is empty"),
        ("secret\n", "end of file"),
    ] {
        let (code, error) = passwd(&[file, "u"], input);
        assert_eq!(code, Some(1));
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(text(&path), before);
}

fn wrong_command_lines_are_exit_code_2() {
    for arguments in [
        &[][..],
        &["file"],
        &["-b", "file", "u"],
        &["file", "u", "password"],
        &["-c", "-D", "file", "u"],
        &["-U", "file", "u"],
        &["-H", "md5", "-b", "file", "u", "x"],
        &["-I", "0", "-b", "file", "u", "x"],
    ] {
        let (code, error) = passwd(arguments, "");
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
    }
    let (code, error) = passwd(&["-c", "-b", "/tmp/never", "a:b", "x"], "");
    assert_eq!((code, error.contains("colon")), (Some(1), true), "{error}");
}

/// A name of a file, or of a user, may be anything.
fn what_a_terminal_would_obey_is_escaped() {
    let folder = Folder::new("passwd");
    let odd = folder.0.join("users\n\u{1b}[2J\u{202e}");
    let file = odd.to_str().unwrap();
    std::fs::write(&odd, "no password\n").unwrap();
    for arguments in [
        &["-U", file][..],
        &["-D", file, "u\u{202e}v"],
        &["-b", &format!("{file}/not"), "u", "p"],
    ] {
        let (code, error) = passwd(arguments, "");
        assert_eq!(code, Some(1), "{error}");
        assert!(error.is_ascii() && error.lines().count() == 1, "{error:?}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

fn each_reads_what_the_other_writes() {
    let [theirs, mosquitto] = ["mosquitto_passwd", "mosquitto"].map(needed);
    let folder = Folder::new("passwd");
    let path = folder.0.join("users");
    let file = path.to_str().unwrap();
    let other = |arguments: &[&str]| {
        let output = with_input(Command::new(&theirs), arguments, "");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    done(&["-c", "-b", file, "ours", "secret 1"]);
    other(&["-b", file, "theirs", "secret 2"]);
    done(&["-H", "sha512", "-b", file, "ours6", "secret 3"]);
    other(&["-H", "sha512", "-b", file, "theirs6", "secret 4"]);
    done(&["-I", "2000", "-b", file, "ours-i", "secret 5"]);
    done(&["-b", file, "gone", "x"]);
    other(&["-D", file, "gone"]);
    other(&["-b", file, "gone-too", "x"]);
    done(&["-D", file, "gone-too"]);
    // Plain text becomes hashes.
    let plain = folder.write("plain", "plain:secret 6\n");
    done(&["-U", plain.to_str().unwrap()]);
    std::fs::write(&path, text(&path) + &text(&plain)).unwrap();

    // Started by root, mosquitto would become somebody who may not read the file.
    let config = [
        format!("password_file {file}"),
        "allow_anonymous false".into(),
        "user root".into(),
    ];
    let ours = Server::start(&Program::Firehose { shards: 2 }, &config);
    let theirs = Server::start(&Program::Mosquitto(mosquitto), &config);
    let cases = [
        ("ours", "secret 1"),
        ("theirs", "secret 2"),
        ("ours6", "secret 3"),
        ("theirs6", "secret 4"),
        ("ours-i", "secret 5"),
        ("plain", "secret 6"),
        ("gone", "x"),
        ("gone-too", "x"),
        ("ours", "secret 2"),
        ("theirs6", "secret 3"),
        ("plain", "plain"),
    ];
    for (index, (user, password)) in cases.into_iter().enumerate() {
        let mut who = Who::new("c", Some(user));
        who.password = Some(password.into());
        let codes = [&ours, &theirs].map(|server| Wire::connect(server.address(), 4, &who).1);
        let expected = if index < 6 { [0, 0] } else { [5, 5] };
        assert_eq!(codes, expected, "{user} {password}\n{}", text(&path));
    }
}

cases![
    a_file_is_created_and_changed_and_stays_whose_it_is,
    the_password_is_asked_for_twice,
    wrong_command_lines_are_exit_code_2,
    what_a_terminal_would_obey_is_escaped,
    each_reads_what_the_other_writes,
];
