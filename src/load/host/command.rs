//! Command lines: that of a broker of our own, with its configuration, and what a shell is told of another one.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::launch::cpus_text;

/// The configuration file of a broker of our own.
pub(super) fn configuration(address: SocketAddr, extra: &str) -> String {
    format!(
        "listener {} {}\nallow_anonymous true\nset_tcp_nodelay true\n{extra}\n",
        address.port(),
        address.ip()
    )
}

/// The arguments of a broker of our own.
pub(super) fn own_arguments(config: PathBuf, shards: Option<u16>, cpus: &[u16]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["serve".into(), "-c".into(), config.into()];
    if let Some(shards) = shards {
        arguments.extend(["--shards".into(), shards.to_string().into()]);
    }
    if !cpus.is_empty() {
        arguments.extend(["--cpus".into(), cpus_text(cpus).into()]);
    }
    arguments
}

/// The command for `sh -c`: the shell makes way for a simple one, so that the process is the broker.
pub(super) fn shell_line(command: &str, port: u16) -> String {
    let command = command.replace("{port}", &port.to_string());
    let command = command.trim();
    let is_simple = is_simple(command);
    let first = command.split_whitespace().next().unwrap_or_default();
    match is_simple {
        true if first == "exec" => command.to_owned(),
        true if first.contains('=') => format!("exec env {command}"),
        true => format!("exec {command}"),
        false => command.to_owned(),
    }
}

/// Whether a shell command is one program with its arguments, as far as one can tell without being a shell.
fn is_simple(command: &str) -> bool {
    let mut quote = None;
    let mut is_escaped = false;
    for c in command.chars() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (None | Some('"'), '\\') => is_escaped = true,
            (None, '"' | '\'') => quote = Some(c),
            (None, ';' | '&' | '|' | '\n' | '(' | '{') => return false,
            (Some(open), _) if c == open => quote = None,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::folder::Folder;
    use super::*;

    #[test]
    fn simple_commands_replace_the_shell() {
        for (command, line) in [
            ("mosquitto -p {port}", "exec mosquitto -p 1883"),
            (" exec broker ", "exec broker"),
            ("A=1 broker", "exec env A=1 broker"),
            ("cd /x && broker", "cd /x && broker"),
            ("broker | cat; true", "broker | cat; true"),
            (
                "broker 'a; b' \"(\\\" ;\" \\; x",
                "exec broker 'a; b' \"(\\\" ;\" \\; x",
            ),
            ("broker 'a' ; b", "broker 'a' ; b"),
            ("broker --x={port} # {port}", "exec broker --x=1883 # 1883"),
        ] {
            assert_eq!(shell_line(command, 1883), line);
        }
    }

    #[test]
    fn the_configuration_is_one() {
        let address = "127.0.0.1:1999".parse().unwrap();
        let text = configuration(address, "max_keepalive 60");
        let folder = Folder::create().unwrap();
        let path = folder.path().join("broker.conf");
        fs::write(&path, &text).unwrap();
        let (config, warnings) = crate::config::load(&path).unwrap();
        assert_eq!(warnings.len(), 0, "{text}");
        assert_eq!(config.listeners[0].socket.port, 1999);
        let arguments = own_arguments("f".into(), Some(2), &[0, 1, 5]);
        assert_eq!(
            arguments,
            ["serve", "-c", "f", "--shards", "2", "--cpus", "0-1,5"]
        );
        assert_eq!(own_arguments("f".into(), None, &[]).len(), 3);
    }
}
