//! What somebody has asked for that changes something: it is answered to its end, and told of, also when who asked has gone.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll};

use super::answer::Answer;
use super::door::Answering;

/// The one of a connection. Who asks for the next one has had the answer to the last, or has gone.
#[derive(Default)]
pub(super) struct Changing(RefCell<Option<Answering>>);

impl Changing {
    /// Answers; goes on with `finish` where it is dropped before the end.
    pub(super) async fn run(&self, answering: Answering) -> Answer {
        self.0.replace(Some(answering));
        let answer = poll_fn(|cx| self.poll(cx)).await;
        // There is one: nobody else polls it while this is.
        answer.unwrap_or_else(|| Answer::status(503, "It is not known what became of it.\n"))
    }

    /// Goes on with what nobody waits for any more.
    pub(super) async fn finish(&self) {
        drop(poll_fn(|cx| self.poll(cx)).await);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let mut changing = self.0.borrow_mut();
        let Some(answering) = &mut *changing else {
            return Poll::Ready(None);
        };
        answering.as_mut().poll(cx).map(|answer| {
            *changing = None;
            Some(answer)
        })
    }
}
