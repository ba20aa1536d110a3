//! Where a connection stands, and what holds it: the states, and the only steps between them.
//!
//! ```text
//!   Free ──accept──▶ Connecting ──CONNECT──▶ (Verifying) ──▶ Established ──┐
//!     ▲                  │  └──not at home──▶ Moved  │                     ├──▶ Closing ──closed──▶ Free
//!     └──────closed──────┴──────────────────────┴────┴─────────────────────┘
//!
//!   Established:  Open ──hold──▶ Held ──hold_to_end──▶ HeldToEnd
//!                  ▲               │ ▲                    │
//!                  │        catch_up │ caught_up: held anew, as before
//!                  └── caught_up ── CatchingUp ◀─catch_up─┘
//!                  └─── dropped ─── Dropping   (what is kept of one that ends: no message counts)
//! ```
//!
//! A client that publishes too fast is not received from until it may go on: nothing is lost, no answer says so, and TCP makes
//! it wait. What came of it is kept with the start of an incomplete packet. When its peer closes meanwhile, it is caught up with
//! for `limits::HELD_AFTER_END_MS`.
//!
//! Invariant: a connection that is held has a deadline at which it goes on, is in the list of those that go on in the next
//! turn, waits until owners of topics have passed on what it sent (`under_way`), or for an answer (`waits`).

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Free,
    /// Accepted; CONNECT has not been received whole.
    Connecting,
    /// CONNECT has come; its password is being checked.
    Verifying,
    /// CONNECT was accepted.
    Established,
    /// The broker has given it up; its last packets may still be on their way.
    Closing,
    /// On its way to another shard.
    Moved,
}

/// Whether the packets of an established connection are handled as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// They are.
    Open,
    /// What comes is kept.
    Held,
    /// Held, and its peer has closed its side: its end comes behind what it has sent.
    HeldToEnd {
        /// It has said so in the terms of its transport.
        goodbye: bool,
    },
    /// What was kept is being handled.
    CatchingUp,
    /// What was kept is being handled, but for its messages: the connection ends.
    Dropping,
}

impl Hold {
    #[inline]
    fn keeps(self) -> bool {
        matches!(self, Hold::Held | Hold::HeldToEnd { .. })
    }
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    stage: Stage,
    hold: Hold,
}

/// A connection is being caught up with. Who has this says how that went (`State::caught_up`).
#[must_use = "the connection is caught up with until this is given back"]
#[derive(Debug)]
pub(crate) struct CatchingUp {
    before: Hold,
}

impl CatchingUp {
    /// Whether its peer has closed its side: the connection ends behind what it has sent.
    pub(crate) fn ends(&self) -> bool {
        self.before != Hold::Held
    }

    /// Whether its peer has said so in the terms of its transport.
    pub(crate) fn goodbye(&self) -> bool {
        self.before == Hold::HeldToEnd { goodbye: true }
    }
}

/// How catching up went.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaughtUp {
    /// It has to wait once more, as before.
    HeldAnew,
    /// It is closing.
    Gone,
    /// All is handled, and its peer has closed its side.
    Ends { goodbye: bool },
    /// All is handled: it is received from again.
    GoesOn,
}

impl State {
    /// A number that no connection has.
    pub(crate) const FREE: State = State {
        stage: Stage::Free,
        hold: Hold::Open,
    };

    /// A connection that has just been accepted.
    pub(crate) const ACCEPTED: State = State {
        stage: Stage::Connecting,
        hold: Hold::Open,
    };

    /// Where it stands.
    #[inline]
    pub(crate) fn stage(self) -> Stage {
        self.stage
    }

    /// Whether CONNECT was accepted, and nothing has ended it since.
    #[inline]
    pub(crate) fn is_established(self) -> bool {
        self.stage == Stage::Established
    }

    /// Whether what comes is kept instead of handled.
    #[inline]
    pub(crate) fn is_held(self) -> bool {
        self.hold.keeps() && self.is_established()
    }

    /// Whether its packets are handled as they come: nothing holds it, and it is not being caught up with.
    #[inline]
    pub(crate) fn is_open(self) -> bool {
        self.hold == Hold::Open
    }

    /// Whether the messages of what is being handled are dropped.
    #[inline]
    pub(crate) fn is_dropping(self) -> bool {
        self.hold == Hold::Dropping
    }

    /// Whether it can be held. Who ends is not.
    #[inline]
    pub(crate) fn may_be_held(self) -> bool {
        self.is_established() && !self.is_dropping()
    }

