//! What may not be read any more, or is empty all at once, stays as it was read last.

use std::path::Path;

use super::draft::{Note, Security};
use super::error::Misdeed;
use super::line::Line;
use super::model::{Content, Files, TlsLines};
use super::paths::absolute;
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

/// What comes of a line of a security option that was `applied`. What was last read of the file that it names stays in force
/// where the file may not be read any more, and where nothing stands in it now: somebody is writing it.
///
/// # Errors
/// That of the line, where nothing was read before, or where it is another one.
pub(super) fn judged(
    before: &Files,
    name: &str,
    line: &Line<'_>,
    security: &mut Security,
    applied: Result<Note, Misdeed>,
) -> Result<Note, Misdeed> {
    let path = Path::new(line.value);
    match name {
        "acl_file" => of_file(before.acl(path), path, &mut security.acl, applied),
        "password_file" => {
            let before = before.passwords(path);
            of_file(before, path, &mut security.passwords, applied)
        }
        _ => applied,
    }
}

fn of_file<T>(
    before: Option<&Content<T>>,
    path: &Path,
    read: &mut Option<Content<T>>,
    applied: Result<Note, Misdeed>,
) -> Result<Note, Misdeed> {
    let Some(before) = before else {
        return applied;
    };
    let is_emptied = !before.is_blank && read.as_ref().is_some_and(|content| content.is_blank);
    let note = match &applied {
        Err(misdeed) if misdeed.is_forbidden() => stays(misdeed),
        Ok(_) if is_emptied => format!(
            "{} is empty, as while it is being written; what was read before stays in force, until something stands in it \
             (a comment, if it is to grant nothing) and it is reloaded",
            absolute(path).display()
        ),
        _ => return applied,
    };
    *read = Some(before.clone());
    Ok(Some(note))
}

/// The same for what a listener's TLS options ask for, if they are what they were, and what they name may not be read.
///
/// # Errors
/// As `judged`.
pub(super) fn instead_of_tls(
    before: &Files,
    lines: &TlsLines,
    blamed: Blamed,
    around: Surroundings,
) -> Result<Finished, Blamed> {
    match before.tls(lines) {
        Some(server) if blamed.misdeed.is_forbidden() => {
            let note = stays(&blamed.misdeed);
            let mut finished = lines.finish_with(server.clone(), around);
            finished.remark(blamed.option, note);
            Ok(finished)
        }
        _ => Err(blamed),
    }
}

fn stays(misdeed: &Misdeed) -> String {
    format!(
        "{misdeed}; what was read before stays in force, until the file belongs to the user that the broker has become (chown) \
         and it is reloaded"
    )
}
