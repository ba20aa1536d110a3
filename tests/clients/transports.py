"""paho-mqtt 2.x at every listener of the sample deployment.

    transports.py CA TCP TLS WS WSS      (ports)

Each client subscribes; infra publishes to all of them, small and large, and an anonymous one may not.
"""

import sys
import threading

import paho.mqtt.client as mqtt

CA, *PORTS = sys.argv[1:]
KINDS = [("tcp", False), ("tcp", True), ("websockets", False), ("websockets", True)]
SIZES = [0, 10, 200, 70_000, 300_000]
PATIENCE = 20


class Client:
    def __init__(self, name, kind, port, user=None):
        transport, secure = kind
        self.got, self.ready, self.done = [], threading.Event(), threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5, transport=transport
        )
        if secure:
            self.client.tls_set(CA)
        if user:
            self.client.username_pw_set(user, "secret")
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self.on_message
        self.client.connect("localhost", int(port))
        self.client.subscribe("bus/#", 1)
        self.client.loop_start()

    def on_message(self, _client, _data, message):
        self.got.append((message.topic, len(message.payload)))
        if message.topic == "bus/end":
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
