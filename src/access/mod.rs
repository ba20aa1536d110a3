//! Who may do what: ACL files in Mosquitto's syntax, compiled, and what has been decided remembered.
//!
//! Text in, decisions out: files are read by `config`, and whoever asks keeps the answers. Every shard's thread runs
//! it, on rules that none of them changes.

mod cache;
mod error;
mod parse;
mod rules;
#[cfg(test)]
mod tests;
mod tree;

pub use cache::Decisions;
pub use error::{Cause, FileError, Note};
pub use rules::{Access, Acl, Answer, Client, Judgement};
