//! Secrets of a load: where they come from, and how they stay out of everything that is written.
//!
//! A secret is a type that cannot be printed. What was typed is looked through for secrets before it is written anywhere:
//! the command line, and the command of a broker that is started here.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::limits;

/// The variable of the environment with the password of all clients. Brokers that are started here do not get it.
pub const PASSWORD_VARIABLE: &str = "FIREHOSE_PASSWORD";

/// The variable of the environment with the private key of all clients, in PEM. The same holds for it.
pub const KEY_VARIABLE: &str = "FIREHOSE_KEY";

/// What stands where a secret was.
pub const HIDDEN: &str = "(hidden)";

/// Bytes that nobody is shown, and where they were given.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    bytes: Vec<u8>,
    source: Source,
}

/// Where a secret was given; written as the user knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    #[default]
    Option,
    Scenario,
    File(PathBuf),
    Environment,
    /// A private key's file.
    KeyFile(PathBuf),
    /// A private key in the environment.
    KeyEnvironment,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Option => f.write_str("--password"),
            Source::Scenario => f.write_str("`password` in the scenario file"),
            Source::File(path) => write!(f, "--password-file {}", path.display()),
            Source::Environment => write!(f, "{PASSWORD_VARIABLE} in the environment"),
            Source::KeyFile(path) => write!(f, "--key {}", path.display()),
            Source::KeyEnvironment => write!(f, "{KEY_VARIABLE} in the environment"),
        }
    }
}

