"""paho-mqtt 2.x at every listener of the sample deployment.

    transports.py CA TCP TLS WS WSS      (ports)

Each client subscribes; infra publishes to all of them, small and large, and an anonymous one may not. Then a burst comes,
which the broker packs into few frames and records, for clients of MQTT 3.1.1 and 5.
"""

import socket
import struct
import sys
import threading

import paho.mqtt.client as mqtt

CA, *PORTS = sys.argv[1:]
KINDS = [("tcp", False), ("tcp", True), ("websockets", False), ("websockets", True)]
SIZES = [0, 10, 200, 70_000, 300_000]
PATIENCE = 20
BURST = 300


class Client:
    def __init__(self, name, kind, port, user=None, topic="bus/#", protocol=mqtt.MQTTv5):
        transport, secure = kind
        self.got, self.ready, self.done = [], threading.Event(), threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=protocol, transport=transport
        )
        if secure:
            self.client.tls_set(CA)
        if user:
            self.client.username_pw_set(user, "secret")
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self.on_message
        self.client.connect("localhost", int(port))
        self.client.subscribe(topic, 1)
        self.client.loop_start()

    def on_message(self, _client, _data, message):
        self.got.append((message.topic, len(message.payload)))
        if message.topic in ("bus/end", "burst/end"):
            self.done.set()


readers = [Client(f"reader{at}", kind, port) for at, (kind, port) in enumerate(zip(KINDS, PORTS))]
writers = [Client(f"writer{at}", kind, port, "infra") for at, (kind, port) in enumerate(zip(KINDS, PORTS))]
for client in readers + writers:
    assert client.ready.wait(PATIENCE), "a subscription is granted"
for at, writer in enumerate(writers):
    for size in SIZES:
        info = writer.client.publish(f"bus/{at}", bytes(size), 1)
        info.wait_for_publish(PATIENCE)
for at, reader in enumerate(readers):
    reader.client.publish(f"bus/forbidden{at}", b"x", 1).wait_for_publish(PATIENCE)
writers[0].client.publish("bus/end", b"", 1).wait_for_publish(PATIENCE)
expected = sorted((f"bus/{at}", size) for at in range(len(KINDS)) for size in SIZES) + [("bus/end", 0)]
for client in readers + writers:
    assert client.done.wait(PATIENCE), "the last message arrives"
    got = sorted(entry for entry in client.got if entry[0] != "bus/end") + [("bus/end", 0)]
    assert got == expected, got
for client in readers + writers:
    client.client.disconnect()
    client.client.loop_stop()


def text(value):
    return struct.pack("!H", len(value)) + value.encode()


def publish(topic, payload):
    body = text(topic) + payload
    assert len(body) < 128
    return bytes([0x30, len(body)]) + body


def burst():
    """Hundreds of messages in one write, so that they lie together for each subscriber."""
    stream = socket.create_connection(("localhost", int(PORTS[0])))
    connect = text("MQTT") + bytes([4, 0xC2]) + b"\0\x3c" + text("burst") + text("infra") + text("secret")
    stream.sendall(bytes([0x10, len(connect)]) + connect)
    assert stream.recv(4) == b"\x20\2\0\0"
    messages = [publish("burst/x", struct.pack("!I", at) * 10) for at in range(BURST)]
    stream.sendall(b"".join(messages) + publish("burst/end", b""))
    stream.close()


readers = [
    Client(f"burst{protocol}{at}", kind, port, topic="burst/#", protocol=protocol)
    for at, (kind, port) in enumerate(zip(KINDS, PORTS))
    for protocol in (mqtt.MQTTv311, mqtt.MQTTv5)
]
for client in readers:
    assert client.ready.wait(PATIENCE), "a subscription is granted"
burst()
for client in readers:
    assert client.done.wait(PATIENCE), f"the last message of a burst arrives: {len(client.got)}"
    assert client.got == [("burst/x", 40)] * BURST + [("burst/end", 0)], client.got
    client.client.disconnect()
    client.client.loop_stop()
