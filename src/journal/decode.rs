//! From bytes to records.

use super::bytes::Reader;
use super::error::Broken;
use super::members::Members;
use super::message::MessageText;
use super::record::{Errand, Last, Record, SubscriptionText, WillText, kind};
use crate::ids;
use crate::routing::EntryOptions;
use crate::session::Way;

/// Reads records of one stream.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    last: Last,
}

impl Decoder {
    /// Reads a record, without its length; `None` for one of a kind that may be left out.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Record<'a>>, Broken> {
        let mut reader = Reader::new(bytes);
        let kind = reader.byte()?;
        let reader = &mut reader;
        let record = match kind {
            kind::OPENED..=kind::ENDED
            | kind::SUBSCRIBED
            | kind::UNSUBSCRIBED
            | kind::INBOUND_STORED
            | kind::INBOUND_RELEASED
            | kind::IDENTIFIED
            | kind::SESSION_ANEW => of_session(kind, reader)?,
            kind::WILL_SET..=kind::WILL_TAKEN => self.will(kind, reader)?,
            kind::SENT..=kind::COPY_GIVEN_UP | kind::SENT_BARE => self.in_flight(kind, reader)?,
            kind::GROUP_NAMED..=kind::CHECKPOINT_ENDED => self.between(kind, reader)?,
            kind::OPTIONAL.. => return Ok(None),
            _ => self.kept(kind, reader)?,
        };
        match reader.left() {
            0 => Ok(Some(record)),
            _ => Err(Broken::Long),
        }
    }

    fn number(&mut self, reader: &mut Reader<'_>) -> Result<u64, Broken> {
        self.last.number = reader.near(self.last.number)?;
        Ok(self.last.number)
    }

    fn order(&mut self, reader: &mut Reader<'_>) -> Result<u64, Broken> {
        self.last.order = reader.near(self.last.order)?;
        Ok(self.last.order)
    }

    fn message<'a>(&mut self, reader: &mut Reader<'a>) -> Result<MessageText<'a>, Broken> {
        let message = MessageText::decode(self.last.origin, reader)?;
        self.last.origin = message.origin;
        Ok(message)
    }

    fn will<'a>(&mut self, kind: u8, reader: &mut Reader<'a>) -> Result<Record<'a>, Broken> {
        let session = read_session(reader)?;
        Ok(match kind {
            kind::WILL_SET => {
                let delay_s = reader.small()?;
                let expiry_s = reader.number_or_none()?;
                let expiry_s = expiry_s.map(u32::try_from).transpose();
                let will = WillText {
                    delay_s,
                    expiry_s: expiry_s.map_err(|_| Broken::Number)?,
                    message: self.message(reader)?,
                };
                Record::WillSet { session, will }
            }
            kind::WILL_DUE => Record::WillDue {
                session,
                at: reader.number_or_none()?,
            },
            kind::WILL_TAKEN => Record::WillTaken { session },
            _ => return Err(Broken::Kind(kind)),
        })
    }

    fn kept<'a>(&mut self, kind: u8, reader: &mut Reader<'a>) -> Result<Record<'a>, Broken> {
        Ok(match kind {
            kind::MESSAGE => Record::Message {
                number: self.number(reader)?,
                message: self.message(reader)?,
            },
            kind::QUEUED => Record::Queued {
                number: self.number(reader)?,
                way: read_way(reader)?,
                members: Members::decode(reader)?,
            },
            kind::UNQUEUED => Record::Unqueued {
                number: self.number(reader)?,
                way: read_way(reader)?,
                members: Members::decode(reader)?,
            },
            kind::QUEUED_RUN => Record::QueuedRun {
                session: read_session(reader)?,
                number: self.number(reader)?,
                len: reader.small()?,
                way: read_way(reader)?,
            },
            kind::RETAINED_STORED => Record::RetainedStored {
                number: self.number(reader)?,
            },
            kind::RETAINED_REMOVED => Record::RetainedRemoved {
                topic: reader.text()?,
            },
            kind::SETS_FORGOTTEN => Record::SetsForgotten,
            _ => return Err(Broken::Kind(kind)),
        })
    }

    fn between<'a>(&mut self, kind: u8, reader: &mut Reader<'a>) -> Result<Record<'a>, Broken> {
        Ok(match kind {
            kind::GROUP_NAMED => Record::GroupNamed {
                group: reader.small()?,
                to: read_subscription(reader)?,
            },
            kind::HANDED => Record::Handed {
                to: reader.byte()?,
                at: reader.number()?,
                number: self.number(reader)?,
                errand: read_errand(reader)?,
            },
            kind::TOOK => Record::Took {
                from: reader.byte()?,
                at: reader.number()?,
            },
            kind::CHECKPOINT_BEGUN => {
                self.last = Last::default();
                Record::CheckpointBegun
            }
            kind::CHECKPOINT_ENDED => Record::CheckpointEnded,
            kind::TURN_ENDED => Record::TurnEnded,
            _ => return Err(Broken::Kind(kind)),
        })
    }

    fn in_flight<'a>(&mut self, kind: u8, reader: &mut Reader<'a>) -> Result<Record<'a>, Broken> {
        Ok(match kind {
            kind::SENT => Record::Sent {
                number: self.number(reader)?,
                order: self.order(reader)?,
                way: read_way(reader)?,
                members: Members::decode(reader)?,
            },
            kind::SENT_ALONE => Record::SentAlone {
                session: read_session(reader)?,
                number: self.number(reader)?,
                order: self.order(reader)?,
                id: reader.small()?,
                way: read_way(reader)?,
            },
            kind::MOVED => Record::Moved {
                session: read_session(reader)?,
                number: self.number(reader)?,
                order: self.order(reader)?,
                id: reader.small()?,
                way: read_way(reader)?,
            },
            kind::ACKNOWLEDGED => Record::Acknowledged {
                order: self.order(reader)?,
                members: Members::decode(reader)?,
            },
            kind::SENT_BARE => Record::SentBare {
                session: read_session(reader)?,
                order: self.order(reader)?,
                id: reader.small()?,
                way: read_way(reader)?,
            },
            kind::RECEIVED => Record::Received {
                session: read_session(reader)?,
                order: self.order(reader)?,
            },
            kind::COPY_GIVEN_UP => Record::CopyGivenUp {
                session: read_session(reader)?,
                order: self.order(reader)?,
            },
            _ => return Err(Broken::Kind(kind)),
        })
    }
}

