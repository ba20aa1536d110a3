//! Who may do what: ACL and password files in Mosquitto's syntax, compiled, and what has been decided remembered.
//!
//! Text in, decisions out: files are read by `config`, and whoever asks keeps the answers. Every shard's thread runs
//! it, on rules that none of them changes.

mod cache;
mod error;
mod parse;
mod password;
mod rules;
#[cfg(test)]
mod tests;
mod tree;

pub use cache::Decisions;
pub use error::{Cause, FileError, Note};
pub use password::{Credential, Passwords, Scheme};
pub use rules::{Access, Acl, Answer, Client, Judgement};
