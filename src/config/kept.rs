//! What may not be read any more stays as it was read last.

use std::io;
use std::path::Path;

use super::draft::{Note, Security};
use super::error::Misdeed;
use super::line::Line;
use super::model::{Files, TlsLines};
use super::tls::{Blamed, Finished, Surroundings};

/// Notes what a line of a security option has read, if it names a file.
pub(super) fn note(files: &mut Files, name: &str, line: &Line<'_>, security: &Security) {
    let path = Path::new(line.value);
    match (name, &security.acl, &security.passwords) {
        ("acl_file", Some(acl), _) => files.note_acl(path, acl),
        ("password_file", _, Some(passwords)) => files.note_passwords(path, passwords),
        _ => {}
    }
}

/// Puts what was last read in the place of a file that may not be read any more; `misdeed` says that it may not.
///
/// # Errors
/// The misdeed, where nothing was read before, or where it is another one.
pub(super) fn instead(
    before: &Files,
    name: &str,
    security: &mut Security,
    misdeed: Misdeed,
) -> Result<Note, Misdeed> {
    let Some(path) = forbidden(&misdeed) else {
        return Err(misdeed);
    };
    let is_found = match name {
        "acl_file" => {
            security.acl = before.acl(path);
            security.acl.is_some()
        }
        "password_file" => {
            security.passwords = before.passwords(path);
            security.passwords.is_some()
        }
        _ => false,
    };
    match is_found {
        true => Ok(Some(stays(&misdeed))),
        false => Err(misdeed),
    }
}

/// The same for what a listener's TLS options ask for, if they are what they were.
///
/// # Errors
/// As `instead`.
pub(super) fn instead_of_tls(
    before: &Files,
    lines: &TlsLines,
    blamed: Blamed,
    around: Surroundings,
) -> Result<Finished, Blamed> {
    match (forbidden(&blamed.misdeed), before.tls(lines)) {
        (Some(_), Some(server)) => {
            let note = stays(&blamed.misdeed);
            let mut finished = lines.finish_with(server.clone(), around);
            finished.remark(blamed.option, note);
            Ok(finished)
        }
        _ => Err(blamed),
    }
}

/// The path, if the misdeed is that it may not be read.
fn forbidden(misdeed: &Misdeed) -> Option<&Path> {
    match misdeed {
        Misdeed::Unreadable { path, error } if error.kind() == io::ErrorKind::PermissionDenied => {
            Some(path)
        }
        _ => None,
    }
}

fn stays(misdeed: &Misdeed) -> String {
    format!(
        "{misdeed}; what was read before stays in force, until the file belongs to the user that the broker has become (chown) \
         and it is reloaded"
    )
}
