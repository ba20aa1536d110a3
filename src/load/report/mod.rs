//! What a run found, written for people and for programs.

pub mod csv;
pub mod figures;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod json;
pub mod layout;
pub mod pick;
pub mod series;
pub mod summary;
pub mod units;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod sample;
