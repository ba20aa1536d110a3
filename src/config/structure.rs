//! The options that make listeners: `listener`, `port`, `bind_address`, and `per_listener_settings`.

use std::path::PathBuf;

use super::build::Builder;
use super::draft::{ListenerDraft, Note, Place};
use super::error::{Misdeed, ValueFault};
use super::line::{self, Line};
use super::option::Structure;

impl Builder {
    /// Takes a line of one of these options.
    pub(super) fn take_structure(
        &mut self,
        structure: Structure,
        line: &Line<'_>,
    ) -> Result<Note, Misdeed> {
        match structure {
            Structure::Listener => self.on_listener(line),
            Structure::Port => self.on_port(line),
            Structure::BindAddress => self.on_bind_address(line),
            Structure::PerListenerSettings => self.on_per_listener_settings(line),
        }
    }

    /// `listener PORT [ADDRESS]`.
    fn on_listener(&mut self, line: &Line<'_>) -> Result<Note, Misdeed> {
        let name = "listener";
        let word = line.word(name)?;
        let port = port(name, word, 0)?;
        let address = line.words().nth(1);
        if port == 0 && address.is_none() {
            return Err(out_of_range(name, word));
        }
        self.remote = true;
        let mut listener = ListenerDraft::default();
        listener.settings.port = port;
        listener.socket.port = port;
        match port {
            // Port 0 is a Unix domain socket, and the address its path.
            0 => listener.socket.path = address.map(PathBuf::from),
            _ => listener.socket.address = host(address),
        }
        listener.socket.at = Some(self.at.clone());
        self.current = Some(Place::Listener(self.listeners.len()));
        self.listeners.push(listener);
        Ok(line
            .words()
            .nth(2)
            .map(|word| format!("`{word}` after the address is not looked at")))
    }

    /// `port PORT`: the default listener's.
    fn on_port(&mut self, line: &Line<'_>) -> Result<Note, Misdeed> {
        let name = "port";
        let port = port(name, line.word(name)?, 1)?;
        let again = self.mark(name, Place::Default).is_err();
        self.name_default();
        let listener = self.listener(Place::Default);
        listener.settings.port = port;
        listener.socket.port = port;
        Ok(again.then(|| "given before, only the latest is used".into()))
    }

    /// `bind_address ADDRESS`: the default listener's.
    fn on_bind_address(&mut self, line: &Line<'_>) -> Result<Note, Misdeed> {
        let name = "bind_address";
        let address = line.word(name)?;
        self.mark(name, Place::Default)?;
        self.name_default();
        self.listener(Place::Default).socket.address = host(Some(address));
        Ok(None)
    }

    /// The line in hand asks for the default listener by name, and what follows is about it.
    fn name_default(&mut self) {
        self.remote = true;
        self.default_implied = None;
        self.current = Some(Place::Default);
        let at = self.at.clone();
        self.listener(Place::Default).socket.at = Some(at);
    }

    /// `per_listener_settings BOOLEAN`: once set it stays, and it has to stand above what it is about.
    fn on_per_listener_settings(&mut self, line: &Line<'_>) -> Result<Note, Misdeed> {
        let name = "per_listener_settings";
        let value = line::boolean(name, line.word(name)?)?;
        if value && !self.per_listener_settings && self.security_given {
            let rule = "has to stand above the options that it makes a listener's own";
            return Err(Misdeed::Misplaced { name, rule });
        }
        self.per_listener_settings |= value;
        Ok(None)
    }
}

/// An address or the name of a host; `*` is all addresses.
fn host(word: Option<&str>) -> Option<String> {
    word.filter(|word| *word != "*").map(String::from)
}

/// A port number, from `min` on.
fn port(name: &'static str, word: &str, min: u16) -> Result<u16, Misdeed> {
    let value = line::number(name, word)?;
    match u16::try_from(value) {
        Ok(port) if port >= min => Ok(port),
        _ => Err(out_of_range(name, word)),
    }
}

fn out_of_range(name: &'static str, word: &str) -> Misdeed {
    let fault = ValueFault::OutOfRange {
        min: 1,
        max: u16::MAX.into(),
    };
    Misdeed::value(name, word, fault)
}
