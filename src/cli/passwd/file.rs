//! A password file as lines: changed one user at a time, written in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::access::Credential;

/// Of a new file: only the owner reads it.
const MODE: u32 = 0o600;

/// The lines of a file, as they stand there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines(Vec<String>);

impl Lines {
    pub(super) fn read(path: &Path) -> io::Result<Lines> {
        let text = fs::read_to_string(path)?;
        Ok(Lines(text.lines().map(String::from).collect()))
    }

    /// Gives a user this hash, in place of the one before or at the end. It is the user's only line then: of several the broker
    /// goes by the last.
    pub(super) fn set(&mut self, user: &str, hash: &str) {
        let line = format!("{user}:{hash}");
        let index = self.0.iter().position(|line| user_of(line) == Some(user));
        self.remove(user);
        // Nothing was taken out before the first one.
        self.0.insert(index.unwrap_or(self.0.len()), line);
    }

    /// Takes a user out; false if there was none.
    pub(super) fn remove(&mut self, user: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|line| user_of(line) != Some(user));
        self.0.len() < before
    }

    /// Hashes the passwords that are not hashed yet.
    ///
    /// # Errors
    /// The number of a line without a password, and what is wrong with it.
    pub(super) fn hash_all(
        &mut self,
        hash: impl Fn(&[u8]) -> Result<String, String>,
    ) -> Result<(), String> {
        for (index, line) in self.0.iter_mut().enumerate() {
            if is_blank(line) {
                continue;
            }
            let split = line
                .split_once(':')
                .filter(|(user, _)| !user.trim().is_empty());
            let Some((user, password)) = split else {
                return Err(format!("{}: no user name and password", index + 1));
            };
            if Credential::parse(password.trim()).is_err() {
                *line = format!("{user}:{}", hash(password.as_bytes())?);
            }
        }
        Ok(())
    }

    /// Puts the lines in the place of the file: whoever reads it sees the old one or the new one. It keeps its owner,
    /// its group and its mode, so that the broker may read it as before.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        // A link stays one.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let beside = beside(&target)?;
        let _ = fs::remove_file(&beside);
        let result = self.write_to(&beside, &target);
        if result.is_err() {
            let _ = fs::remove_file(&beside);
        }
        result
    }

    fn write_to(&self, beside: &Path, target: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(beside)?;
        let mut mode = MODE;
        if let Ok(old) = fs::metadata(target) {
            mode = old.mode() & 0o777;
            let new = file.metadata()?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
        }
        // Not before it is whose it is to be: nobody else is to read it, be it for a moment.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        for line in &self.0 {
            writeln!(file, "{line}")?;
        }
        file.sync_all()?;
        fs::rename(beside, target)?;
        // The name is to last as well; where a directory cannot be synchronised it does so in time.
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

fn user_of(line: &str) -> Option<&str> {
    let (user, _) = line.split_once(':').filter(|_| !is_blank(line))?;
    Some(user.trim())
}

/// A name in the same directory.
fn beside(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.new", std::process::id()));
    Ok(target.with_file_name(hidden))
}
