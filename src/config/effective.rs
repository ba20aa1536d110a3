//! What a configuration comes to, written as a configuration: every setting with where it comes from (`serve --test-config`).
//!
//! The text can be read again and gives the same settings. Files are named, what is in them is not shown.

use std::fmt::Write;

use super::draft::Place;
use super::error::Location;
use super::line::Line;
use super::model::{Config, Listener, Socket};
use super::option::{Opt, Scope, Value};
use super::options::OPTIONS;

/// The column where origins start.
const ORIGIN_COLUMN: usize = 48;

/// Options whose lines add up; of the others the last one counts.
const ADDING_UP: [&str; 7] = [
    "log_dest",
    "log_type",
    "memory_account",
    "slow_consumer_policy",
    "websockets_origin",
    "tls_certificate",
    "http_host",
];

/// Options with a form of their own whose value runs to the end of the line.
const TEXTS: [&str; 4] = [
    "password_file",
    "acl_file",
    "log_dest",
    "slow_consumer_policy",
];

/// Options that make listeners; they are told as `listener`.
const STRUCTURE: [&str; 3] = ["listener", "port", "bind_address"];

/// Options that say nothing about a listener without TLS.
const TLS_ONLY: [&str; 5] = [
    "require_certificate",
    "use_identity_as_username",
    "use_subject_as_username",
    "tls_version",
    "tls_records",
];

/// What `log_type` is where it is not configured.
const LOG_TYPES_DEFAULT: [&str; 4] = ["error", "warning", "notice", "information"];

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Default,
    Line(Location),
    CommandLine(&'static str),
}

/// A setting that somebody has made.
#[derive(Clone, Debug)]
struct Given {
    name: &'static str,
    place: Place,
    value: String,
    origin: Origin,
}

/// Which settings were made, and where.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    given: Vec<Given>,
    per_listener_settings: bool,
    /// The command line's ports stand in for the default one.
    ports: bool,
}

impl Effective {
    /// A line of a file has been accepted.
    pub(super) fn line(
        &mut self,
        option: &'static Opt,
        place: Place,
        value: String,
        at: &Location,
    ) {
        if option.name == "per_listener_settings" {
            self.per_listener_settings |= matches!(&*value, "true" | "1");
        }
        self.given.push(Given {
            name: option.name,
            place,
            value,
            origin: Origin::Line(at.clone()),
        });
    }

    /// Where an option was given for somebody: the line with this index among those that have it, else the last.
    pub(super) fn location(
        &self,
        name: &'static str,
        place: Place,
        nth: usize,
    ) -> Option<Location> {
        let of = |given: &Given| match &given.origin {
            Origin::Line(at) => Some(at.clone()),
            _ => None,
        };
        let mut all = self.lines_of(name, place).filter_map(of);
        let last = self.lines_of(name, place).filter_map(of).next_back();
        all.nth(nth).or(last)
    }

    /// The command line has the last word on an option of the broker's. `flag` is how it is called there.
    pub fn command_line(&mut self, name: &'static str, value: String, flag: &'static str) {
        self.given
            .retain(|given| (given.name, given.place) != (name, Place::Broker));
        self.given.push(Given {
            name,
            place: Place::Broker,
            value,
            origin: Origin::CommandLine(flag),
        });
    }

    /// The ports of the command line are used.
    pub fn command_line_ports(&mut self) {
        self.ports = true;
    }

    /// The settings of `config`, which these lines have made, in the syntax of mosquitto.conf(5).
    pub fn text(&self, config: &Config) -> String {
        let mut out = String::from(
            "# Effective settings, each with its origin. What is not listed is not set.\n",
        );
        if self.per_listener_settings {
            let last = self
                .lines_of("per_listener_settings", Place::Broker)
                .next_back();
            let origin = last.map_or(&Origin::Default, |given| &given.origin);
            write_line(&mut out, "per_listener_settings", "true", false, origin);
        }
        let own = self.per_listener_settings;
        for option in OPTIONS {
            let is_wanted = match option.scope {
                Scope::Global(_) => true,
                Scope::Security(_) => !own,
                _ => false,
            };
            if is_wanted {
                self.write_option(&mut out, option, Place::Broker, |option| {
                    default_of(option, config.local_only, true)
                });
            }
        }
        for listener in &config.listeners {
            let place = match config.local_only {
                true => Place::Default,
                false => self.place_of(&listener.socket),
            };
            self.write_listener(&mut out, config, listener, place);
        }
        for http in &config.http {
            self.write_http(&mut out, &http.listener);
        }
        out
    }

    fn write_listener(&self, out: &mut String, config: &Config, listener: &Listener, place: Place) {
        let Listener { socket, settings } = listener;
        let origin = match &socket.at {
            _ if config.local_only && self.ports => Origin::CommandLine("-p"),
            Some(at) if !config.local_only => Origin::Line(at.clone()),
            _ => Origin::Default,
        };
        out.push('\n');
        write_line(out, "listener", &address_of(socket), false, &origin);
        let has_tls = socket.transport.tls.is_some();
        for option in OPTIONS {
            let is_wanted = match option.scope {
                Scope::Listener(_) | Scope::ListenerSecurity(_) => true,
                Scope::Security(_) => self.per_listener_settings,
                _ => false,
            };
            if is_wanted {
                self.write_option(out, option, place, |option| {
                    default_of(option, settings.allow_anonymous, has_tls)
                });
            }
        }
    }

