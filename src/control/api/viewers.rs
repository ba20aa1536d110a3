//! How many look at figures live.

use std::cell::Cell;
use std::rc::Rc;

use crate::limits;

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Viewers(Rc<Cell<usize>>);

/// One of them, as long as it looks.
pub(super) struct Viewer(Viewers);

impl Viewers {
    /// One more, if there is room.
    pub(super) fn enter(&self) -> Option<Viewer> {
        let count = self.0.get();
        (count < limits::LIVE_VIEWERS_MAX).then(|| {
            self.0.set(count + 1);
            Viewer(self.clone())
        })
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.set(count.get().saturating_sub(1));
    }
}
