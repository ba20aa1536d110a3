//! The listeners of HTTP, and what a reload makes of them.

use std::cell::RefCell;
use std::rc::Rc;

use crossbeam_channel::Sender;

use super::early::Early;
use super::hour;
use super::page::PAGES;
use super::routes::ROUTES;
use super::shown::Shown;
use super::site::{Api, Sources};
use crate::broker::LogKind;
use crate::config::HttpListener;
use crate::control::log::Log;
use crate::http::{Bound, Gate, Server};
use crate::shard::Check;

/// What HTTP starts with.
pub(crate) struct Http {
    /// What is to be opened.
    pub listeners: Vec<Bound>,
    /// All listeners, MQTT's too, as they are shown.
    pub shown: Vec<Shown>,
    /// Where passwords are checked.
    pub checks: Sender<Check>,
    /// What answers until they are open.
    pub early: Option<Early>,
}

/// What holds for HTTP from a reload on.
#[derive(Debug, Default)]
pub(crate) struct HttpChange {
    /// All listeners of HTTP.
    pub rules: Vec<HttpListener>,
    /// Those of them that are new, with their sockets.
    pub fresh: Vec<Bound>,
    /// All listeners, MQTT's too, as they are shown.
    pub shown: Vec<Shown>,
}

/// See the module.
pub(in crate::control) struct Web {
    api: Rc<Api>,
    server: RefCell<Option<Server<Api>>>,
    early: RefCell<Option<Early>>,
}

impl Web {
    /// Nothing is open yet: the listeners that are to be come back.
    pub(in crate::control) fn new(
        sources: Sources,
        http: Http,
        log: Rc<Log>,
    ) -> (Rc<Web>, Vec<Bound>) {
        let api = Rc::new(Api::new(sources));
        api.shown.replace(http.shown);
        let gate = Gate {
            checks: http.checks,
            shared: api.sources.shared.clone(),
            log: Rc::new(move |text| log.write(LogKind::Notice, text)),
        };
        let server = Server::new(api.clone(), ROUTES, PAGES, Some(gate));
        let web = Web {
            api,
            server: RefCell::new(Some(server)),
            early: RefCell::new(http.early),
        };
        (Rc::new(web), http.listeners)
    }

    /// Opens listeners, on the executor of this thread.
    pub(in crate::control) async fn open(&self, listeners: Vec<Bound>) {
        let early = self.early.borrow_mut().take();
        if let Some(early) = early {
            early.close().await;
        }
        if let Some(server) = &mut *self.server.borrow_mut() {
            listeners.into_iter().for_each(|bound| server.open(bound));
        }
    }

    /// Remembers what happens while HTTP is open, until it is cancelled.
    pub(in crate::control) async fn remember(self: Rc<Self>) {
        let is_open = || self.server.borrow().as_ref().is_some_and(Server::is_open);
        hour::keep(&self.api, is_open).await;
    }

    /// Goes by what a reload has brought.
    pub(in crate::control) fn go_by(&self, change: HttpChange) {
        self.api.shown.replace(change.shown);
        if let Some(server) = &mut *self.server.borrow_mut() {
            server.go_by(change.rules, change.fresh);
        }
    }

    /// Ends every connection, and lets go of the log.
    pub(in crate::control) async fn close(&self) {
        let server = self.server.borrow_mut().take();
        if let Some(server) = server {
            server.close().await;
        }
    }
}
