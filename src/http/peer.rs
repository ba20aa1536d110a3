//! One connection, as its stream and its requests know it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use super::progress::Progress;
use super::users::Remembered;

/// See the module.
pub(super) struct Peer {
    pub from: SocketAddr,
    pub progress: Rc<Progress>,
    /// The name that its certificate gives, where the listener goes by that.
    pub identity: RefCell<Option<String>>,
    pub login: Remembered,
}

impl Peer {
    pub(super) fn new(from: SocketAddr) -> Peer {
        Peer {
            from,
            progress: Rc::new(Progress::new()),
            identity: RefCell::default(),
            login: Remembered::default(),
        }
    }
}
