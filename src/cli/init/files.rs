//! Files that are all written, or none: what is there is looked for first.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file and what is to stand in it.
pub(super) struct Written {
    pub path: PathBuf,
    pub text: String,
}

/// Whether files can be written without replacing any.
///
/// # Errors
/// One is there.
pub(super) fn are_free(files: &[Written]) -> Result<(), String> {
    match files.iter().find(|file| is_there(&file.path)) {
        Some(there) => Err(format!(
            "{} is there, and is left as it is; --force replaces it",
            there.path.display()
        )),
        None => Ok(()),
    }
}

/// Whether what is there may be replaced: devices, folders and their like may not.
///
/// # Errors
/// One is there and no file.
pub(super) fn are_files(files: &[Written]) -> Result<(), String> {
    let is_other = |file: &&Written| {
        let there = fs::symlink_metadata(&file.path);
        there.is_ok_and(|there| !there.is_file() && !there.is_symlink())
    };
    match files.iter().find(is_other) {
        Some(other) => Err(format!("{} is there and is no file", other.path.display())),
        None => Ok(()),
    }
}

/// Writes files. Without `replace` none of them may be there.
///
/// # Errors
/// One is there, or cannot be made; then none of those is left that were not there before.
pub(super) fn write(files: &[Written], replace: bool) -> Result<(), String> {
    for (index, file) in files.iter().enumerate() {
        let made = match replace {
            true => replaced(file),
            false => created(&file.path, &file.text),
        };
        if let Err(error) = made {
            if !replace {
                for made in &files[..index] {
                    let _ = fs::remove_file(&made.path);
                }
            }
            return Err(error);
        }
    }
    Ok(())
}

/// A link that leads nowhere is there too.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Nobody else's file is written to, also if it came in between.
fn created(path: &Path, text: &str) -> Result<(), String> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} is there, and is left as it is", path.display()),
        _ => format!("{}: {error}", path.display()),
    })
}

/// Whoever reads it sees the old one or the new one.
fn replaced(file: &Written) -> Result<(), String> {
    let name = file.path.file_name().unwrap_or_default().to_os_string();
    let beside = file.path.with_file_name(format!(
        ".{}.{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    created(&beside, &file.text)?;
    fs::rename(&beside, &file.path).map_err(|error| {
        let _ = fs::remove_file(&beside);
        format!("{}: {error}", file.path.display())
    })
}
