//! Checkpoints: what is written so that reading may begin there (docs/decisions/1110).

use super::{Frame, Scribe};
use crate::journal::members::Members;
use crate::journal::message::MessageText;
use crate::journal::record::{Record, WillText};
use crate::session::{SHARED_ID_BIT, Way};

/// What the image of a session begins with.
#[derive(Clone, Copy, Debug)]
pub struct SessionText<'a> {
    /// Its number.
    pub session: u32,
    /// What no other session of the process has.
    pub serial: u64,
    /// Its client identifier.
    pub client_id: &'a str,
    /// The user name of its client, and the name of the listener that it came by.
    pub owner: Option<(Option<&'a str>, &'a str)>,
    /// Seconds that it outlives its connection.
    pub expiry_s: u32,
    /// Its will.
    pub will: Option<WillText<'a>>,
    /// If its client is away: when that ends the session, and when its will is due, in milliseconds since 1970.
    pub absence: Option<(Option<u64>, Option<u64>)>,
}

impl Scribe {
    /// A checkpoint begins: with the next chunk, in a turn of its own. To be called when a turn has ended.
    pub fn begin_checkpoint(&mut self) {
        self.write_gathered();
        self.stream.begin_part();
        self.sets.forget();
        // What was taken is told anew by the end of the turn.
        self.took.clear();
        self.texts.begin(self.message_end);
        self.stream.append(&Record::CheckpointBegun);
    }

    /// All images are written.
    pub fn end_images(&mut self) {
        self.write(&Record::CheckpointEnded);
        self.texts.end();
    }

    /// The turn is written although nothing happened, with what was taken of other shards.
    pub fn demand_turn(&mut self) {
        self.stream.open_turn();
    }

    /// Bytes that were written, ever.
    pub fn written_bytes(&self) -> u64 {
        self.stream.appended_bytes()
    }

    /// Whether something was written of a session, so that it has an image.
    pub fn is_known(&self, session: u32) -> bool {
        self.kept_of(session).is_known
    }

    /// The first of so many messages, of which the numbers follow each other, that has to be written before an image refers to it.
    pub fn first_missing(&self, first: u64, len: u32) -> Option<u64> {
        self.texts.first_missing(first, len)
    }

    /// The message of this number is written, unless it is.
    pub fn text<'a>(&mut self, number: u64, message: impl FnOnce() -> MessageText<'a>) {
        self.take_up(number, message);
    }

    /// The image of a session begins.
    pub fn image(&mut self, text: &SessionText<'_>) {
        let session = text.session;
        self.write(&Record::SessionAnew { session });
        self.write(&Record::Opened {
            session,
            serial: text.serial,
            client_id: text.client_id,
        });
        if let Some((user, listener)) = text.owner {
            self.identified(session, user, listener);
        }
        if text.expiry_s > 0 {
            let seconds = text.expiry_s;
            self.write(&Record::ExpirySet { session, seconds });
        }
        if let Some(will) = text.will {
            self.write(&Record::WillSet { session, will });
        }
        if let Some((ends_at, will_due_at)) = text.absence {
            self.away(session, ends_at);
            if text.will.is_some() {
                self.will_due(session, will_due_at);
            }
        }
    }

    /// So many messages wait for it, of which the numbers follow each other.
    pub fn image_waiting(&mut self, session: u32, (number, len): (u64, u32), way: Way) {
        self.write(&Record::QueuedRun {
            session,
            number,
            len,
            way,
        });
    }

    /// A message is in flight to it, of this number if a copy is kept.
    pub fn image_sent(&mut self, session: u32, frame: Frame, way: Way, number: Option<u64>) {
        let Frame { order, id } = frame;
        let Some(number) = number else {
            return self.sent_bare(session, frame, way);
        };
        let record = match id & SHARED_ID_BIT {
            0 => Record::SentAlone {
                session,
                number,
                order,
                id,
                way,
            },
            _ => Record::Sent {
                number,
                order,
                way,
                members: Members::One(session),
            },
        };
        self.write(&record);
    }

    /// As if all texts had been written again: images without messages, which a test must find.
    #[cfg(test)]
    pub fn forget_texts(&mut self) {
        self.texts.begin(0);
    }
}
