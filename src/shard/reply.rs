//! The answer to a command: who is to give it, and who waits for it.

use std::sync::{Arc, Weak};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Where the answer to a command goes. Dropped with the command, it is given by nobody.
#[derive(Debug)]
pub(crate) struct ReplyTo<A> {
    to: Sender<A>,
    owed: Arc<()>,
}

/// An answer that somebody waits for.
#[derive(Debug)]
pub(crate) struct Awaited<A> {
    from: Receiver<A>,
    owed: Owed,
}

/// Whether an answer is still to come, be it that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owed(Weak<()>);

/// Both ends of one answer.
pub(crate) fn reply<A>() -> (ReplyTo<A>, Awaited<A>) {
    let (to, from) = bounded(1);
    let owed = Arc::new(());
    let awaited = Awaited {
        from,
        owed: Owed(Arc::downgrade(&owed)),
    };
    (ReplyTo { to, owed }, awaited)
}

impl<A> ReplyTo<A> {
    /// Gives the answer. Nobody may wait for it any more.
    pub(crate) fn give(self, answer: A) {
        let ReplyTo { to, owed } = self;
        // Before the answer is there: who has it may ask again.
        drop(owed);
        let _ = to.try_send(answer);
    }
}

impl<A> Awaited<A> {
    /// The answer, if it has come.
    pub(crate) fn take(&self) -> Option<A> {
        self.from.try_recv().ok()
    }

    /// The answer; `None` if it has not come by then, or never will.
    pub(crate) fn wait_until(&self, until: Instant) -> Option<A> {
        self.from.recv_deadline(until).ok()
    }

    /// What outlives it.
    pub(crate) fn owed(&self) -> Owed {
        self.owed.clone()
    }
}

impl Owed {
    /// Whether the answer is still to come.
    pub(crate) fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_owed_until_it_is_given_or_nobody_can_give_it() {
        let (to, awaited) = reply();
        let owed = awaited.owed();
        assert!(owed.is_open() && awaited.take().is_none());
        to.give(7);
        assert!(!owed.is_open());
        assert_eq!((awaited.take(), awaited.take()), (Some(7), None));
        let (to, awaited) = reply::<u8>();
        let owed = awaited.owed();
        drop(awaited);
        assert!(owed.is_open());
        to.give(7);
        assert!(!owed.is_open());
        let (to, awaited) = reply::<u8>();
        drop(to);
        assert!(!awaited.owed().is_open());
        assert_eq!(awaited.wait_until(Instant::now()), None);
        assert!(!Owed::default().is_open());
    }
}
