//! What the manual firehose.conf(5) has: every option with its values, default, whom it is about and when a change of it
//! takes effect, from the table of options, and words to it.
//!
//! It knows no form of a manual. Tests hold words and table against each other, and both against what a reload does.

mod entry;
mod words;

use super::known::{KNOWN, Known};
use super::option::{Opt, Scope, Value};
use super::options::OPTIONS;
use crate::budget::Account;
pub(crate) use entry::Change;
pub(super) use entry::Entry;
pub(super) use words::GROUPS;

/// Options that belong together.
pub(crate) struct Chapter {
    pub title: &'static str,
    pub options: Vec<Explained>,
}

/// One option, as a person wants to know it.
pub(crate) struct Explained {
    pub name: &'static str,
    /// What stands behind the name, with units.
    pub value: String,
    /// What may stand there, where it is a number.
    pub range: Option<String>,
    /// What holds where the option is left out.
    pub default: String,
    /// Whom it is about.
    pub scope: &'static str,
    pub change: Change,
    pub text: String,
    /// A value that is not the default.
    pub example: &'static str,
}

/// All options, by subject.
pub(crate) fn chapters() -> Vec<Chapter> {
    let explained = |entry: &Entry| {
        let option = OPTIONS.iter().find(|option| option.name == entry.name);
        option.map(|option| explained(option, entry))
    };
    GROUPS
        .iter()
        .map(|group| Chapter {
            title: group.title,
            options: group.entries.iter().filter_map(explained).collect(),
        })
        .collect()
}

/// The options of Mosquitto that are not honoured: those that are warned of, and those that are errors.
pub(crate) fn not_honoured() -> [Vec<String>; 2] {
    let is_error = |known: Known| matches!(known, Known::Plugin | Known::Engine | Known::Psk);
    [false, true].map(|error| {
        let names = KNOWN
            .iter()
            .filter(|(_, known)| is_error(*known) == error)
            .map(|(name, _)| match name.ends_with('_') {
                true => format!("{name}*"),
                false => (*name).to_owned(),
            });
        names.collect()
    })
}

fn explained(option: &Opt, entry: &Entry) -> Explained {
    let (form, range) = match &option.scope {
        Scope::Global(value) => form(value),
        Scope::Listener(value) => form(value),
        Scope::Security(value) | Scope::ListenerSecurity(value) => form(value),
        Scope::Structure(_) | Scope::Include => ("", None),
    };
    let mut text = entry.text.to_owned();
    if option.name == "memory_account" {
        text.push_str(" NAME is one of ");
        text.push_str(&Account::NAMES.join(", "));
        text.push('.');
    }
    let default = match (option.default, entry.left_out) {
        ("", "") => "not set",
        ("", left_out) => left_out,
        (value, _) => value,
    };
    Explained {
        name: option.name,
        value: match entry.value {
            "" => form.to_owned(),
            value => value.to_owned(),
        },
        range,
        default: default.to_owned(),
        scope: scope(option),
        change: entry.change,
        text,
        example: entry.example,
    }
}

/// What a value looks like, and what it may be.
fn form<T>(value: &Value<T>) -> (&'static str, Option<String>) {
    match value {
        Value::Boolean(_) => ("true | false", None),
        Value::Number { min, max, .. } => ("N", Some(format!("{min} to {max}"))),
        Value::Bound { max, .. } => ("N", Some(format!("up to {max}"))),
        Value::Text(_) | Value::Other(_) => ("", None),
    }
}

fn scope(option: &Opt) -> &'static str {
    match option.scope {
        Scope::Global(_) | Scope::Structure(_) | Scope::Include => "the broker",
        Scope::Listener(_) | Scope::ListenerSecurity(_) => "the listener above",
        Scope::Security(_) => "all listeners; with per_listener_settings the one above",
    }
}
