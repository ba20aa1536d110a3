//! What the lines of a listener of HTTP come to, and what it must not be: a door that anybody on the network can open.

use super::draft::{ListenerDraft, Place, Security};
use super::effective::Effective;
use super::error::{ConfigError, Misdeed, Warning};
use super::model::{HttpListener, Listener};

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
