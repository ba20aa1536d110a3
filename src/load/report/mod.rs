//! What a run found, written for people and for programs.
//!
//! Every writer makes its text from a `Report` and nothing else; `write_all` puts what was asked for into files.

pub mod compare;
pub mod csv;
pub mod figures;
mod files;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod json;
pub mod layout;
pub mod lead;
pub mod pick;
pub mod series;
pub mod summary;
pub mod text;
pub mod units;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod sample;

pub use files::{Files, write_all};
