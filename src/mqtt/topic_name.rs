//! Topic names that have been found valid: who is given one does not look again.
//!
//! Invariants: neither type is made but by a check (`topic::topic_name_valid`), or of what the decoder has checked. No
//! character is a wildcard or U+0000, there is at least one, and there are at most 65,535 bytes.

use super::topic::topic_name_valid;

/// A valid topic name, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicName<'a>(&'a str);

/// A valid topic name that outlives where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic(Box<str>);

impl<'a> TopicName<'a> {
    /// `None` if nothing may be published under this name.
    #[inline]
    pub fn new(name: &'a str) -> Option<TopicName<'a>> {
        topic_name_valid(name).then_some(TopicName(name))
    }

    /// Of what the decoder has checked.
    #[inline]
    pub(super) fn checked(name: &'a str) -> TopicName<'a> {
        debug_assert!(topic_name_valid(name), "{name:?}");
        TopicName(name)
    }

    /// Its text.
    #[inline]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The same with a memory of its own.
    #[inline]
    pub fn to_topic(self) -> Topic {
        Topic(self.0.into())
    }
}

impl Topic {
    /// `None` if nothing may be published under this name.
    pub fn new(name: impl Into<Box<str>>) -> Option<Topic> {
        let name = name.into();
        topic_name_valid(&name).then_some(Topic(name))
    }

    /// Its text.
    #[inline]
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, borrowed.
    #[inline]
    pub const fn as_name(&self) -> TopicName<'_> {
        TopicName(&self.0)
    }
}

impl std::ops::Deref for Topic {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        &self.0
    }
}
