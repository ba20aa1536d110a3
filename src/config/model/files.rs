//! What was last read of the files that options name: a broker that has given root up may not be able to read them again,
//! and goes on with what it has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tls_lines::TlsLines;
use crate::access::{Acl, Passwords};
use crate::transport::tls::Server;

/// Contents by the lines that ask for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    acls: Vec<(PathBuf, Arc<Acl>)>,
    passwords: Vec<(PathBuf, Arc<Passwords>)>,
    /// Certificates, keys and rules of a listener come together.
    tls: Vec<(TlsLines, Arc<Server>)>,
}

impl Files {
    /// Takes over what others have.
    pub(in crate::config) fn add(&mut self, mut other: Files) {
        self.acls.append(&mut other.acls);
        self.passwords.append(&mut other.passwords);
        self.tls.append(&mut other.tls);
    }

    /// Notes what an ACL file holds.
    pub(in crate::config) fn note_acl(&mut self, path: &Path, acl: &Arc<Acl>) {
        self.acls.push((path.into(), acl.clone()));
    }

    /// Notes what a password file holds.
    pub(in crate::config) fn note_passwords(&mut self, path: &Path, passwords: &Arc<Passwords>) {
        self.passwords.push((path.into(), passwords.clone()));
    }

    /// Notes what a listener's TLS options have read.
    pub(in crate::config) fn note_tls(&mut self, lines: &TlsLines, server: &Arc<Server>) {
        self.tls.push((lines.clone(), server.clone()));
    }

    /// What an ACL file held.
    pub(in crate::config) fn acl(&self, path: &Path) -> Option<Arc<Acl>> {
        find(&self.acls, path)
    }

    /// What a password file held.
    pub(in crate::config) fn passwords(&self, path: &Path) -> Option<Arc<Passwords>> {
        find(&self.passwords, path)
    }

    /// What was made of the same TLS options.
    pub(in crate::config) fn tls(&self, lines: &TlsLines) -> Option<&Arc<Server>> {
        let known = self.tls.iter().find(|(asked, _)| asked == lines);
        known.map(|(_, server)| server)
    }
}

fn find<T>(files: &[(PathBuf, Arc<T>)], path: &Path) -> Option<Arc<T>> {
    let known = files.iter().find(|(known, _)| known == path);
    known.map(|(_, content)| content.clone())
}
