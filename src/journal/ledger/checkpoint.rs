//! A checkpoint is read: from its beginning, or as a part of all that was written.
//!
//! Who begins there knows no session until its image comes, and leaves out what is said of it before. Who knows it already takes the
//! image in the place of all that. Behind the images both know the same.

use super::Ledger;
use super::images::Images;
use crate::journal::error::Broken;
use crate::journal::record::Record;
use crate::session::Way;

impl Ledger {
    /// A checkpoint begins; it is where reading does, or not.
    pub(super) fn begin_images(&mut self, is_first: bool) -> Result<(), Broken> {
        self.images = match (self.images, is_first) {
            (_, true) => Images::First,
            (Images::None, false) => Images::Again,
            // One is not begun in the midst of another.
            (_, false) => return Err(Broken::Unknown),
        };
        self.sets.forget();
        self.messages.begin_images();
        Ok(())
    }

    pub(super) fn apply_image(&mut self, record: &Record<'_>) -> Result<(), Broken> {
        if self.images == Images::None {
            return Err(Broken::Unknown);
        }
        match *record {
            Record::SessionAnew { session } => {
                self.note_replaced(session);
                self.forget_session(session)
            }
            _ => {
                self.images = Images::None;
                self.messages.end_images();
                Ok(())
            }
        }
    }

    #[cfg(not(test))]
    fn note_replaced(&mut self, _: u32) {}

    #[cfg(not(test))]
    pub(super) fn check_images(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    /// So many messages wait for a session, of which this is the first.
    pub(super) fn queue_run(
        &mut self,
        session: u32,
        (number, len): (u64, u32),
        way: Way,
    ) -> Result<(), Broken> {
        let last = number.checked_add(u64::from(len)).ok_or(Broken::Number)?;
        let known = super::of(&mut self.sessions, session, self.images)?;
        let known = known.ok_or(Broken::Session(session))?;
        for number in number..last {
            self.messages.refer(number, 1)?;
            known.queue.push(number, way);
        }
        Ok(())
    }

    /// Whether what it says is all there is: not in the midst of the images of a checkpoint.
    pub fn is_whole(&self) -> bool {
        self.images == Images::None
    }
}

/// In tests an image must say what was said before.
#[cfg(test)]
mod tests {
    use super::super::{InFlightRead, SessionRead};
    use super::*;
    use crate::mqtt::message::Message;

    impl Ledger {
        pub(super) fn note_replaced(&mut self, session: u32) {
            let known = self.sessions.get(&session).cloned();
            self.replaced.extend(known.map(|known| (session, known)));
        }

        pub(in crate::journal::ledger) fn check_images(&mut self) -> Result<(), Broken> {
            for (session, before) in std::mem::take(&mut self.replaced) {
                let known = self.sessions.get(&session);
                let same = known.map(|known| is_image(known, &before));
                if same != Some([true; 4]) {
                    eprintln!("rest, will, waiting, in flight: {same:?}\n{before:?}\n{known:?}");
                    return Err(Broken::Session(session));
                }
            }
            Ok(())
        }
    }

    /// What is kept of a session besides messages and the will.
    fn rest(session: &SessionRead) -> String {
        let SessionRead {
            client_id,
            serial,
            owner,
            is_there,
            expiry_s,
            ends_at,
            will: _,
            subscriptions,
            inbound,
            queue: _,
            ..
        } = session;
        let client = (client_id, serial, owner);
        format!("{client:?} {is_there} {expiry_s} {ends_at:?} {subscriptions:?} {inbound:?}")
    }

    /// Whether the rest, the will, what waits and what is in flight are the same.
    fn is_image(image: &SessionRead, before: &SessionRead) -> [bool; 4] {
        let will = |session: &SessionRead| {
            let will = session.will.as_ref();
            will.map(|will| {
                let message = Message::clone(&will.message);
                (message, will.delay_s, will.expiry_s, will.due_at)
            })
        };
        // Where a newer message took the place of an older one that was told as the last.
        let waiting = |session: &SessionRead| {
            let mut waiting: Vec<_> = session.waiting().collect();
            waiting.sort_unstable_by_key(|&(number, way)| (number, way.to_words()));
            waiting
        };
        // Acknowledgements that were kept back are not told before it.
        let mut in_flight = image.in_flight().map(|one| {
            before.in_flight().any(|other| {
                let has_copy = one.number.is_some() == other.number.is_some();
                let key = |one: &InFlightRead| (one.order, one.id, one.is_received, one.way);
                has_copy && key(one) == key(other)
            })
        });
        [
            rest(image) == rest(before),
            will(image) == will(before),
            waiting(image) == waiting(before),
            in_flight.all(|is_there| is_there),
        ]
    }
}
