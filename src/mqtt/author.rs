//! Who a message or a session comes from, as far as rules ask for it later: by names. Connections are gone by then, and
//! their numbers, and those of listeners, may be others'.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The name of a listener: where it listens. Counts who refers to it beyond its connections; two are equal by their text.
#[derive(Debug, Default)]
pub struct ListenerName {
    text: Box<str>,
    referred: AtomicU32,
}

impl ListenerName {
    /// A name that nobody refers to yet.
    pub fn new(text: impl Into<Box<str>>) -> Arc<Self> {
        Arc::new(ListenerName {
            text: text.into(),
            referred: AtomicU32::new(0),
        })
    }

    /// The name.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a session or a message refers to it.
    pub fn is_referred_to(&self) -> bool {
        self.referred.load(Ordering::Relaxed) > 0
    }
}

impl PartialEq for ListenerName {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ListenerName {}

/// A reference to the listener that somebody came by; counted as long as it lives.
#[derive(Debug, PartialEq, Eq)]
pub struct CameBy(Arc<ListenerName>);

impl CameBy {
    /// One more that refers to this listener.
    pub fn new(name: &Arc<ListenerName>) -> Self {
        name.referred.fetch_add(1, Ordering::Relaxed);
        CameBy(name.clone())
    }

    /// The listener's name.
    pub fn name(&self) -> &Arc<ListenerName> {
        &self.0
    }
}

impl Drop for CameBy {
    fn drop(&mut self) {
        self.0.referred.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who stored a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Author {
    /// The user name, if there was one.
    pub user: Option<Box<str>>,
    /// The listener.
    pub came_by: CameBy,
    /// The client id, where rules ask for it.
    pub client_id: Option<Box<str>>,
}

impl Author {
    /// Bytes of memory; the listener's name is its settings'.
    pub fn cost(&self) -> usize {
        let bytes = |name: &Option<Box<str>>| name.as_ref().map_or(0, |name| name.len());
        size_of::<Self>() + bytes(&self.user) + bytes(&self.client_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_who_refers_to_it() {
        let name = ListenerName::new("127.0.0.1:1883");
        assert!(!name.is_referred_to());
        let (one, other) = (CameBy::new(&name), CameBy::new(&name));
        assert_eq!(one, other);
        drop(one);
        assert!(name.is_referred_to());
        drop(other);
        assert!(!name.is_referred_to());
    }
}
