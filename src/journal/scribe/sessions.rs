//! What happens to sessions, but for messages.

use super::{Opening, Scribe};
use crate::journal::record::{Record, SubscriptionText, WillText};
use crate::routing::EntryOptions;

impl Scribe {
    /// There is a session, without any state.
    pub fn opened(&mut self, session: u32, serial: u64, client_id: &str) {
        // It is written when something shows that it is to be kept, which is soon, or never.
        self.opening = Some(Opening {
            session,
            serial,
            client_id: client_id.into(),
        });
    }

    /// Writes that there is a session, unless that is written.
    fn keep(&mut self, session: u32) {
        if self.kept_of(session).is_known {
            return;
        }
        let opening = self.opening.take_if(|opening| opening.session == session);
        if let Some(opening) = opening {
            self.kept_mut(session).is_known = true;
            self.write(&Record::Opened {
                session,
                serial: opening.serial,
                client_id: &opening.client_id,
            });
        }
    }

    fn write_of(&mut self, session: u32, record: &Record<'_>) {
        if self.kept_of(session).is_known {
            self.write(record);
        }
    }

    pub(super) fn write_of_durable(&mut self, session: u32, record: &Record<'_>) {
        if self.kept_of(session).is_durable {
            self.write(record);
        }
    }

    /// Its client is there.
    pub fn resumed(&mut self, session: u32) {
        self.write_of(session, &Record::Resumed { session });
    }

    /// Its client has this user name, and came by the listener of this name.
    pub fn identified(&mut self, session: u32, user: Option<&str>, listener: &str) {
        let record = Record::Identified {
            session,
            user,
            listener,
        };
        self.write_of(session, &record);
    }

    /// It outlives its connection by so many seconds.
    pub fn expiry_set(&mut self, session: u32, seconds: u32) {
        if seconds > 0 {
            self.keep(session);
            let kept = self.kept_mut(session);
            kept.is_durable = kept.is_known;
        }
        self.write_of(session, &Record::ExpirySet { session, seconds });
    }

    /// Its client is away.
    pub fn away(&mut self, session: u32, ends_at: Option<u64>) {
        self.write_of(session, &Record::Away { session, ends_at });
    }

    /// It is gone.
    pub fn ended(&mut self, session: u32) {
        let kept = std::mem::take(self.kept_mut(session));
        if kept.is_known {
            self.write_acknowledged();
            self.write(&Record::Ended { session });
        }
    }

    /// CONNECT has brought a will.
    pub fn will_set(&mut self, session: u32, will: WillText<'_>) {
        self.keep(session);
        self.write_of(session, &Record::WillSet { session, will });
    }

    /// When its will is due.
    pub fn will_due(&mut self, session: u32, at: Option<u64>) {
        self.write_of(session, &Record::WillDue { session, at });
    }

    /// Its will is published, or never will be.
    pub fn will_taken(&mut self, session: u32) {
        self.write_of(session, &Record::WillTaken { session });
    }

    /// It has subscribed.
    pub fn subscribed(&mut self, session: u32, to: SubscriptionText<'_>, options: EntryOptions) {
        let record = Record::Subscribed {
            session,
            to,
            options,
        };
        self.write_of_durable(session, &record);
    }

    /// It has unsubscribed.
    pub fn unsubscribed(&mut self, session: u32, from: SubscriptionText<'_>) {
        self.write_of_durable(session, &Record::Unsubscribed { session, from });
    }

    /// A QoS 2 message has come from its client.
    pub fn inbound_stored(&mut self, session: u32, id: u16) {
        self.write_of_durable(session, &Record::InboundStored { session, id });
    }

    /// PUBREL has come for it.
    pub fn inbound_released(&mut self, session: u32, id: u16) {
        self.write_of_durable(session, &Record::InboundReleased { session, id });
    }
}
