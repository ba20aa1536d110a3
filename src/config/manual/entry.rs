//! What the manual says of one option in words; the rest of it comes from the table of options.

/// When a change of an option takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// With SIGHUP.
    Reload,
    /// When the broker is started anew.
    Restart,
}

/// The words about one option.
pub(in crate::config) struct Entry {
    pub name: &'static str,
    /// What stands behind the name, with units; empty where the table says it (`true` or `false`, a number).
    pub value: &'static str,
    /// What leaving the option out does, where the table has no value that does the same.
    pub left_out: &'static str,
    /// A value that is not the default. Those that name no file are read by a test.
    pub example: &'static str,
    pub change: Change,
    /// What it is for: sentences, paragraphs between blank lines.
    pub text: &'static str,
}

/// Options that belong together.
pub(in crate::config) struct Group {
    pub title: &'static str,
    pub entries: &'static [Entry],
}

pub(in crate::config) const fn reload(
    name: &'static str,
    value: &'static str,
    left_out: &'static str,
    example: &'static str,
    text: &'static str,
) -> Entry {
    Entry {
        name,
        value,
        left_out,
        example,
        change: Change::Reload,
        text,
    }
}

pub(in crate::config) const fn restart(
    name: &'static str,
    value: &'static str,
    left_out: &'static str,
    example: &'static str,
    text: &'static str,
) -> Entry {
    let entry = reload(name, value, left_out, example, text);
    Entry {
        change: Change::Restart,
        ..entry
    }
}
