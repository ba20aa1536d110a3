//! What a database says.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::mqtt::QoS;

/// What a file says. Texts and payloads are borrowed from the file, or from the ledgers of which it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database<'a> {
    pub(super) clients: Vec<Client<'a>>,
    pub(super) messages: Vec<Stored<'a>>,
    /// The numbers of the retained messages.
    pub(super) retained: Vec<u64>,
}

/// A client with all that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    pub(super) user: Option<&'a str>,
    /// The port of the listener that it came by; 0 for not known.
    pub(super) port: u16,
    /// Seconds that its session outlives its connection; `u32::MAX` without end.
    pub(super) expiry_s: u32,
    /// When its absence ends its session, in seconds since 1970; 0 for never, and while it is there.
    pub(super) ends_at_s: u64,
    /// The packet identifier that was given last.
    pub(super) last_id: u16,
    pub(super) subscriptions: Vec<Subscription<'a>>,
    pub(super) deliveries: Vec<Delivery>,
}

/// What a client has subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription<'a> {
    /// With `$share/` and the share name in front, if it is shared.
    pub(super) filter: Cow<'a, str>,
    pub(super) qos: QoS,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    /// The subscription identifier; 0 for none.
    pub(super) id: u32,
}

/// A message on its way to a client, or from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The message's number.
    pub(super) number: u64,
    /// The packet identifier; 0 for none.
    pub(super) id: u16,
    pub(super) qos: QoS,
    pub(super) stage: Stage,
    /// The RETAIN flag with which it is delivered.
    pub(super) retain: bool,
    pub(super) subscription_ids: SmallVec<[u32; 1]>,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits to be sent.
    Waits,
    /// It has been sent, and neither PUBACK nor PUBREC has come.
    Sent,
    /// PUBREC has come.
    Received,
    /// It came from the client, and PUBREL has not.
    Inbound,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub(super) number: u64,
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// Those that are passed on as they are, encoded, without a length in front.
    pub(super) properties: Cow<'a, [u8]>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// When it expires, in seconds since 1970; 0 for never.
    pub(super) expires_at_s: u64,
    /// Who published it.
    pub(super) source: Source<'a>,
    /// The packet identifier with which it was published.
    pub(super) source_packet: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source<'a> {
    pub(super) client_id: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) port: u16,
}
