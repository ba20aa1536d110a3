//! A ledger as the records of one shard that would make it: what a store is filled with that is imported.

use std::collections::BTreeSet;

use crate::journal::{
    Errand, KeptMessage, Ledger, Members, MessageText, Record, SessionRead, Stream,
    SubscriptionText,
};

/// The shard whose stream it is.
const OWN: u8 = 0;

/// Writes records, and each message before what refers to it.
#[derive(Default)]
struct Image {
    stream: Stream,
    written: BTreeSet<u64>,
    /// The greatest number of a message.
    last: u64,
}

/// The stream of a ledger whose clients are all away, and of messages that are to be routed once by the start that reads it.
pub(super) fn image(ledger: &Ledger, to_route: &[KeptMessage]) -> Stream {
    let mut image = Image::default();
    let mut sessions: Vec<_> = ledger.sessions().collect();
    sessions.sort_unstable_by_key(|(number, _)| *number);
    for (number, session) in &sessions {
        image.session(ledger, *number, session);
    }
    let mut retained: Vec<_> = ledger.retained().map(|(number, _)| number).collect();
    retained.sort_unstable();
    for number in retained {
        image.message(ledger, number);
        image.put(&Record::RetainedStored { number });
        image.end();
    }
    if !to_route.is_empty() {
        image.groups(sessions.iter().map(|(_, session)| *session));
    }
    for (at, kept) in (1..).zip(to_route) {
        image.route(at, kept);
    }
    image.stream
}

impl Image {
    fn put(&mut self, record: &Record<'_>) {
        self.stream.append(record);
    }

    /// What was written since the last end happened together.
    fn end(&mut self) {
        self.put(&Record::TurnEnded);
        self.stream.end_turn();
    }

    fn message(&mut self, ledger: &Ledger, number: u64) {
        if let Some(kept) = ledger.message(number)
            && self.written.insert(number)
        {
            self.last = self.last.max(number);
            self.text(number, kept);
        }
    }

    fn text(&mut self, number: u64, kept: &KeptMessage) {
        let message = MessageText::of(&kept.message, kept.expires_at());
        self.put(&Record::Message { number, message });
    }

    fn session(&mut self, ledger: &Ledger, session: u32, read: &SessionRead) {
        self.put(&Record::Opened {
            session,
            serial: read.serial,
            client_id: &read.client_id,
        });
        if let Some((user, listener)) = &read.owner {
            self.put(&Record::Identified {
                session,
                user: user.as_deref(),
                listener,
            });
        }
        self.put(&Record::ExpirySet {
            session,
            seconds: read.expiry_s,
        });
        for ((share, filter), &options) in &read.subscriptions {
            let share = share.as_deref();
            let to = SubscriptionText { share, filter };
            self.put(&Record::Subscribed {
                session,
                to,
                options,
            });
        }
        for &id in &read.inbound {
            self.put(&Record::InboundStored { session, id });
        }
        self.deliveries(ledger, session, read);
        let ends_at = read.ends_at;
        self.put(&Record::Away { session, ends_at });
        self.end();
    }

    fn deliveries(&mut self, ledger: &Ledger, session: u32, read: &SessionRead) {
        for one in read.in_flight() {
            let (order, id, way) = (one.order, one.id, one.way);
            match one.number {
                Some(number) => {
                    self.message(ledger, number);
                    self.put(&Record::SentAlone {
                        session,
                        number,
                        order,
                        id,
                        way,
                    });
                }
                None => self.put(&Record::SentBare {
                    session,
                    order,
                    id,
                    way,
                }),
            }
            if one.is_received {
                self.put(&Record::Received { session, order });
            }
        }
        for (number, way) in read.waiting() {
            self.message(ledger, number);
            self.put(&Record::Queued {
                number,
                way,
                members: Members::One(session),
            });
        }
    }

    /// All shared subscriptions: a message that is routed is for each that it matches.
    fn groups<'a>(&mut self, sessions: impl Iterator<Item = &'a SessionRead>) {
        let subscriptions = sessions.flat_map(|session| session.subscriptions.keys());
        let shared: BTreeSet<_> = subscriptions.filter(|(share, _)| share.is_some()).collect();
        for (group, (share, filter)) in (0..).zip(shared) {
            let share = share.as_deref();
            let to = SubscriptionText { share, filter };
            self.put(&Record::GroupNamed { group, to });
        }
    }

    fn route(&mut self, at: u64, kept: &KeptMessage) {
        self.last += 1;
        let number = self.last;
        self.text(number, kept);
        self.put(&Record::Handed {
            to: OWN,
            at,
            number,
            errand: Errand::PassOn {
                targets: 1 << OWN,
                retains: kept.message.retain,
            },
        });
        self.end();
    }
}
