//! From lines to a `Config`: which listener an option is about, includes, and what follows from options together.
//!
//! Listeners as in Mosquitto: `listener` opens one and what follows it in the same file is about it. `port`,
//! `bind_address` and listener options without a `listener` above them are about the default listener, port 1883.
//! Where neither `listener` nor `port` nor `bind_address` stands anywhere, or for HTTP only, MQTT is served to this host only.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::certificates::CertificateNote;
use super::draft::{Globals, ListenerDraft, Note, Place, Security};
use super::effective::{self, Effective};
use super::error::{ConfigError, FileFault, Location, Misdeed, Warning};
use super::kept;
use super::known;
use super::line::{self, Line};
use super::model::{Config, Files, Listener, PORT_DEFAULT, PersistenceLines, Socket};
use super::option::{Opt, Scope, Value};
use super::options::OPTIONS;
use super::paths::is_blank;
use super::suggest;
use super::tls::{Remark, Surroundings};
use crate::broker::{ListenerSettings, Records};
use crate::limits::WEBSOCKET_HEADERS_BYTES;
use crate::transport::websocket;

/// Bytes of the shortest file name that `include_dir` takes: one letter and `.conf`.
const INCLUDE_NAME_BYTES_MIN: usize = 6;

/// The state of reading.
pub(super) struct Builder {
    /// What was last read of the files that options name.
    before: Files,
    globals: Globals,
    pub(super) listeners: Vec<ListenerDraft>,
    /// The listener of options without a `listener` above them.
    default: Option<ListenerDraft>,
    /// The line that called for the default listener without naming a port or an address.
    pub(super) default_implied: Option<(Location, &'static str)>,
    /// `listener`, `port` or `bind_address` was given.
    pub(super) remote: bool,
    pub(super) per_listener_settings: bool,
    /// A security option was given: too late for `per_listener_settings`.
    pub(super) security_given: bool,
    /// Options that may be given once and were, and for whom.
    given: Vec<(&'static str, Place)>,
    warnings: Vec<Warning>,
    /// Every setting that was accepted, for those who ask where it comes from.
    effective: Effective,
    /// The line in hand.
    pub(super) at: Location,
    /// The listener that the line in hand is about.
    pub(super) current: Option<Place>,
    /// An included file is being read.
    included: bool,
    /// Only options of these names are taken, and what is wrong is passed over.
    only: Option<fn(&str) -> bool>,
}

/// Options that say where log lines go, and whose files they are.
fn is_of_log(name: &str) -> bool {
    name == "user" || name.starts_with("log_")
}

/// What a file and those that it includes say of the log, as far as they can be read: for a configuration in which something else is
/// wrong.
pub(super) fn load_log(path: &Path) -> Config {
    let mut builder = Builder::new(path);
    builder.only = Some(is_of_log);
    // What follows a file that cannot be read is not known.
    let _ = builder.read(path);
    builder.globals.finish_log();
    builder.globals.config
}

/// Reads a file and those that it includes; `before` is what was read of the files that it names.
pub(super) fn load(
    path: &Path,
    before: Option<&Files>,
) -> Result<(Config, Vec<Warning>, Effective), ConfigError> {
    let mut builder = Builder::new(path);
    builder.before = before.cloned().unwrap_or_default();
    builder.read(path)?;
    let effective = std::mem::take(&mut builder.effective);
    let (config, warnings) = builder.finish(&effective)?;
    Ok((config, warnings, effective))
}

impl Builder {
    fn new(path: &Path) -> Builder {
        let mut config = Config::default();
        config.listeners.clear();
        config.is_empty = true;
        Builder {
            before: Files::default(),
            globals: Globals {
                config,
                persistence: PersistenceLines::default(),
                security: Security::default(),
                log_types: None,
                log_destinations: None,
                websocket_headers: None,
            },
            listeners: Vec::new(),
            default: None,
            default_implied: None,
            remote: false,
            per_listener_settings: false,
            security_given: false,
            given: Vec::new(),
            warnings: Vec::new(),
            effective: Effective::default(),
            at: Location {
                file: Arc::from(path),
                line: 0,
            },
            current: None,
            included: false,
            only: None,
        }
    }

    /// The error that a misdeed of the line in hand is.
    fn error(&self, misdeed: Misdeed) -> ConfigError {
        ConfigError {
            at: (self.at.line > 0).then(|| self.at.clone()),
            misdeed,
        }
    }

    /// Takes all lines of a file.
    fn read(&mut self, path: &Path) -> Result<(), ConfigError> {
        let content = fs::read(path).map_err(|error| {
            let misdeed = Misdeed::unreadable(path, error);
            self.error(misdeed)
        })?;
        let is_blank = is_blank(&content);
        if is_blank && self.included && self.before.had_text(path) {
            return Err(self.error(Misdeed::file(path, FileFault::Emptied)));
        }
        self.globals.config.files.note_source(path, is_blank);
        self.at = Location {
            file: Arc::from(path),
            line: 0,
        };
        // Some editors put a byte order mark in front.
        let content = content
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(&content);
        for bytes in content.split(|&byte| byte == b'\n') {
            self.at.line += 1;
            let text = line::text(bytes).ok_or_else(|| self.error(Misdeed::NotText));
            let (text, is_cut) = text?;
            let Some(line) = Line::parse(text) else {
                continue;
            };
            // A value that runs to the end of the line has no comment behind it.
            if is_cut && effective::runs_to_the_end(line.name) {
                return Err(self.error(Misdeed::NotText));
            }
            self.globals.config.is_empty = false;
            self.take(&line)?;
        }
        Ok(())
    }

    /// Takes one line.
    fn take(&mut self, line: &Line<'_>) -> Result<(), ConfigError> {
        let option = OPTIONS.iter().find(|option| option.name == line.name);
        if let Some(option) = option
            && matches!(option.scope, Scope::Include)
        {
            return self.include(option.name, line);
        }
        if let Some(is_wanted) = self.only {
            let option = option.filter(|option| is_wanted(option.name));
            let _ = option.map(|option| self.apply(option, line));
            return Ok(());
        }
        let note = match option {
            Some(option) => self.apply(option, line),
            None => unsupported(line),
        };
        match note {
            Ok(None) => {}
            Ok(Some(text)) => self.warn(line.name, text),
            Err(misdeed) => return Err(self.error(misdeed)),
        }
        Ok(())
    }

    fn warn(&mut self, option: &str, text: String) {
        self.warnings.push(Warning {
            at: self.at.clone(),
            option: option.into(),
            text,
        });
    }

    fn apply(&mut self, option: &'static Opt, line: &Line<'_>) -> Result<Note, Misdeed> {
        let note = self.set(option, line)?;
        let own = self.per_listener_settings;
        let place = match &option.scope {
            Scope::Listener(_) | Scope::ListenerSecurity(_) => self.current,
            Scope::Security(_) if own => self.current,
            _ => Some(Place::Broker),
        };
        let value = effective::value(option, line);
        let place = place.unwrap_or(Place::Default);
        self.effective.line(option, place, value, &self.at);
        Ok(note)
    }

    fn set(&mut self, option: &Opt, line: &Line<'_>) -> Result<Note, Misdeed> {
        let name = option.name;
        match &option.scope {
            // An include is more than a line, and has been dealt with.
            Scope::Include => Ok(None),
            Scope::Structure(structure) => self.take_structure(*structure, line),
            Scope::Global(value) => {
                self.once(name, value, Place::Broker)?;
                value.apply(&mut self.globals, name, line)
            }
            Scope::Listener(value) => {
                let place = self.place(name);
                self.once(name, value, place)?;
                let draft = self.listener(place);
                let note = value.apply(draft, name, line)?;
                Ok(note.or_else(|| draft.http.note(name)))
            }
            Scope::Security(value) => {
                self.security_given = true;
                let own = self.per_listener_settings;
                let place = if own { self.place(name) } else { Place::Broker };
                self.apply_security(place, value, name, line)
            }
            Scope::ListenerSecurity(value) => {
                let place = self.place(name);
                self.apply_security(place, value, name, line)
            }
        }
    }

    fn apply_security(
        &mut self,
        place: Place,
        value: &Value<Security>,
        name: &'static str,
        line: &Line<'_>,
    ) -> Result<Note, Misdeed> {
        self.once(name, value, place)?;
        let before = std::mem::take(&mut self.before);
        let security = match place {
            Place::Broker => &mut self.globals.security,
            _ => &mut self.listener(place).security,
        };
        let applied = value.apply(security, name, line);
        let note = kept::judged(&before, name, line, security, applied);
        let mut read = Files::default();
        kept::note(&mut read, name, line, security);
        self.globals.config.files.add(read);
        self.before = before;
        note
    }

    /// Refuses a second line of an option that may be given once.
    fn once<T>(
        &mut self,
        name: &'static str,
        value: &Value<T>,
        place: Place,
    ) -> Result<(), Misdeed> {
        if value.once() {
            self.mark(name, place)
        } else {
            Ok(())
        }
    }

    /// Notes that an option was given.
    pub(super) fn mark(&mut self, name: &'static str, place: Place) -> Result<(), Misdeed> {
        if self.given.contains(&(name, place)) {
            return Err(Misdeed::Duplicate { name });
        }
        self.given.push((name, place));
        Ok(())
    }

    /// Whom a listener option in the line in hand is about.
    fn place(&mut self, name: &'static str) -> Place {
        if self.current.is_none() && self.default.is_none() {
            self.default_implied = Some((self.at.clone(), name));
        }
        *self.current.get_or_insert(Place::Default)
    }

    /// The listener at a place; the default one comes into being when it is asked for.
    pub(super) fn listener(&mut self, place: Place) -> &mut ListenerDraft {
        match place {
            Place::Listener(index) if index < self.listeners.len() => &mut self.listeners[index],
            _ => {
                let at = &self.at;
                self.default.get_or_insert_with(|| {
                    let mut listener = ListenerDraft::default();
                    listener.socket.at = Some(at.clone());
                    listener
                })
            }
        }
    }

    /// `include_dir PATH`: the directory's `*.conf`, in the order of the bytes of their names. Each file starts
    /// without a listener, and what follows the line goes on with the listener above it.
    fn include(&mut self, name: &'static str, line: &Line<'_>) -> Result<(), ConfigError> {
        let directory = Path::new(line.text(name).map_err(|misdeed| self.error(misdeed))?);
        if self.included {
            let rule = "only the main configuration file may include others";
            return Err(self.error(Misdeed::Misplaced { name, rule }));
        }
        let paths = included(directory).map_err(|error| {
            let misdeed = Misdeed::unreadable(directory, error);
            self.error(misdeed)
        })?;
        self.globals.config.files.note_source(directory, false);
        let (at, current) = (self.at.clone(), self.current);
        self.included = true;
        for path in paths {
            self.at = at.clone();
            self.current = None;
            self.read(&path)?;
        }
        self.included = false;
        self.at = at;
        self.current = current;
        Ok(())
    }

    /// Applies what follows from options together.
    fn finish(mut self, effective: &Effective) -> Result<(Config, Vec<Warning>), ConfigError> {
        self.globals.finish_log();
        self.warn_of_default();
        let security = match self.per_listener_settings {
            true => Security::default(),
            false => std::mem::take(&mut self.globals.security),
        };
        let headers = self.globals.websocket_headers;
        let before = self.before;
        let mut config = self.globals.config;
        config.persistence = self.globals.persistence.finish();
        config.memory.check().map_err(|misdeed| ConfigError {
            at: effective.location("memory_account", Place::Broker, usize::MAX),
            misdeed,
        })?;
        let has_default = self.default.is_some();
        let is_http = |draft: &ListenerDraft| draft.http.is_on;
        config.local_only = !self.remote || (!has_default && self.listeners.iter().all(is_http));
        let places = (0..self.listeners.len()).map(Place::Listener);
        let mut drafts: Vec<_> = places.zip(self.listeners).collect();
        if has_default || config.local_only {
            drafts.push((Place::Default, self.default.unwrap_or_default()));
        }
        for (place, mut draft) in drafts {
            let files = (&before, &mut config.files);
            let said = draft.finish_transport(headers, files, (effective, place))?;
            said.tell(&mut self.warnings, &mut config.certificates);
            if draft.http.is_on {
                let listener = draft.http_listener(&security, (effective, place))?;
                config.http.push(listener);
                continue;
            }
            self.warnings.extend(draft.http_remarks(effective, place));
            let is_local = config.local_only;
            let settings = draft.granted(&security, is_local);
            let listener = Listener::new(draft.socket, settings);
            match is_local {
                true => config.listen_locally(&[PORT_DEFAULT], &listener),
                false => config.listeners.push(listener),
            }
        }
        if config.listeners.is_empty() {
            let settings = ListenerDraft::default().granted(&security, true);
            let listener = Listener::new(Socket::default(), settings);
            config.listen_locally(&[PORT_DEFAULT], &listener);
        }
        Ok((config, self.warnings))
    }

    /// A default listener that nobody asked for by name deserves a word.
    fn warn_of_default(&mut self) {
        let Some((at, option)) = self.default_implied.take() else {
            return;
        };
        let text = if self.remote {
            "no listener stands above it, so it opens port 1883 on all addresses, as in Mosquitto; \
             put it below a listener if that is not meant"
        } else {
            "no listener is configured: only clients on this host are served, on port 1883"
        };
        self.warnings.push(Warning {
            at,
            option: option.into(),
            text: text.into(),
        });
    }
}

impl ListenerDraft {
    /// What its connections speak below MQTT; reads the certificates that its options name. `lines`: where its options
    /// stand.
    fn finish_transport(
        &mut self,
        headers: Option<usize>,
        (before, files): (&Files, &mut Files),
        (lines, place): (&Effective, Place),
    ) -> Result<Said, ConfigError> {
        self.settings.says_goodbye = self.websocket;
        self.socket.transport.websocket = self.websocket.then(|| {
            Arc::new(websocket::Options {
                origins: self.origins.clone(),
                headers_bytes_max: headers.unwrap_or(WEBSOCKET_HEADERS_BYTES),
            })
        });
        let at = |option, nth| {
            let line = lines.location(option, place, nth);
            line.or_else(|| self.socket.at.clone())
        };
        let around = Surroundings {
            is_proxied: self.is_proxied,
            now_s: now_s(),
        };
        let finished = self
            .tls
            .finish(around)
            .or_else(|blamed| kept::instead_of_tls(before, &self.tls, blamed, around));
        let finished = finished.map_err(|blamed| ConfigError {
            at: at(blamed.option, blamed.nth),
            misdeed: blamed.misdeed,
        })?;
        let said = finished.remarks.into_iter().map(|remark| {
            let at = at(remark.option, remark.nth);
            (at, remark)
        });
        let said = Said(said.collect());
        let has_tls = finished.server.is_some();
        self.settings.records = match self.records {
            Some(records) if has_tls => records,
            _ => records_by_default(has_tls, self.websocket),
        };
        if let Some(server) = &finished.server {
            files.note_tls(&self.tls, server);
        }
        self.socket.transport.tls = finished.server;
        self.socket.transport.proxy = finished.proxy;
        self.settings.identity_from_certificate = self.tls.by_identity || self.tls.by_subject;
        Ok(said)
    }

    /// What the listener grants: what it says for itself, else what holds for all, else what is usual.
    pub(super) fn granted(&self, all: &Security, local_only: bool) -> ListenerSettings {
        let mut granted = self.settings.clone();
        let own = &self.security;
        granted.allow_anonymous = own
            .allow_anonymous
            .or(all.allow_anonymous)
            .unwrap_or(local_only);
        granted.allow_zero_length_clientid = own
            .allow_zero_length_clientid
            .or(all.allow_zero_length_clientid)
            .unwrap_or(granted.allow_zero_length_clientid);
        if let Some(prefix) = own.auto_id_prefix.as_ref().or(all.auto_id_prefix.as_ref()) {
            granted.auto_id_prefix.clone_from(prefix);
        }
        if let Some(prefix) = own
            .clientid_prefix
            .as_ref()
            .or(all.clientid_prefix.as_ref())
        {
            granted.clientid_prefix.clone_from(prefix);
        }
        let passwords = own.passwords.as_ref().or(all.passwords.as_ref());
        granted.passwords = passwords.map(|content| content.held.clone());
        let acl = own.acl.as_ref().or(all.acl.as_ref());
        granted.acl = acl.map(|content| content.held.clone());
        granted
    }
}

/// What is to be said of a listener's options, and where they stand.
struct Said(Vec<(Option<Location>, Remark)>);

impl Said {
    fn tell(self, warnings: &mut Vec<Warning>, certificates: &mut Vec<CertificateNote>) {
        for (at, remark) in self.0 {
            match (remark.certificate, at) {
                (Some(is_urgent), at) => certificates.push(CertificateNote {
                    at,
                    text: remark.text,
                    is_urgent,
                }),
                (None, Some(at)) => warnings.push(Warning {
                    at,
                    option: remark.option.into(),
                    text: remark.text,
                }),
                (None, None) => {}
            }
        }
    }
}

/// What holds where no line says it. Libraries for WebSocket read a record whole, so that nothing waits in it.
pub(super) fn records_by_default(has_tls: bool, has_websocket: bool) -> Records {
    match has_tls && !has_websocket {
        true => Records::ByVersion,
        false => Records::Full,
    }
}

/// Seconds since 1970.
fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}

/// A line whose option has no effect here: a warning, or an error.
fn unsupported(line: &Line<'_>) -> Result<Note, Misdeed> {
    if let Some((name, known)) = known::find(line.name) {
        return known.verdict(name, line).map(|text| Some(text.into()));
    }
    let names = OPTIONS.iter().map(|option| option.name);
    let names = names.chain(known::KNOWN.iter().map(|(name, _)| *name));
    let meant = suggest::nearest(line.name, names);
    Err(Misdeed::UnknownOption {
        name: line.name.into(),
        meant,
    })
}

/// The files of a directory that `include_dir` takes, in its order.
fn included(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if name.len() >= INCLUDE_NAME_BYTES_MIN && name.as_bytes().ends_with(b".conf") {
            paths.push(directory.join(name));
        }
    }
    paths.sort_unstable_by(|one, other| {
        one.as_os_str().as_bytes().cmp(other.as_os_str().as_bytes())
    });
    Ok(paths)
}