    /// A listener of HTTP: what it says, and what of the rest it goes by.
    fn write_http(&self, out: &mut String, listener: &Listener) {
        let Listener { socket, settings } = listener;
        let place = self.place_of(socket);
        let origin = socket.at.clone().map_or(Origin::Default, Origin::Line);
        out.push('\n');
        write_line(out, "listener", &address_of(socket), false, &origin);
        for option in OPTIONS {
            let is_wanted = match option.scope {
                Scope::Listener(_) | Scope::ListenerSecurity(_) => true,
                Scope::Security(_) => self.per_listener_settings,
                _ => false,
            };
            if is_wanted {
                self.write_option(out, option, place, |option| {
                    match TLS_ONLY.contains(&option.name) && socket.transport.tls.is_some() {
                        true => default_of(option, false, true),
                        false => Vec::new(),
                    }
                });
            }
        }
        let mut given = self.lines_of("allow_anonymous", place);
        let mut for_all = self.lines_of("allow_anonymous", Place::Broker);
        if given.next().is_none() && for_all.next().is_none() {
            let (name, value) = ("listener_allow_anonymous", settings.allow_anonymous);
            write_line(out, name, &value.to_string(), false, &Origin::Default);
        }
    }

    /// Which lines are about a listener that is not made up: those below its own, or those of the default one.
    fn place_of(&self, socket: &Socket) -> Place {
        let mut named = self.given.iter().filter(|given| given.name == "listener");
        let is_it = |given: &Given| match (&given.origin, &socket.at) {
            (Origin::Line(line), Some(at)) => line == at,
            _ => false,
        };
        named
            .position(is_it)
            .map_or(Place::Default, Place::Listener)
    }

    fn lines_of(
        &self,
        name: &'static str,
        place: Place,
    ) -> impl DoubleEndedIterator<Item = &Given> {
        let is_it =
            move |given: &&Given| setting(given.name) == setting(name) && given.place == place;
        self.given.iter().filter(is_it)
    }

    fn write_option(
        &self,
        out: &mut String,
        option: &Opt,
        place: Place,
        defaults: impl FnOnce(&Opt) -> Vec<String>,
    ) {
        let name = option.name;
        if STRUCTURE.contains(&name) {
            return;
        }
        let is_text = is_text(option);
        if let Some(last) = self.lines_of(name, place).next_back() {
            let all = self.lines_of(name, place);
            let all = all.filter(|given| ADDING_UP.contains(&name) || std::ptr::eq(*given, last));
            for given in all.filter(|given| given.name == name) {
                write_line(out, name, &given.value, is_text, &given.origin);
            }
        } else if setting(name) == name {
            for value in defaults(option) {
                write_line(out, name, &value, is_text, &Origin::Default);
            }
        }
    }
}

/// The setting that an option is about: some have two names.
fn setting(name: &'static str) -> &'static str {
    match name {
        "maximum_qos" => "max_qos",
        "retained_persistence" => "persistence",
        "listener_allow_anonymous" => "allow_anonymous",
        "listener_auto_id_prefix" => "auto_id_prefix",
        other => other,
    }
}

/// What holds where an option is left out; nothing where no value says it.
fn default_of(option: &Opt, allow_anonymous: bool, has_tls: bool) -> Vec<String> {
    match option.name {
        "allow_anonymous" => vec![allow_anonymous.to_string()],
        "log_type" => LOG_TYPES_DEFAULT.map(String::from).into(),
        name if !has_tls && TLS_ONLY.contains(&name) => Vec::new(),
        _ if option.default.is_empty() => Vec::new(),
        _ => vec![option.default.into()],
    }
}

/// Whether all of the line behind the name is the value, so that no comment can stand there.
fn is_text(option: &Opt) -> bool {
    let by_value = match &option.scope {
        Scope::Global(value) => matches!(value, Value::Text(_)),
        Scope::Listener(value) => matches!(value, Value::Text(_)),
        Scope::Security(value) | Scope::ListenerSecurity(value) => {
            matches!(value, Value::Text(_))
        }
        Scope::Structure(_) | Scope::Include => false,
    };
    by_value || TEXTS.contains(&option.name)
}

/// The same by name; an option that is not known has no form.
pub(super) fn runs_to_the_end(name: &str) -> bool {
    let option = OPTIONS.iter().find(|option| option.name == name);
    option.is_some_and(is_text)
}

/// The value that a line gives to an option, without what is not looked at.
pub(super) fn value(option: &Opt, line: &Line<'_>) -> String {
    if is_text(option) {
        line.value.into()
    } else {
        line.words().collect::<Vec<_>>().join(" ")
    }
}

/// What stands behind `listener`.
fn address_of(socket: &Socket) -> String {
    match (&socket.path, &socket.address) {
        (Some(path), _) => format!("0 {}", path.display()),
        (None, Some(address)) => format!("{} {address}", socket.port),
        (None, None) => socket.port.to_string(),
    }
}

/// Writes a setting, with its origin to the right, or above it where a comment would be part of the value.
fn write_line(out: &mut String, name: &str, value: &str, is_text: bool, origin: &Origin) {
    let origin = match origin {
        Origin::Default => "default".into(),
        Origin::Line(at) => at.to_string(),
        Origin::CommandLine(flag) => format!("command line, {flag}"),
    };
    // A name of a file may hold a line break; a comment must not end at it.
    let origin = origin.replace(char::is_control, "?");
    let line = format!("{name} {value}");
    // Writing to a `String` does not fail.
    let _ = match is_text {
        true => writeln!(out, "# {origin}:\n{line}"),
        false => writeln!(out, "{line:<ORIGIN_COLUMN$} # {origin}"),
    };
}
