//! What is answered while the broker starts, and what is kept on the disk is read and taken up: that it lives, and is not ready.
//! Whoever looks after it would end it otherwise in the midst of a long start.

use std::io;
use std::rc::Rc;

use hyper::Method;

use crate::control::executor::Executor;
use crate::http::{Answer, Ask, Bound, Handler, Route, Server};

/// There is nothing yet that could be looked at.
struct Starting;

static ROUTES: &[Route<Starting>] = &[
    Route {
        method: Method::GET,
        path: "/healthz",
        is_open: true,
        is_probe: true,
        handler: Handler::Now(alive),
    },
    Route {
        method: Method::GET,
        path: "/readyz",
        is_open: true,
        is_probe: true,
        handler: Handler::Now(unready),
    },
];

fn alive(_: &Starting, _: &Ask) -> Answer {
    Answer::text("ok\n")
}

fn unready(_: &Starting, _: &Ask) -> Answer {
    Answer::status(
        503,
        "not ready: what is kept on the disk is being taken up\n",
    )
}

/// See the module. Answers while its executor runs.
pub(crate) struct Early(Option<Server<Starting>>);

impl Early {
    /// Listens at the sockets of these listeners, which stay theirs. `None` where there are none.
    ///
    /// # Errors
    /// Descriptors are short.
    pub(crate) fn open(executor: &Executor, listeners: &[Bound]) -> io::Result<Option<Early>> {
        if listeners.is_empty() {
            return Ok(None);
        }
        let copies = listeners.iter().map(Bound::copy);
        let copies = copies.collect::<io::Result<Vec<Bound>>>()?;
        let mut server = Server::new(Rc::new(Starting), ROUTES, &[], None);
        executor.0.run(async {
            copies.into_iter().for_each(|bound| server.open(bound));
        });
        Ok(Some(Early(Some(server))))
    }

    /// Closes, on its executor.
    pub(super) async fn close(mut self) {
        if let Some(server) = self.0.take() {
            server.close().await;
        }
    }

    /// The same from outside.
    pub(in crate::control) fn end(self, executor: &Executor) {
        executor.0.run(self.close());
    }
}

impl Drop for Early {
    /// A start has failed, and the process ends: its tasks could not be ended without their executor.
    fn drop(&mut self) {
        if let Some(server) = self.0.take() {
            std::mem::forget(server);
        }
    }
}
