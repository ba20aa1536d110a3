//! What was last read of the files that options name: a broker that has given root up may not be able to read them again,
//! and goes on with what it has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tls_lines::TlsLines;
use crate::access::{Acl, Passwords};
use crate::transport::tls::Server;

/// What was read of a file.
#[derive(Debug, PartialEq)]
pub(in crate::config) struct Content<T> {
    /// What it comes to.
    pub held: Arc<T>,
    /// Nothing stands in it, not even a comment.
    pub is_blank: bool,
}

impl<T> Clone for Content<T> {
    fn clone(&self) -> Self {
        Content {
            held: self.held.clone(),
            is_blank: self.is_blank,
        }
    }
}

/// Contents by the lines that ask for them. Two are equal that hold the same, wherever the lines were read.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The configuration itself and the files that it includes, and whether nothing stood in them.
    sources: Vec<(PathBuf, bool)>,
    acls: Vec<(PathBuf, Content<Acl>)>,
    passwords: Vec<(PathBuf, Content<Passwords>)>,
    /// Certificates, keys and rules of a listener come together.
    tls: Vec<(TlsLines, Arc<Server>)>,
}

impl PartialEq for Files {
    fn eq(&self, other: &Files) -> bool {
        (&self.acls, &self.passwords, &self.tls) == (&other.acls, &other.passwords, &other.tls)
    }
}

impl Files {
    /// Takes over what others have.
    pub(in crate::config) fn add(&mut self, mut other: Files) {
        self.sources.append(&mut other.sources);
        self.acls.append(&mut other.acls);
        self.passwords.append(&mut other.passwords);
        self.tls.append(&mut other.tls);
    }

    /// Notes that a file of the configuration has been read, and whether nothing stands in it.
    pub(in crate::config) fn note_source(&mut self, path: &Path, is_blank: bool) {
        self.sources.push((path.into(), is_blank));
    }

    /// Notes what an ACL file holds.
    pub(in crate::config) fn note_acl(&mut self, path: &Path, acl: &Content<Acl>) {
        self.acls.push((path.into(), acl.clone()));
    }

    /// Notes what a password file holds.
    pub(in crate::config) fn note_passwords(
        &mut self,
        path: &Path,
        passwords: &Content<Passwords>,
    ) {
        self.passwords.push((path.into(), passwords.clone()));
    }

    /// Notes what a listener's TLS options have read.
    pub(in crate::config) fn note_tls(&mut self, lines: &TlsLines, server: &Arc<Server>) {
        self.tls.push((lines.clone(), server.clone()));
    }

    /// Whether something stood in a file of the configuration.
    pub(in crate::config) fn had_text(&self, path: &Path) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|(known, is_blank)| known == path && !is_blank)
    }

    /// What an ACL file held.
    pub(in crate::config) fn acl(&self, path: &Path) -> Option<&Content<Acl>> {
        find(&self.acls, path)
    }

    /// What a password file held.
    pub(in crate::config) fn passwords(&self, path: &Path) -> Option<&Content<Passwords>> {
        find(&self.passwords, path)
    }

    /// What was made of the same TLS options.
    pub(in crate::config) fn tls(&self, lines: &TlsLines) -> Option<&Arc<Server>> {
        let known = self.tls.iter().find(|(asked, _)| asked == lines);
        known.map(|(_, server)| server)
    }

    /// Every file that a reload reads again: rules, passwords, certificates and keys, and with `true` those that are the
    /// configuration itself.
    pub fn paths(&self) -> Vec<(PathBuf, bool)> {
        let sources = self.sources.iter().map(|(path, _)| (path.clone(), true));
        let acls = self.acls.iter().map(|(path, _)| path.clone());
        let passwords = self.passwords.iter().map(|(path, _)| path.clone());
        let tls = self.tls.iter().flat_map(|(lines, _)| lines.paths());
        let others = acls.chain(passwords).chain(tls).map(|path| (path, false));
        let mut paths: Vec<_> = sources.chain(others).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

fn find<'a, T>(files: &'a [(PathBuf, Content<T>)], path: &Path) -> Option<&'a Content<T>> {
    let known = files.iter().find(|(known, _)| known == path);
    known.map(|(_, content)| content)
}
