//! Command lines, to the configuration that they give and to exit codes.

use std::cell::RefCell;

use super::*;
use crate::config::CpuList;

/// Runs a command line; the configuration that `serve` was called with, and the exit code.
fn run_line(line: &str) -> (Option<Config>, ExitCode) {
    let seen = RefCell::new(None);
    let arguments = line.split_whitespace().map(OsString::from);
    let code = run(arguments, |config, _| {
        *seen.borrow_mut() = Some(config);
        ExitCode::from(7)
    });
    (seen.into_inner(), code)
}

fn code(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

fn served(line: &str) -> Config {
    let (config, exit) = run_line(line);
    assert_eq!(format!("{exit:?}"), code(7), "{line}");
    config.unwrap()
}

#[test]
fn serve_without_options_is_the_default() {
    assert_eq!(served("firehose serve"), Config::default());
}

#[test]
fn options_override_the_configuration() {
    let config = served("firehose serve -p 1884 -v --shards 3 --cpus 2-4");
    assert_eq!(config.settings.log, LogMask::ALL);
    assert_eq!(
        (config.shards, config.cpu_list),
        (Some(3), Some(CpuList(vec![2, 3, 4])))
    );
    let ports: Vec<_> = config.listeners.iter().map(|l| l.socket.port).collect();
    assert_eq!(ports, [1884, 1884]);
}

/// Mosquitto's own command line, under another name.
#[test]
fn options_without_a_command_are_those_of_serve() {
    let config = served("firehose -p 1884 -v");
    assert_eq!(config.settings.log, LogMask::ALL);
    assert_eq!(config.listeners[0].socket.port, 1884);
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    for line in [
        "firehose frobnicate",
        "firehose --frobnicate",
        "firehose -d",
        "firehose serve -p 1884 -d",
        "firehose serve --frobnicate",
        "firehose serve -p 0",
        "firehose serve -p 65536",
        "firehose serve --shards 0",
        "firehose serve --shards 65",
        "firehose serve --cpus 3-1",
        "firehose serve -c",
        "firehose serve -c /nonexistent/broker.conf",
    ] {
        let (config, exit) = run_line(line);
        assert_eq!(
            (config, format!("{exit:?}")),
            (None, code(EXIT_CONFIGURATION)),
            "{line}"
        );
    }
}

#[test]
fn version_and_help_are_successes() {
    for line in [
        "firehose --version",
        "firehose -V",
        "firehose --help",
        "firehose -h",
        "firehose serve --help",
    ] {
        let (config, exit) = run_line(line);
        assert_eq!((config, format!("{exit:?}")), (None, code(0)), "{line}");
    }
}
