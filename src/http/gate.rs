//! What the doors of all listeners have in common.

use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::shard::{Check, Shared};

/// See the module.
#[derive(Clone)]
pub(crate) struct Gate {
    /// Where passwords are checked.
    pub checks: Sender<Check>,
    /// Bounds what one address may have checked.
    pub shared: Arc<Shared>,
    /// Where lines for the log go.
    pub log: Rc<dyn Fn(String)>,
}