fn of_session<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Record<'a>, Broken> {
    let session = read_session(reader)?;
    Ok(match kind {
        kind::OPENED => Record::Opened {
            session,
            serial: reader.number()?,
            client_id: reader.text()?,
        },
        kind::RESUMED => Record::Resumed { session },
        kind::IDENTIFIED => Record::Identified {
            session,
            user: reader.text_or_none()?,
            listener: reader.text()?,
        },
        kind::EXPIRY_SET => Record::ExpirySet {
            session,
            seconds: reader.small()?,
        },
        kind::AWAY => Record::Away {
            session,
            ends_at: reader.number_or_none()?,
        },
        kind::ENDED => Record::Ended { session },
        kind::SESSION_ANEW => Record::SessionAnew { session },
        kind::SUBSCRIBED => Record::Subscribed {
            session,
            to: read_subscription(reader)?,
            options: EntryOptions::checked(reader.small()?).ok_or(Broken::Number)?,
        },
        kind::UNSUBSCRIBED => Record::Unsubscribed {
            session,
            from: read_subscription(reader)?,
        },
        kind::INBOUND_STORED => Record::InboundStored {
            session,
            id: reader.small()?,
        },
        kind::INBOUND_RELEASED => Record::InboundReleased {
            session,
            id: reader.small()?,
        },
        _ => return Err(Broken::Kind(kind)),
    })
}

/// The number of a session; that of none is not one.
fn read_session(reader: &mut Reader<'_>) -> Result<u32, Broken> {
    let session = reader.small()?;
    (session != ids::NONE)
        .then_some(session)
        .ok_or(Broken::Number)
}

fn read_subscription<'a>(reader: &mut Reader<'a>) -> Result<SubscriptionText<'a>, Broken> {
    Ok(SubscriptionText {
        share: reader.text_or_none()?,
        filter: reader.text()?,
    })
}

fn read_errand(reader: &mut Reader<'_>) -> Result<Errand, Broken> {
    Ok(match reader.byte()? {
        0 => Errand::Deliver,
        1 => Errand::Retain,
        tag @ (2 | 3) => Errand::PassOn {
            targets: reader.number()?,
            retains: tag == 3,
        },
        4 => Errand::Share {
            owner: reader.byte()?,
            group: reader.small()?,
        },
        _ => return Err(Broken::Number),
    })
}

fn read_way(reader: &mut Reader<'_>) -> Result<Way, Broken> {
    let grant = reader.small()?;
    let origin: u32 = reader.small()?;
    Way::from_words(grant, !origin).ok_or(Broken::Number)
}
