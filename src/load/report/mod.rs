//! What a run found, written for people and for programs.

pub mod figures;
pub mod html;
pub mod pick;
pub mod summary;
pub mod units;

#[cfg(test)]
mod sample;
