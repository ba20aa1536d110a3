//! Who wants a topic.
