//! One connection, as its stream and its requests know it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use super::changing::Changing;
use super::progress::Progress;
use super::users::Remembered;
use crate::budget::Charge;

/// See the module.
pub(super) struct Peer {
    pub from: SocketAddr,
    pub progress: Rc<Progress>,
    /// The name that its certificate gives, where the listener goes by that.
    pub identity: RefCell<Option<String>>,
    pub login: Rc<Remembered>,
    /// What it has asked for that changes something, until that is answered.
    pub changing: Changing,
    /// It came when there was no room for more than a look at how the broker is.
    pub is_extra: Cell<bool>,
    /// What it is charged with.
    _charge: Option<Charge>,
}

impl Peer {
    pub(super) fn new(from: SocketAddr, is_extra: bool, charge: Option<Charge>) -> Peer {
        Peer {
            from,
            progress: Rc::new(Progress::new()),
            identity: RefCell::default(),
            login: Rc::default(),
            changing: Changing::default(),
            is_extra: Cell::new(is_extra),
            _charge: charge,
        }
    }

    /// These bytes have come.
    pub(super) fn on_bytes(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.progress.on_bytes(bytes);
        }
    }
}
