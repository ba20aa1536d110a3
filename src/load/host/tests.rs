//! Brokers that are started, watched and ended.
