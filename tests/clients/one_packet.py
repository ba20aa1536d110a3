"""A client that waits for its socket and reads one packet, as Ruby's `mqtt` does: what TLS has decrypted of the same record
beside that packet is not seen before the socket has more.

    one_packet.py CA PORT VERSION MESSAGES SECONDS      (VERSION: 4 for MQTT 3.1.1, 5 for MQTT 5)

Subscribes to `burst`, says `ready`, and prints how many messages it has read when MESSAGES are there or nothing came for
SECONDS.
"""

import select
import socket
import ssl
import struct
import sys

CA, PORT, VERSION, MESSAGES, SECONDS = sys.argv[1], *map(int, sys.argv[2:])


def text(value):
    return struct.pack("!H", len(value)) + value.encode()


def exactly(stream, count):
    data = b""
    while len(data) < count:
        part = stream.recv(count - len(data))
        if not part:
            raise SystemExit("the broker has closed the connection")
        data += part
    return data


def packet(stream):
    """The next packet, once the socket has something; None if it stays silent."""
    if not select.select([stream], [], [], SECONDS)[0]:
        return None
    first, length, shift = exactly(stream, 1)[0], 0, 0
    while True:
        byte = exactly(stream, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return first, exactly(stream, length)


def expect(stream, kind):
    found = packet(stream)
    assert found and found[0] >> 4 == kind, found


context = ssl.create_default_context(cafile=CA)
stream = context.wrap_socket(socket.create_connection(("localhost", PORT)), server_hostname="localhost")
properties = b"\0" if VERSION == 5 else b""
connect = text("MQTT") + bytes([VERSION, 2]) + struct.pack("!H", 60) + properties + text("one-packet")
stream.sendall(bytes([0x10, len(connect)]) + connect)
expect(stream, 2)
subscribe = b"\0\1" + properties + text("burst") + b"\1"
stream.sendall(bytes([0x82, len(subscribe)]) + subscribe)
expect(stream, 9)
print("ready", flush=True)
seen = 0
while seen < MESSAGES:
    found = packet(stream)
    if not found:
        break
    assert found[0] >> 4 == 3, found
    seen += 1
print(seen, flush=True)
