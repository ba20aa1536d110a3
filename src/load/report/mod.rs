//! What a run found, written for people and for programs.

pub mod html;
