//! `firehose passwd`: password files for `password_file`, with the options of mosquitto_passwd.

mod file;
pub(super) mod prompt;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, ValueEnum, value_parser};

use crate::access::{Credential, Scheme};
use crate::config::absolute;
use crate::control::stderr;
use crate::limits::PASSWORD_ITERATIONS_MAX;
use file::Lines;

/// The exit code where the file stays as it was, as mosquitto_passwd's.
const EXIT_FAILED: u8 = 1;

/// Bytes of a salt: what mosquitto 2.0 insists on, and what argon2 recommends.
const SALT_BYTES: usize = 12;
const ARGON2_SALT_BYTES: usize = 16;

/// Manages password files, as mosquitto_passwd does: adds a user or changes the password, which is asked for
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, disable_help_flag = false)]
#[command(group = ArgGroup::new("what").args(["delete", "update", "batch"]))]
pub(crate) struct Passwd {
    /// Take the password from the command line, where others can see it
    #[arg(short)]
    batch: bool,

    /// Create the file; one that exists is overwritten
    #[arg(short, conflicts_with_all = ["delete", "update"])]
    create: bool,

    /// Delete the user
    #[arg(short = 'D')]
    delete: bool,

    /// Hash the passwords of a file that holds them as plain text
    #[arg(short = 'U')]
    update: bool,

    /// How to hash
    #[arg(short = 'H', value_name = "HASH", default_value = "sha512-pbkdf2")]
    hash: Hash,

    /// Iterations of sha512-pbkdf2
    #[arg(short = 'I', value_name = "N", default_value_t = DEFAULT_ITERATIONS, value_parser = value_parser!(u32).range(1..=PASSWORD_ITERATIONS_MAX as i64))]
    iterations: u32,

    /// Password file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// User name
    #[arg(
        value_name = "USER",
        required_unless_present = "update",
        conflicts_with = "update"
    )]
    user: Option<String>,

    /// Password, with -b
    #[arg(
        value_name = "PASSWORD",
        requires = "batch",
        required_if_eq("batch", "true")
    )]
    password: Option<OsString>,
}

const DEFAULT_ITERATIONS: u32 = match Scheme::DEFAULT {
    Scheme::Pbkdf2 { iterations } => iterations,
    _ => 1,
};

const EXIT_CODES: &str = "\
The file is replaced in one step and readable by its owner only. Comments are kept.

Exit codes:
  0  the file is as asked for
  1  the file is as it was: it cannot be read or written, or there is no such user
  2  wrong command line";

/// The hashes that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hash {
    Sha512,
    Sha512Pbkdf2,
    /// Not understood by mosquitto before 2.1
    Argon2id,
}

/// Does what `firehose passwd` was asked for.
pub(super) fn passwd(options: &Passwd) -> ExitCode {
    match options.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::tell(&format!("firehose passwd: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

impl Passwd {
    fn run(&self) -> Result<(), String> {
        let path = self.file.as_path();
        if self.update {
            let mut lines = Lines::read(path).map_err(|error| unreadable(path, &error))?;
            lines
                .hash_all(|password| self.hashed(password))
                .map_err(|error| format!("{}:{error}", absolute(path).display()))?;
            return write(path, &lines);
        }
        let user = self.user.as_deref().unwrap_or_default();
        check_user(user)?;
        let mut lines = match self.create {
            true => Lines::default(),
            false => Lines::read(path).map_err(|error| unreadable(path, &error))?,
        };
        if self.delete {
            if !lines.remove(user) {
                return Err(format!("no user {user} in {}", absolute(path).display()));
            }
            return write(path, &lines);
        }
        let password = match &self.password {
            Some(password) => password.as_bytes().to_vec(),
            None => prompt::new_password()?,
        };
        if password.len() > usize::from(u16::MAX) {
            return Err("the password is longer than 65,535 bytes".into());
        }
        lines.set(user, &self.hashed(&password)?);
        write(path, &lines)
    }

    fn hashed(&self, password: &[u8]) -> Result<String, String> {
        let (scheme, salt_bytes) = match self.hash {
            Hash::Sha512 => (Scheme::Sha512, SALT_BYTES),
            Hash::Sha512Pbkdf2 => {
                let iterations = self.iterations;
                (Scheme::Pbkdf2 { iterations }, SALT_BYTES)
            }
            Hash::Argon2id => (Scheme::ARGON2ID_DEFAULT, ARGON2_SALT_BYTES),
        };
        let salt = random(salt_bytes)?;
        let credential = Credential::new(scheme, password, &salt);
        credential
            .map(|credential| credential.encoded())
            .ok_or_else(|| "the password cannot be hashed".into())
    }
}

fn random(count: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; count];
    let flags = rustix::rand::GetRandomFlags::empty();
    // So few bytes come at once or not at all.
    match rustix::rand::getrandom(&mut bytes[..], flags) {
        Ok(got) if got == count => Ok(bytes),
        _ => Err("the system gives no random bytes".into()),
    }
}

/// A name that is read back as it is written.
fn check_user(user: &str) -> Result<(), String> {
    let rule = if user.is_empty() {
        "is empty"
    } else if user.contains(':') {
        "contains a colon"
    } else if user.starts_with('#') {
        "starts with #, which makes a comment"
    } else if user.trim() != user || user.contains(char::is_control) {
        "starts or ends with a blank, or contains a control character"
    } else if user.len() > usize::from(u16::MAX) {
        "is longer than 65,535 bytes"
    } else {
        return Ok(());
    };
    Err(format!("the user name {rule}"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "; -c creates it",
        _ => "",
    };
    format!("cannot read {}: {error}{hint}", absolute(path).display())
}

fn write(path: &Path, lines: &Lines) -> Result<(), String> {
    lines
        .write(path)
        .map_err(|error| format!("cannot write {}: {error}", absolute(path).display()))
}
