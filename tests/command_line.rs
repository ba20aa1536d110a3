//! The program as a shell sees it: exit codes, and one line that says what is wrong.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output};

fn firehose(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(arguments)
        .output()
        .unwrap()
}

/// A configuration file that is removed when the test ends.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, content: &str) -> File {
        let name = format!("firehose-command-line-{}-{name}.conf", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::File::create(&path)
            .unwrap()
            .write_all(content.as_bytes())
            .unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn version_is_one_line_or_says_all() {
    let output = firehose(&["-V"]);
    assert_eq!(output.status.code(), Some(0));
    let expected = format!("firehose {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);

    let output = firehose(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [program, build, kernel] = lines[..] else {
        panic!("{text}")
    };
    let version = format!("firehose {} (", env!("CARGO_PKG_VERSION"));
    assert!(program.starts_with(&version), "{program}");
    assert!(build.starts_with("build: ") && build.contains("rustc"));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let expected = format!("kernel: Linux {}; io_uring", release.trim());
    assert!(kernel.starts_with(&expected), "{kernel}");
}

#[test]
fn wrong_configuration_is_one_line_with_its_place_and_exit_code_2() {
    let file = File::new("wrong", "# fine\nlistener 1883\nmax_qos 3\n");
    let output = firehose(&["serve", "-c", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    let expected = format!(
        "firehose: {}:3: max_qos: 3 is out of range, 0 to 2\n",
        file.path()
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(output.stdout, b"");
}

#[test]
fn missing_configuration_is_one_line_and_exit_code_2() {
    let output = firehose(&["serve", "-c", "/nonexistent/firehose.conf"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("firehose: cannot read /nonexistent/firehose.conf: "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn taken_port_is_named_and_exit_code_3() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let file = File::new(
        "taken",
        &format!("listener {port} 127.0.0.1\nlog_dest none\n"),
    );
    let output = firehose(&["serve", "--shards", "1", "-c", file.path()]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains(&port.to_string()) && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn test_config_prints_what_is_in_effect_and_starts_nothing() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let text = format!("listener {port} 127.0.0.1\nmax_keepalive 10\nshards 2\nuser nobody\n");
    let file = File::new("effective", &text);
    let arguments = ["serve", "-c", file.path(), "--test-config", "--shards", "1"];
    let done = firehose(&arguments);
    let printed = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{printed}");
    for part in [
        format!("# {}:1\n", file.path()),
        format!("# {}:2\n", file.path()),
        "shards 1 ".into(),
        "# command line, --shards\n".into(),
        "# default\n".into(),
    ] {
        assert!(printed.contains(&part), "{part:?} in {printed}");
    }
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "");
    let again = File::new("again", &printed);
    let done = firehose(&["serve", "-c", again.path(), "--test-config"]);
    assert_eq!(done.status.code(), Some(0));
}

#[test]
fn test_config_of_a_wrong_file_ends_with_2() {
    let wrong = "acl_file /nonexistent/acl\n";
    let file = File::new("faulty", wrong);
    let done = firehose(&["serve", "--test-config", "-c", file.path()]);
    assert_eq!(done.status.code(), Some(2));
    assert!(done.stdout.is_empty());
    let error = String::from_utf8(done.stderr).unwrap();
    assert!(error.contains("faulty.conf:1"), "{error}");
}

/// A file that somebody else has written moves no cursor of whoever starts the broker.
#[test]
fn control_characters_of_files_are_escaped() {
    let passwords = File::new("odd-passwords", "u\u{1b}[31m\u{0}:x\n");
    let text = format!(
        "listener 18839 127.0.0.1\nallow_anonymous true\npassword_file {}\n",
        passwords.path()
    );
    let taken = File::new("odd-users", &text);
    let wrong = File::new("odd-option", "max_qos \u{1b}[31m\n");
    for (file, shown) in [(&taken, "u\\u{1b}[31m\\u{0}"), (&wrong, "\\u{1b}")] {
        let done = firehose(&["serve", "-c", file.path(), "--test-config"]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains(shown), "{said:?}");
        let is_odd = |letter: char| letter != '\n' && letter.is_control();
        assert!(!said.contains(is_odd), "{said:?}");
    }
}

#[test]
fn an_output_that_takes_nothing_changes_no_exit_code() {
    let full = || {
        let mut options = std::fs::File::options();
        options.write(true).open("/dev/full").unwrap()
    };
    for (arguments, code) in [
        (&["serve", "-c", "/nonexistent/conf"][..], 2),
        (&["bench", "compare", "/nonexistent/a", "/nonexistent/b"], 2),
        (
            &["bench", "stress", "--hostname", "127.0.0.1", "--port", "1"],
            3,
        ),
        (&["clients", "--url", "http://127.0.0.1:1"], 1),
        (&["health", "http://127.0.0.1:1"], 1),
        (&["top", "--once", "--url", "http://127.0.0.1:1"], 1),
        (&["passwd", "-b", "/nonexistent/passwords", "a", "b"], 1),
        (&["store", "stats", "/nonexistent"], 3),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        let command = command.args(arguments).stdout(full()).stderr(full());
        let status = command.status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {status}");
    }
}

/// `firehose check | head`: what it has found is its exit code.
#[test]
fn a_reader_who_goes_changes_no_exit_code() {
    let code = |arguments: &[&str], goes: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        let command = command.args(arguments).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        let output = child.stdout.take();
        if goes {
            drop(output);
            return child.wait().unwrap().code();
        }
        std::io::read_to_string(output.unwrap()).unwrap();
        child.wait().unwrap().code()
    };
    let file = File::new("reader", "listener 1883 127.0.0.1\nlog_dest none\n");
    for form in [&[][..], &["--json"]] {
        let arguments = [&["check", "-c", file.path()], form].concat();
        assert_eq!(
            code(&arguments, true),
            code(&arguments, false),
            "{arguments:?}"
        );
    }
}
