//! What the parts of the text are put together with.

/// How many are shown of what may be many: events, violations, workers.
pub(super) const LIST_MAX: usize = 8;

/// What is not empty.
pub(super) fn joined(parts: impl IntoIterator<Item = String>, between: &str) -> String {
    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    parts.join(between)
}

/// The text if it is to be said.
pub(super) fn some(known: bool, text: impl Fn() -> String) -> String {
    if known { text() } else { String::new() }
}
