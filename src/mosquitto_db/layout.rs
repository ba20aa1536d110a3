//! The numbers of the format.

use super::model::Stage;
use crate::mqtt::QoS;

/// What the file begins with.
pub(super) const MAGIC: [u8; 15] = *b"\x00\xb5\x00mosquitto db";

/// The version that is written.
pub(super) const VERSION: u32 = 6;
/// The oldest version that is read: its clients have neither port nor user name.
pub(super) const VERSION_OLDEST: u32 = 5;

/// The size of a message's number in bytes, which the configuration chunk tells.
pub(super) const NUMBER_BYTES: u8 = 8;

/// The topic of a message that stands for one of which no copy is kept, since in a database an identifier has a message. With `$` in
/// front no filter with wildcards matches it, when Mosquitto routes it at PUBREL.
pub(super) const STAND_IN_TOPIC: &str = "$firehose/released";

/// Kinds of chunks.
pub(super) mod kind {
    pub(in crate::mosquitto_db) const CONFIGURATION: u32 = 1;
    pub(in crate::mosquitto_db) const MESSAGE: u32 = 2;
    pub(in crate::mosquitto_db) const DELIVERY: u32 = 3;
    pub(in crate::mosquitto_db) const RETAINED: u32 = 4;
    pub(in crate::mosquitto_db) const SUBSCRIPTION: u32 = 5;
    pub(in crate::mosquitto_db) const CLIENT: u32 = 6;
}

/// Bytes that fill a fixed part up to a multiple of its largest number.
pub(super) mod filling {
    pub(in crate::mosquitto_db) const CONFIGURATION: usize = 6;
    pub(in crate::mosquitto_db) const CLIENT: usize = 4;
    pub(in crate::mosquitto_db) const SUBSCRIPTION: usize = 2;
}

/// Options of a subscription, beside its QoS.
pub(super) mod option {
    pub(in crate::mosquitto_db) const NO_LOCAL: u8 = 1 << 2;
    pub(in crate::mosquitto_db) const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
}

/// RETAIN flag and DUP flag of a delivery lie in one byte.
pub(super) mod flag {
    pub(in crate::mosquitto_db) const RETAIN: u8 = 0xf0;
    pub(in crate::mosquitto_db) const RETAIN_SET: u8 = 0x10;
    pub(in crate::mosquitto_db) const DUP_SET: u8 = 0x01;
}

/// Directions of a delivery.
pub(super) mod direction {
    pub(in crate::mosquitto_db) const FROM_CLIENT: u8 = 0;
    pub(in crate::mosquitto_db) const TO_CLIENT: u8 = 1;
}

const PUBLISH_QOS0: u8 = 1;
const WAIT_FOR_PUBACK: u8 = 3;
const WAIT_FOR_PUBREC: u8 = 5;
const SEND_PUBREL: u8 = 6;
const WAIT_FOR_PUBREL: u8 = 7;
const SEND_PUBCOMP: u8 = 8;
const WAIT_FOR_PUBCOMP: u8 = 9;
const QUEUED: u8 = 11;

/// The stage of a message to a client; `None` for one that there is not.
pub(super) fn stage_to_client(state: u8, qos: QoS) -> Option<Stage> {
    Some(match state {
        // It goes without an identifier: nobody can say that it came.
        PUBLISH_QOS0..=WAIT_FOR_PUBREC if qos == QoS::AtMostOnce => Stage::Waits,
        PUBLISH_QOS0..=WAIT_FOR_PUBREC => Stage::Sent,
        SEND_PUBREL | WAIT_FOR_PUBCOMP if qos == QoS::ExactlyOnce => Stage::Received,
        QUEUED => Stage::Waits,
        _ => return None,
    })
}

/// The stage of a message from a client: `Some(None)` if nothing more is to be known of it, `None` if there is no such one. All that is
/// below QoS 2 is sent again by the client, and with PUBCOMP to be sent the message is with those that it is for.
pub(super) fn stage_from_client(state: u8, qos: QoS) -> Option<Option<Stage>> {
    match state {
        PUBLISH_QOS0..=QUEUED if qos != QoS::ExactlyOnce => Some(None),
        SEND_PUBCOMP => Some(None),
        PUBLISH_QOS0..=QUEUED => Some(Some(Stage::Inbound)),
        _ => None,
    }
}

/// How a stage is written.
pub(super) fn state_of(stage: Stage, qos: QoS) -> u8 {
    match (stage, qos) {
        (Stage::Waits, _) => QUEUED,
        (Stage::Sent, QoS::AtMostOnce) => PUBLISH_QOS0,
        (Stage::Sent, QoS::AtLeastOnce) => WAIT_FOR_PUBACK,
        (Stage::Sent, QoS::ExactlyOnce) => WAIT_FOR_PUBREC,
        (Stage::Received, _) => WAIT_FOR_PUBCOMP,
        (Stage::Inbound, _) => WAIT_FOR_PUBREL,
    }
}