impl Secret {
    /// The bytes, for CONNECT or the TLS handshake.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it was given.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The same, given by a scenario file.
    pub fn of_scenario(self) -> Secret {
        Secret {
            source: Source::Scenario,
            ..self
        }
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Secret {
            bytes: text.as_bytes().to_vec(),
            source: Source::Option,
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// The password of all clients: as typed, else the first line of a file, else of the environment, which counts only where
/// there is a user name.
///
/// # Errors
/// In words: a file that cannot be read, two places, a password without a user name, one that no packet holds.
pub fn password(
    typed: Option<&Secret>,
    file: Option<&Path>,
    has_user: bool,
) -> Result<Option<Secret>, String> {
    let found = match (typed, file) {
        (Some(secret), Some(_)) => {
            return Err(format!(
                "{} and --password-file: one of them",
                secret.source
            ));
        }
        (Some(secret), None) => Some(secret.clone()),
        (None, Some(path)) => {
            let read = std::fs::read(path);
            let bytes = read.map_err(|error| format!("{}: {error}", path.display()))?;
            Some(Secret {
                bytes: first_line(&bytes).to_vec(),
                source: Source::File(path.to_owned()),
            })
        }
        (None, None) if has_user => std::env::var_os(PASSWORD_VARIABLE).map(|value| Secret {
            bytes: value.as_bytes().to_vec(),
            source: Source::Environment,
        }),
        (None, None) => None,
    };
    match &found {
        Some(secret) if !has_user => Err(format!(
            "{}: a password needs a user name, --username",
            secret.source
        )),
        Some(secret) if secret.bytes.len() > limits::PASSWORD_BYTES_MAX => Err(format!(
            "{}: the password has {} bytes, and CONNECT holds {}",
            secret.source,
            secret.bytes.len(),
            limits::PASSWORD_BYTES_MAX
        )),
        _ => Ok(found),
    }
}

/// The private key that goes with a certificate, in PEM: that of a file, else of the environment.
///
/// # Errors
/// In words, which never quote a key: there is none, or its file cannot be read.
pub fn key(file: Option<&Path>) -> Result<Secret, String> {
    let (bytes, source) = match file {
        Some(path) if has_private_key(path.as_os_str().as_bytes()) => {
            return Err(format!(
                "--key is the name of a file; a key itself may come by {KEY_VARIABLE} in the environment"
            ));
        }
        Some(path) => {
            let read = std::fs::read(path);
            let bytes = read.map_err(|error| format!("--key {}: {error}", path.display()))?;
            (bytes, Source::KeyFile(path.to_owned()))
        }
        None => match std::env::var_os(KEY_VARIABLE) {
            Some(value) => (value.as_bytes().to_vec(), Source::KeyEnvironment),
            None => {
                return Err(format!(
                    "--cert: a certificate needs its private key, --key FILE, or {KEY_VARIABLE} in the environment"
                ));
            }
        },
    };
    Ok(Secret { bytes, source })
}

/// Whether a text holds a private key in PEM.
fn has_private_key(text: &[u8]) -> bool {
    let begins = b"PRIVATE KEY-----";
    text.windows(begins.len()).any(|window| window == begins)
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The command line of this process, without its secrets.
pub fn command() -> Vec<String> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut texts: Vec<Vec<u8>> = arguments.iter().map(|a| a.as_bytes().to_vec()).collect();
    let mut places = places(&arguments);
    // From the end of an argument to its start: what comes before keeps its place.
    places.sort_by_key(|(at, range)| (*at, std::cmp::Reverse(range.start)));
    for (at, range) in places {
        texts[at].splice(range, HIDDEN.bytes());
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    texts.into_iter().map(text).collect()
}

/// Where the secrets of a command line are: the argument, and the bytes of it. None overlap.
pub fn places(arguments: &[OsString]) -> Vec<(usize, Range<usize>)> {
    let mut found = Vec::new();
    if arguments.get(1).is_some_and(|name| name == "passwd") {
        found.extend(of_passwd(arguments));
        return found;
    }
    for (at, argument) in arguments.iter().enumerate() {
        let bytes = argument.as_bytes();
        let is_value = at > 0 && arguments[at - 1] == "--password";
        if is_value {
            found.push((at, 0..bytes.len()));
        } else if let Some(value) = bytes.strip_prefix(b"--password=") {
            found.push((at, bytes.len() - value.len()..bytes.len()));
        } else if has_private_key(bytes) {
            // Where the name of its file was meant.
            found.push((at, 0..bytes.len()));
        } else {
            found.extend(in_command(bytes).into_iter().map(|range| (at, range)));
        }
    }
    found
}

/// The password of `firehose passwd -b FILE USER PASSWORD`.
fn of_passwd(arguments: &[OsString]) -> Option<(usize, Range<usize>)> {
    let (mut operands, mut takes_value, mut only_operands) = (0, false, false);
    for (at, argument) in arguments.iter().enumerate().skip(2) {
        let bytes = argument.as_bytes();
        if std::mem::take(&mut takes_value) {
            continue;
        }
        if !only_operands && bytes.len() > 1 && bytes[0] == b'-' {
            only_operands = bytes == b"--";
            takes_value = bytes[1] != b'-' && matches!(bytes.last(), Some(b'H' | b'I'));
            continue;
        }
        operands += 1;
        if operands == 3 {
            return Some((at, 0..bytes.len()));
        }
    }
    None
}

/// A text that may quote a command or an address, without its secrets.
pub fn redacted(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in in_command(text.as_bytes()).into_iter().rev() {
        bytes.splice(range, HIDDEN.bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Words of names that secrets go by.
const NAMES: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "credential",
    "pw",
];

/// The secrets in the words of a command: values behind `--NAME`, `NAME=`, `-P`, where the name is one of a secret, and
/// what an address has between its user and `@`. In their order.
fn in_command(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut is_next = false;
    for word in words(text) {
        let bytes = &text[word.clone()];
        let names_file = |name: &[u8]| name.ends_with(b"file") || name.ends_with(b"FILE");
        if std::mem::take(&mut is_next) && !bytes.starts_with(b"-") {
            found.push(word);
            continue;
        }
        let split = bytes.iter().position(|&byte| byte == b'=');
        let name = &bytes[..split.unwrap_or(bytes.len())];
        let is_name = is_secret_name(name) && !names_file(name);
        match split {
            Some(at) if is_name && at + 1 < bytes.len() => {
                found.push(word.start + at + 1..word.end);
            }
            None if bytes == b"-P" || (bytes.starts_with(b"--") && is_name) => is_next = true,
            _ => found.extend(
                user_info(bytes).map(|range| word.start + range.start..word.start + range.end),
            ),
        }
    }
    found
}

/// Whether a name holds a word for a secret; `-`, `_` and case do not matter.
fn is_secret_name(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric();
    let plain: String = name
        .iter()
        .filter(|byte| is_plain(byte))
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    NAMES.iter().any(|secret| match *secret {
        // Too short to be looked for within others.
        "pw" => plain == "pw",
        secret => plain.contains(secret),
    })
}

/// The password in `scheme://user:password@host`; all of what stands before `@` where there is no colon.
fn user_info(word: &[u8]) -> Option<Range<usize>> {
    let start = word.windows(3).position(|three| three == b"://")? + 3;
    let authority = word[start..].split(|&byte| byte == b'/').next()?;
    let end = authority.iter().rposition(|&byte| byte == b'@')?;
    let colon = authority[..end].iter().position(|&byte| byte == b':');
    let from = colon.map_or(0, |at| at + 1);
    (from < end).then_some(start + from..start + end)
}

/// The words of a command, without the quotes around them; what is quoted is one.
fn words(text: &[u8]) -> Vec<Range<usize>> {
    let (mut words, mut start, mut quote) = (Vec::new(), None, None);
    for (at, &byte) in text.iter().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => {
                words.extend(start.take().map(|from| from..at));
                quote = None;
            }
            (Some(_), _) => {}
            (None, b'\'' | b'"') => {
                // NAME='...' is one word; its quotes are part of the value.
                let begins = start.is_none();
                start = start.or(Some(at + 1));
                quote = begins.then_some(byte);
            }
            (None, b' ' | b'\t' | b'\n' | b';' | b'`') => {
                words.extend(start.take().map(|from| from..at));
            }
            (None, _) => start = start.or(Some(at)),
        }
    }
    words.extend(start.map(|from| from..text.len()));
    words
}

/// Takes the secrets out of the environment of a process that is about to be started.
pub fn keep_from(command: &mut std::process::Command) {
    for variable in [PASSWORD_VARIABLE, KEY_VARIABLE] {
        command.env_remove(OsStr::new(variable));
    }
}

#[cfg(test)]
mod tests;
