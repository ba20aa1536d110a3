"""A client that waits for its socket and reads one packet, as Ruby's `mqtt` does: what TLS has decrypted of the same record
beside that packet is not seen before the socket has more.

    one_packet.py CA PORT VERSION MESSAGES SECONDS      (VERSION: 4 for MQTT 3.1.1, 5 for MQTT 5)

Subscribes to `burst`, says `ready`, and prints how many messages it has read when MESSAGES are there or nothing came for
SECONDS.
"""

import pathlib
import select
import socket
import ssl
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/attacks"))
import mqtt

CA, PORT, VERSION, MESSAGES, SECONDS = sys.argv[1], *map(int, sys.argv[2:])


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
stream.sendall(mqtt.connect("one-packet", version=VERSION, keepalive=60))
expect(stream, mqtt.CONNACK)
stream.sendall(mqtt.subscribe(1, ["burst"], qos=1, version=VERSION))
expect(stream, mqtt.SUBACK)
print("ready", flush=True)
seen = 0
while seen < MESSAGES:
    found = packet(stream)
    if not found:
        break
    assert found[0] >> 4 == mqtt.PUBLISH, found
    seen += 1
print(seen, flush=True)
