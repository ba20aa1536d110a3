"""What the harness speaks of MQTT 3.1.1 and 5: packets as bytes, and a reader of streams.

Encoders return whole packets, so that attackers join them into blobs beforehand. `Reader` cuts a stream into packets;
`acks` counts acknowledgements without looking at each where all have the same length.
"""

import collections
import struct

V3, V5 = 4, 5
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14
PING = b"\xc0\x00"
GOODBYE = b"\xe0\x00"


class Malformed(Exception):
    """What came is not MQTT."""


def varint(number):
    """A variable byte integer (MQTT-1.5.5)."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def text(value):
    """A string with its length in front."""
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(first, body):
    return bytes([first]) + varint(len(body)) + body


def connect(client, version=V3, clean=True, keepalive=0, expiry=None, receive_maximum=None, login=None):
    """CONNECT; `expiry` of the session in seconds and `receive_maximum` are MQTT 5 only. `login`: user name and password."""
    flags = (2 if clean else 0) | (0xC0 if login else 0)
    body = text("MQTT") + bytes([version, flags]) + struct.pack(">H", keepalive)
    if version == V5:
        properties = b""
        if expiry is not None:
            properties += b"\x11" + struct.pack(">I", expiry)
        if receive_maximum is not None:
            properties += b"\x21" + struct.pack(">H", receive_maximum)
        body += varint(len(properties)) + properties
    return packet(0x10, body + text(client) + b"".join(text(one) for one in login or ()))


def subscribe(packet_id, filters, qos=0, version=V3):
    """SUBSCRIBE for all the filters with one QoS."""
    body = struct.pack(">H", packet_id) + (b"\x00" if version == V5 else b"")
    option = bytes([qos])
    return packet(0x82, body + b"".join(text(one) + option for one in filters))


def publish(topic, payload, qos=0, packet_id=0, version=V3, retain=False, expiry=None):
    """PUBLISH; `expiry` of the message in seconds is MQTT 5 only."""
    body = text(topic)
    if qos:
        body += struct.pack(">H", packet_id)
    if version == V5:
        body += b"\x05\x02" + struct.pack(">I", expiry) if expiry is not None else b"\x00"
    return packet(0x30 | qos << 1 | retain, body + payload)


def ack(kind, packet_id):
    """PUBACK, PUBREC, PUBREL or PUBCOMP with success."""
    return bytes([kind << 4 | (2 if kind == PUBREL else 0), 2]) + struct.pack(">H", packet_id)


class Reader:
    """Cuts what comes into packets: `feed` yields (first byte, body)."""

    __slots__ = ("rest",)

    def __init__(self):
        self.rest = b""

    def feed(self, data):
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        found = []
        while end - at >= 2:
            length, position = data[at + 1], at + 2
            if length & 0x80:
                length &= 0x7F
                shift = 7
                while True:
                    if shift > 21:
                        raise Malformed("length")
                    if position >= end:
                        length = None
                        break
                    byte = data[position]
                    position += 1
                    length |= (byte & 0x7F) << shift
                    shift += 7
                    if not byte & 0x80:
                        break
                if length is None:
                    break
            if position + length > end:
                break
            found.append((data[at], data[position : position + length]))
            at = position + length
        self.rest = data[at:]
        return found


def connack(body, version):
    """(reason code, the broker's receive maximum) of a CONNACK's body."""
    maximum = 65535
    if version == V5 and len(body) > 2:
        for name, value in properties(body[2:]):
            if name == 0x21:
                maximum = value
    return body[1], maximum


# Lengths of the properties that a broker may send: bytes, or None for a string or binary, "pair" for two strings.
_LENGTHS = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1, 0x01: 1, 0x02: 4}


def properties(data):
    """(identifier, number or bytes) of a property list with its length in front (one byte is enough here)."""
    length, at = data[0], 1
    if length & 0x80:
        length, at = (length & 0x7F) | data[1] << 7, 2
    end = at + length
    while at < end:
        name = data[at]
        at += 1
        size = _LENGTHS.get(name)
        if size:
            yield name, int.from_bytes(data[at : at + size], "big")
            at += size
            continue
        for _ in range(2 if name == 0x26 else 1):
            size = int.from_bytes(data[at : at + 2], "big")
            yield name, data[at + 2 : at + 2 + size]
            at += 2 + size


def reason(body):
    """Reason code of an acknowledgement's body."""
    return body[2] if len(body) > 2 else 0


class Acks:
    """Counts acknowledgements in a stream by (kind, reason); other packets by (kind, None) with a list of them."""

    def __init__(self):
        self.reader = Reader()
        self.counts = collections.Counter()

    def feed(self, data):
        """Returns (acknowledgements, other packets as (first, body))."""
        if not self.reader.rest:
            quick = self._same(data)
            if quick:
                return quick, []
        number, others = 0, []
        for first, body in self.reader.feed(data):
            kind = first >> 4
            if kind in (PUBACK, PUBREC, PUBCOMP):
                self.counts[kind, reason(body)] += 1
                number += 1
            else:
                others.append((first, body))
        return number, others

    def _same(self, data):
        """The number of packets where all are alike but for their identifier, else None."""
        size = data[1] + 2 if len(data) > 3 else 0
        kind = data[0] >> 4
        if size not in (4, 5, 6) or kind not in (PUBACK, PUBREC, PUBCOMP):
            return None
        number, rest = divmod(len(data), size)
        alike = not rest and data[0::size] == data[:1] * number and data[1::size] == data[1:2] * number
        if not alike or (size > 4 and data[4::size] != data[4:5] * number):
            return None
        self.counts[kind, data[4] if size > 4 else 0] += number
        return number