    /// CONNECT has come, and waits for its password to be checked.
    pub(crate) fn verify(&mut self) {
        debug_assert_eq!(self.stage, Stage::Connecting);
        self.stage = Stage::Verifying;
    }

    /// The wait for the password is over: CONNECT is handled now.
    pub(crate) fn end_verifying(&mut self) {
        debug_assert_eq!(self.stage, Stage::Verifying);
        self.stage = Stage::Connecting;
    }

    /// CONNECT is accepted.
    pub(crate) fn establish(&mut self) {
        debug_assert_eq!(self.stage, Stage::Connecting);
        *self = State {
            stage: Stage::Established,
            hold: Hold::Open,
        };
    }

    /// Another shard is its home.
    pub(crate) fn move_away(&mut self) {
        debug_assert_eq!(self.stage, Stage::Connecting);
        self.stage = Stage::Moved;
    }

    /// The broker gives it up.
    pub(crate) fn give_up(&mut self) {
        debug_assert_ne!(self.stage, Stage::Free);
        self.stage = Stage::Closing;
    }

    /// From here on what comes is kept. Returns whether it was handled as it came, so that receiving is to stop.
    pub(crate) fn hold(&mut self) -> bool {
        debug_assert!(self.is_established());
        std::mem::replace(&mut self.hold, Hold::Held) == Hold::Open
    }

    /// The peer of one that is held has closed its side.
    pub(crate) fn hold_to_end(&mut self, goodbye: bool) {
        debug_assert!(self.is_held());
        self.hold = Hold::HeldToEnd { goodbye };
    }

    /// What was kept is handled from here on.
    pub(crate) fn catch_up(&mut self) -> CatchingUp {
        debug_assert!(self.is_held());
        let before = std::mem::replace(&mut self.hold, Hold::CatchingUp);
        CatchingUp { before }
    }

    /// What was kept has been handled, as far as that went.
    pub(crate) fn caught_up(&mut self, catching_up: CatchingUp) -> CaughtUp {
        if self.hold == Hold::Held {
            self.hold = catching_up.before;
            return CaughtUp::HeldAnew;
        }
        self.hold = Hold::Open;
        match catching_up.before {
            _ if !self.is_established() => CaughtUp::Gone,
            Hold::HeldToEnd { goodbye } => CaughtUp::Ends { goodbye },
            _ => CaughtUp::GoesOn,
        }
    }

    /// It ends: what was kept is handled from here on, but for the messages.
    pub(crate) fn drop_messages(&mut self) {
        self.hold = Hold::Dropping;
    }

    /// That has been done.
    pub(crate) fn dropped(&mut self) {
        self.hold = Hold::Open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn established() -> State {
        let mut state = State::ACCEPTED;
        state.verify();
        state.end_verifying();
        state.establish();
        state
    }

    #[test]
    fn receiving_stops_once_and_goes_on_once() {
        let mut state = established();
        assert!(state.is_open() && state.may_be_held() && !state.is_held());
        assert!(state.hold() && state.is_held());
        let catching_up = state.catch_up();
        assert!(!state.is_held() && !state.is_open() && !catching_up.ends());
        assert!(!state.hold(), "it is not received from already");
        assert_eq!(state.caught_up(catching_up), CaughtUp::HeldAnew);
        let catching_up = state.catch_up();
        assert_eq!(state.caught_up(catching_up), CaughtUp::GoesOn);
        assert_eq!(state, established());
    }

    #[test]
    fn an_end_comes_behind_what_is_kept_however_often_it_waits() {
        for goodbye in [true, false] {
            let mut state = established();
            state.hold();
            state.hold_to_end(goodbye);
            let catching_up = state.catch_up();
            state.hold();
            assert_eq!(state.caught_up(catching_up), CaughtUp::HeldAnew);
            let catching_up = state.catch_up();
            assert!(catching_up.ends() && catching_up.goodbye() == goodbye);
            assert_eq!(state.caught_up(catching_up), CaughtUp::Ends { goodbye });
        }
    }

    #[test]
    fn who_is_given_up_meanwhile_is_held_no_more() {
        let mut state = established();
        state.hold();
        state.give_up();
        assert!(!state.is_held());
        let mut state = established();
        state.hold();
        let catching_up = state.catch_up();
        state.give_up();
        assert_eq!(state.caught_up(catching_up), CaughtUp::Gone);
        let mut state = established();
        state.drop_messages();
        assert!(!state.may_be_held() && state.is_dropping());
        state.dropped();
        assert!(state.is_open());
    }
}
