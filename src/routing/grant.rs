//! How messages are delivered: what a subscription asks for (`EntryOptions`), and what one delivery to it is granted
//! (`Grant`). Both are a word with the same layout, so that the one is made of the other by a mask and a comparison.
//!
//! ```text
//!   31 ................. 4 |        3 |                          2 |   1 0
//!   subscription identifier | No Local | Retain As Published, RETAIN |   QoS
//! ```
//!
//! Invariants: QoS 3 does not occur; a `Grant` is made by [`EntryOptions::grant`] only (or is one of those again, from its word), has never more than the subscription
//! allows, and its bit 3 is clear.

use smallvec::SmallVec;

use crate::mqtt::QoS;

const QOS_MASK: u32 = 0b11;
const RETAIN: u32 = 1 << 2;
const NO_LOCAL: u32 = 1 << 3;
/// In what tells encodings apart, which needs no No Local.
const V5: u32 = 1 << 3;
const ID_SHIFT: u32 = 4;
const ID_MASK: u32 = u32::MAX << ID_SHIFT;

/// The options of a subscription (MQTT 5, 3.8.3.1) and its identifier (3.8.2.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryOptions(u32);

/// What a delivery to one subscriber is granted: its QoS, its RETAIN flag and its subscription identifier. Several
/// identifiers, of subscriptions that overlap, are among the properties of a message of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Grant(u32);

/// What several subscriptions of one session want of a message that is delivered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    /// With the identifier, where there are not several.
    pub options: EntryOptions,
    /// Where there are several: all of them, in ascending order.
    pub ids: SmallVec<[u32; 8]>,
}

impl EntryOptions {
    /// Delivers up to this QoS; everything else as before MQTT 5.
    #[inline]
    pub const fn with_qos(qos: QoS) -> EntryOptions {
        EntryOptions(qos as u32)
    }

    /// Whether the subscriber's own messages are kept from it (MQTT-3.8.3-3).
    #[inline]
    pub const fn with_no_local(self, is_set: bool) -> EntryOptions {
        self.with(NO_LOCAL, is_set)
    }

    /// Whether the RETAIN flag is passed on as published (MQTT-3.3.1-12).
    #[inline]
    pub const fn with_retain_as_published(self, is_set: bool) -> EntryOptions {
        self.with(RETAIN, is_set)
    }

    /// Whether it is.
    #[inline]
    pub const fn retain_as_published(self) -> bool {
        self.0 & RETAIN != 0
    }

    /// The subscription identifier, 1 to 268,435,455; 0 for none.
    #[inline]
    pub const fn with_id(self, id: u32) -> EntryOptions {
        debug_assert!(id < 1 << (32 - ID_SHIFT));
        EntryOptions(self.0 & !ID_MASK | id << ID_SHIFT)
    }

    const fn with(self, bit: u32, is_set: bool) -> EntryOptions {
        EntryOptions(if is_set { self.0 | bit } else { self.0 & !bit })
    }

    /// The greatest QoS that is delivered.
    #[inline]
    pub const fn qos(self) -> QoS {
        qos_of(self.0)
    }

    /// Whether the subscriber's own messages are kept from it.
    #[inline]
    pub const fn no_local(self) -> bool {
        self.0 & NO_LOCAL != 0
    }

    /// The subscription identifier; 0 for none.
    #[inline]
    pub const fn id(self) -> u32 {
        self.0 >> ID_SHIFT
    }

    /// What a delivery is granted of a message that is offered with this QoS and RETAIN flag: the smaller QoS of both
    /// (MQTT-3.8.4-8), and the RETAIN flag where the subscription wants it as published (MQTT-3.3.1-12, MQTT-3.3.1-13).
    #[inline]
    pub const fn grant(self, qos: QoS, retain: bool) -> Grant {
        let (most, offered) = (self.0 & QOS_MASK, qos as u32);
        let qos = if most < offered { most } else { offered };
        let retain = if retain { RETAIN } else { 0 };
        Grant(self.0 & (ID_MASK | retain) | qos)
    }

