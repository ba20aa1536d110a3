//! What the lines of a listener of HTTP come to, and what it must not be: a door that anybody on the network can open.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::draft::{HttpLines, ListenerDraft, Place, Security};
use super::effective::Effective;
use super::error::{ConfigError, Misdeed, Warning};
use super::model::{HttpListener, Listener};
use super::paths::absolute;
use crate::limits::HTTP_DIR_LOOK_MS;

impl HttpLines {
    /// What is to be said of a line that has just been taken: of a directory that cannot be served from.
    pub(super) fn note(&self, name: &str) -> Option<String> {
        let directory = self.directory.as_ref().filter(|_| name == "http_dir")?;
        let directory = absolute(directory);
        let why = fault(&directory)?;
        let directory = directory.display();
        Some(format!(
            "{directory} {why}; a file that is asked for is answered with 404 or 503"
        ))
    }
}

/// Why nothing can be served from a directory. A file system that does not answer holds nobody up for long.
fn fault(directory: &Path) -> Option<String> {
    let (to, found) = channel();
    let looked_at = directory.to_path_buf();
    let look = move || drop(to.send(fs::metadata(looked_at)));
    thread::Builder::new()
        .name("look".into())
        .spawn(look)
        .ok()?;
    match found.recv_timeout(Duration::from_millis(HTTP_DIR_LOOK_MS)) {
        Ok(Ok(found)) => (!found.is_dir()).then(|| "is no directory".into()),
        Ok(Err(error)) => Some(format!("cannot be served from: {error}")),
        Err(_) => Some("does not answer".into()),
    }
}

impl ListenerDraft {
    /// The listener, with what holds for `all`; its transport is made already. `lines`: where its options stand.
    ///
    /// # Errors
    /// It would be open to other hosts, or asks for what HTTP does not have here.
    pub(super) fn http_listener(
        self,
        all: &Security,
        (lines, place): (&Effective, Place),
    ) -> Result<HttpListener, ConfigError> {
        let mut settings = self.granted(all, false);
        let is_said = self.security.allow_anonymous.or(all.allow_anonymous);
        if is_said.is_none() && settings.passwords.is_none() {
            // As in Mosquitto where it opens one by itself: whoever is on this host may look.
            settings.allow_anonymous = self.socket.is_loopback();
        }
        let has_certificates = self.tls.require_certificate && settings.identity_from_certificate;
        let has_users = settings.passwords.is_some() || has_certificates;
        let fault = if self.socket.path.is_some() {
            Some((
                "protocol",
                "http_api is served over TCP, not at a path: `listener 9883 127.0.0.1`",
            ))
        } else if self.is_proxied {
            Some((
                "enable_proxy_protocol",
                "http_api has no PROXY header: let the proxy speak HTTP",
            ))
        } else if !self.socket.is_loopback() && (settings.allow_anonymous || !has_users) {
            Some((
                "protocol",
                "http_api on an address that other hosts reach wants `allow_anonymous false` and a password_file (or client \
                 certificates and use_identity_as_username): without them put it on 127.0.0.1",
            ))
        } else {
            None
        };
        if let Some((name, rule)) = fault {
            return Err(ConfigError {
                at: lines.location(name, place, usize::MAX),
                misdeed: Misdeed::Misplaced { name, rule },
            });
        }
        Ok(HttpListener {
            directory: self.http.directory.clone(),
            hosts: self.http.hosts.clone(),
            listener: Listener::new(self.socket, settings),
        })
    }

    /// Options of HTTP at a listener that does not speak it.
    pub(super) fn http_remarks(&self, lines: &Effective, place: Place) -> Vec<Warning> {
        let given = [
            ("http_dir", self.http.directory.is_some()),
            ("http_host", !self.http.hosts.is_empty()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        let warning = |(option, _): (&'static str, bool)| {
            Some(Warning {
                at: lines.location(option, place, usize::MAX)?,
                option: option.into(),
                text: "only a listener with protocol http_api serves anything over HTTP, has no effect"
                    .into(),
            })
        };
        given.filter_map(warning).collect()
    }
}
