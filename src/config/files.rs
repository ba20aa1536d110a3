//! What was last read of the files that options name: a broker that has given root up may not be able to read them again,
//! and goes on with what it has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Misdeed;
use super::line::Line;
use super::option::{Note, Security};
use super::tls::{Blamed, Finished, TlsDraft};
use crate::access::{Acl, Passwords};
use crate::transport::tls::Server;

/// Contents by the lines that ask for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    acls: Vec<(PathBuf, Arc<Acl>)>,
    passwords: Vec<(PathBuf, Arc<Passwords>)>,
    /// Certificates, keys and rules of a listener come together.
    tls: Vec<(TlsDraft, Arc<Server>)>,
}

impl Files {
    /// What a line of a security option has read, if it names a file.
    pub(super) fn of(name: &str, line: &Line<'_>, security: &Security) -> Files {
        let mut files = Files::default();
        let path = || PathBuf::from(line.value);
        match (name, &security.acl, &security.passwords) {
            ("acl_file", Some(acl), _) => files.acls.push((path(), acl.clone())),
            ("password_file", _, Some(users)) => files.passwords.push((path(), users.clone())),
            _ => {}
        }
        files
    }

    pub(super) fn add(&mut self, mut other: Files) {
        self.acls.append(&mut other.acls);
        self.passwords.append(&mut other.passwords);
        self.tls.append(&mut other.tls);
    }

    /// Notes what a listener's TLS options have read.
    pub(super) fn note_tls(&mut self, draft: &TlsDraft, server: &Arc<Server>) {
        self.tls.push((draft.clone(), server.clone()));
    }

    /// Puts what was last read in the place of a file that may not be read any more; `misdeed` says that it may not.
    ///
    /// # Errors
    /// The misdeed, where nothing was read before, or where it is another one.
    pub(super) fn instead(
        &self,
        name: &str,
        security: &mut Security,
        misdeed: Misdeed,
    ) -> Result<Note, Misdeed> {
        let Some(path) = forbidden(&misdeed) else {
            return Err(misdeed);
        };
        let is_found = match name {
            "acl_file" => {
                security.acl = find(&self.acls, path);
                security.acl.is_some()
            }
            "password_file" => {
                security.passwords = find(&self.passwords, path);
                security.passwords.is_some()
            }
            _ => false,
        };
        match is_found {
            true => Ok(Some(stays(&misdeed))),
            false => Err(misdeed),
        }
    }

    /// The same for what a listener's TLS options ask for, if they are what they were. `behind_and_now`: whether a proxy
    /// stands before it, and seconds since 1970.
    ///
    /// # Errors
    /// As `instead`.
    pub(super) fn instead_of_tls(
        &self,
        draft: &TlsDraft,
        blamed: Blamed,
        behind_and_now: (bool, i64),
    ) -> Result<Finished, Blamed> {
        let known = self.tls.iter().find(|(asked, _)| asked == draft);
        match (forbidden(&blamed.misdeed), known) {
            (Some(_), Some((_, server))) => {
                let note = stays(&blamed.misdeed);
                let mut finished = draft.finish_with(server.clone(), behind_and_now);
                finished.remark(blamed.option, note);
                Ok(finished)
            }
            _ => Err(blamed),
        }
    }
}

fn find<T>(files: &[(PathBuf, Arc<T>)], path: &Path) -> Option<Arc<T>> {
    let known = files.iter().find(|(known, _)| known == path);
    known.map(|(_, content)| content.clone())
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
