//! Retained messages: their owners, their order, and how they come to who subscribes.

pub(super) mod asking;
pub(super) mod authors;
pub(super) mod ordered;
pub(super) mod replay;
pub(super) mod under_way;
