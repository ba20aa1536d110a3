//! What an option is: its name, its default, whom it is about, how its value is read and where it goes.

use super::draft::{Globals, ListenerDraft, Note, Security};
use super::error::{Misdeed, ValueFault};
use super::line::{self, Line};

/// One option; `options::OPTIONS` holds all of them.
pub(super) struct Opt {
    /// As in mosquitto.conf(5).
    pub name: &'static str,
    /// The value that does the same as leaving the option out; empty where no value does. A test holds it against
    /// `Config::default`.
    pub default: &'static str,
    /// Whom it is about, and its value.
    pub scope: Scope,
}

/// Whom an option is about.
pub(super) enum Scope {
    /// The broker.
    Global(Value<Globals>),
    /// The listener above it, or the default one.
    Listener(Value<ListenerDraft>),
    /// All listeners, or with `per_listener_settings` only the one above it.
    Security(Value<Security>),
    /// The listener above it, also without `per_listener_settings`.
    ListenerSecurity(Value<Security>),
    /// Which listeners there are.
    Structure(Structure),
    /// Other files.
    Include,
}

/// The options that say which listeners there are, and whose what stands below them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    Listener,
    Port,
    BindAddress,
    PerListenerSettings,
}

/// How a value is read, and where it goes.
pub(super) enum Value<T> {
    /// `true` or `false`.
    Boolean(fn(&mut T, bool)),
    /// A whole number from `min` to `max`.
    Number {
        min: i64,
        max: i64,
        set: fn(&mut T, i64),
    },
    /// A whole number up to `max`; one below 0 is taken as `negative`.
    Bound {
        negative: i64,
        max: i64,
        set: fn(&mut T, i64),
    },
    /// The rest of the line, given at most once; the setter's error is the rule that it breaks.
    Text(fn(&mut T, &str) -> Result<(), &'static str>),
    /// A form of its own.
    Other(fn(&mut T, &'static str, &Line<'_>) -> Result<Note, Misdeed>),
}

impl<T> Value<T> {
    /// Reads the value of `line` and puts it where it belongs.
    pub(super) fn apply(
        &self,
        target: &mut T,
        name: &'static str,
        line: &Line<'_>,
    ) -> Result<Note, Misdeed> {
        match *self {
            Value::Boolean(set) => set(target, line::boolean(name, line.word(name)?)?),
            Value::Number { min, max, set } => {
                let word = line.word(name)?;
                let value = line::number(name, word)?;
                if !(min..=max).contains(&value) {
                    let fault = ValueFault::OutOfRange { min, max };
                    return Err(Misdeed::value(name, word, fault));
                }
                set(target, value);
            }
            Value::Bound { negative, max, set } => {
                let word = line.word(name)?;
                let value = line::number(name, word)?;
                if value > max {
                    let fault = ValueFault::OutOfRange { min: 0, max };
                    return Err(Misdeed::value(name, word, fault));
                }
                set(target, if value < 0 { negative } else { value });
            }
            Value::Text(set) => {
                let text = line.text(name)?;
                set(target, text)
                    .map_err(|rule| Misdeed::value(name, text, ValueFault::Invalid { rule }))?;
                return Ok(None);
            }
            Value::Other(set) => return set(target, name, line),
        }
        Ok(line
            .words()
            .nth(1)
            .map(|word| format!("`{word}` after the value is not looked at")))
    }

    /// Whether a second line with this option is an error, as in Mosquitto.
    pub(super) fn once(&self) -> bool {
        matches!(self, Value::Text(_))
    }
}
