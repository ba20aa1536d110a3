//! The properties of MQTT 5: their names in scripts, how they are encoded, where a server may send them.

use super::{
    AUTH, CONNACK, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK,
};

/// How a property's value is encoded (MQTT 5, 2.2.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Byte,
    U16,
    U32,
    Varint,
    Bytes,
    Pair,
}

/// A property: its name in scripts, its identifier, its form, and the packets in which a server may send it.
pub struct Property {
    pub name: &'static str,
    pub id: u8,
    pub form: Form,
    pub server: &'static [u8],
}

const ACKS: &[u8] = &[
    CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH,
];
const ALL: &[u8] = &[
    CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH,
];

const fn property(name: &'static str, id: u8, form: Form, server: &'static [u8]) -> Property {
    Property {
        name,
        id,
        form,
        server,
    }
}

/// All properties (MQTT 5, table 2-4).
pub static PROPERTIES: [Property; 27] = [
    property("payload-format", 0x01, Form::Byte, &[PUBLISH]),
    property("expiry", 0x02, Form::U32, &[PUBLISH]),
    property("content-type", 0x03, Form::Bytes, &[PUBLISH]),
    property("response-topic", 0x08, Form::Bytes, &[PUBLISH]),
    property("correlation", 0x09, Form::Bytes, &[PUBLISH]),
    property("sub-id", 0x0b, Form::Varint, &[PUBLISH]),
    property("session-expiry", 0x11, Form::U32, &[CONNACK]),
    property("assigned-id", 0x12, Form::Bytes, &[CONNACK]),
    property("server-keep-alive", 0x13, Form::U16, &[CONNACK]),
    property("auth-method", 0x15, Form::Bytes, &[CONNACK, AUTH]),
    property("auth-data", 0x16, Form::Bytes, &[CONNACK, AUTH]),
    property("problem-info", 0x17, Form::Byte, &[]),
    property("will-delay", 0x18, Form::U32, &[]),
    property("response-info", 0x19, Form::Byte, &[]),
    property("response-information", 0x1a, Form::Bytes, &[CONNACK]),
    property(
        "server-reference",
        0x1c,
        Form::Bytes,
        &[CONNACK, DISCONNECT],
    ),
    property("reason-string", 0x1f, Form::Bytes, ACKS),
    property("receive-max", 0x21, Form::U16, &[CONNACK]),
    property("alias-max", 0x22, Form::U16, &[CONNACK]),
    property("alias", 0x23, Form::U16, &[PUBLISH]),
    property("max-qos", 0x24, Form::Byte, &[CONNACK]),
    property("retain-available", 0x25, Form::Byte, &[CONNACK]),
    property("user", 0x26, Form::Pair, ALL),
    property("max-packet", 0x27, Form::U32, &[CONNACK]),
    property("wildcard-available", 0x28, Form::Byte, &[CONNACK]),
    property("sub-id-available", 0x29, Form::Byte, &[CONNACK]),
    property("shared-available", 0x2a, Form::Byte, &[CONNACK]),
];

/// The property of that name.
pub fn property_named(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|p| p.name == name)
}
