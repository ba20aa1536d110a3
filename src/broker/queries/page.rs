//! A page of an answer.

/// See the module.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where to go on; `None` if that was all. There may be more although there is no row.
    pub next: Option<C>,
}
