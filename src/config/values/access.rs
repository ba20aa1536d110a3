//! The files that say who may do what: read when their option is, so that an error names the line of both.

use std::path::Path;
use std::sync::Arc;

use crate::access::{self, Acl, FileError, Passwords};
use crate::config::draft::{Note, Security};
use crate::config::error::{FileFault, Misdeed};
use crate::config::line::Line;
use crate::config::model::Content;
use crate::config::paths::{absolute, is_blank, read};

/// Notes of one file that are printed; what they are about is the same, as a rule.
const NOTES_MAX: usize = 3;

/// `acl_file PATH`.
pub(crate) fn acl_file(
    security: &mut Security,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    if security.acl.is_some() {
        return Err(Misdeed::Duplicate { name });
    }
    let path = Path::new(line.text(name)?);
    let (acl, notes) = parsed(path, Acl::parse)?;
    security.acl = Some(acl);
    Ok(summary(path, &notes))
}

/// `password_file PATH`.
pub(crate) fn password_file(
    security: &mut Security,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    if security.passwords.is_some() {
        return Err(Misdeed::Duplicate { name });
    }
    let path = Path::new(line.text(name)?);
    let (passwords, notes) = parsed(path, |bytes| Ok(Passwords::parse(bytes)))?;
    security.passwords = Some(passwords);
    Ok(summary(path, &notes))
}

/// Reads and parses a file.
fn parsed<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<(T, Vec<access::Note>), FileError>,
) -> Result<(Content<T>, Vec<access::Note>), Misdeed> {
    let bytes = read(path).map_err(|error| Misdeed::unreadable(path, error))?;
    let (held, notes) =
        parse(&bytes).map_err(|error| Misdeed::file(path, FileFault::Line(error)))?;
    let content = Content {
        held: Arc::new(held),
        is_blank: is_blank(&bytes),
    };
    Ok((content, notes))
}

fn summary(path: &Path, notes: &[access::Note]) -> Note {
    if notes.is_empty() {
        return None;
    }
    let path = absolute(path);
    let mut text: Vec<String> = notes
        .iter()
        .take(NOTES_MAX)
        .map(|note| format!("{}:{}: {}", path.display(), note.line, note.text))
        .collect();
    if notes.len() > NOTES_MAX {
        text.push(format!("and {} more", notes.len() - NOTES_MAX));
    }
    Some(text.join("; "))
}