    /// What subscriptions of one session that match the same message want together (MQTT-3.3.4-2, MQTT-3.3.4-4). Whose message it is is
    /// for the caller to look at.
    pub fn together(all: impl Iterator<Item = EntryOptions> + Clone) -> Together {
        let mut ids: SmallVec<[u32; 8]> = all.clone().map(EntryOptions::id).collect();
        ids.retain(|id| *id > 0);
        ids.sort_unstable();
        ids.dedup();
        let options = all.fold(EntryOptions::default(), EntryOptions::merged);
        if let [id] = ids[..] {
            return Together {
                options: options.with_id(id),
                ids: SmallVec::new(),
            };
        }
        Together { options, ids }
    }

    /// All that either of two subscriptions of one session wants, for a message that is delivered once for both
    /// (MQTT-3.3.4-2), but for their identifiers.
    const fn merged(self, other: EntryOptions) -> EntryOptions {
        let (one, two) = (self.0 & QOS_MASK, other.0 & QOS_MASK);
        let qos = if one < two { two } else { one };
        EntryOptions((self.0 | other.0) & RETAIN | qos)
    }

    /// The word, for who keeps something else in its place as well.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The inverse of `bits`.
    #[inline]
    pub(super) const fn from_bits(bits: u32) -> EntryOptions {
        EntryOptions(bits)
    }

    /// The inverse of `bits`, of a word that was read; `None` if no subscription has it.
    pub const fn checked(bits: u32) -> Option<EntryOptions> {
        match bits & QOS_MASK {
            QOS_MASK => None,
            _ => Some(EntryOptions(bits)),
        }
    }
}

impl Grant {
    /// Its QoS.
    #[inline]
    pub const fn qos(self) -> QoS {
        qos_of(self.0)
    }

    /// Whether it goes without a packet identifier.
    #[inline]
    pub const fn is_qos0(self) -> bool {
        self.0 & QOS_MASK == 0
    }

    /// Its RETAIN flag.
    #[inline]
    pub const fn retain(self) -> bool {
        self.0 & RETAIN != 0
    }

    /// Its subscription identifier; 0 for none.
    #[inline]
    pub const fn id(self) -> u32 {
        self.0 >> ID_SHIFT
    }

    /// The same with the RETAIN flag, for a message that is sent because of a new subscription (MQTT-3.3.1-8).
    #[inline]
    pub const fn as_retained(self) -> Grant {
        Grant(self.0 | RETAIN)
    }

    /// The word, for who keeps something else beside it.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The inverse of `bits`.
    #[inline]
    pub const fn from_bits(bits: u32) -> Grant {
        Grant(bits)
    }

    /// The inverse of `bits`, of a word that was read; `None` if nothing is granted so.
    pub const fn checked(bits: u32) -> Option<Grant> {
        match bits & QOS_MASK == QOS_MASK || bits & NO_LOCAL != 0 {
            true => None,
            false => Some(Grant(bits)),
        }
    }

    /// What tells one encoding of a message from another: the grant, and whether it is in MQTT 5. Versions 3.1 and 3.1.1
    /// encode PUBLISH alike.
    #[inline]
    pub const fn encoding(self, is_v5: bool) -> u32 {
        self.0 | if is_v5 { V5 } else { 0 }
    }
}

#[inline]
const fn qos_of(bits: u32) -> QoS {
    match bits & QOS_MASK {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

impl std::fmt::Debug for EntryOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryOptions")
            .field("qos", &self.qos())
            .field("no_local", &self.no_local())
            .field("retain_as_published", &self.retain_as_published())
            .field("id", &self.id())
            .finish()
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("qos", &self.qos())
            .field("retain", &self.retain())
            .field("id", &self.id())
            .finish()
    }
}
