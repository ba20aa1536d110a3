"""What paho-mqtt, 1.6 or 2.x, does with a broker: `paho_client.py PORT SCENARIO VERSION [QOS]`.

Ends with 0 when everything that was due has come; with a message and 1 when not.
"""

import queue
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 20
PROTOCOLS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}
PORT, SCENARIO, VERSION = int(sys.argv[1]), sys.argv[2], sys.argv[3]
QOS = int(sys.argv[4]) if len(sys.argv) > 4 else 0
V5 = VERSION == "5"


class Client:
    """A client with its network loop in a thread, and queues for what comes."""

    def __init__(self, name, clean=True, will=None, expiry=0):
        arguments = {"client_id": f"paho-{name}", "protocol": PROTOCOLS[VERSION]}
        if not V5:
            arguments["clean_session"] = clean
        if hasattr(mqtt, "CallbackAPIVersion"):
            arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
        self.client = mqtt.Client(**arguments)
        self.messages, self.subscribed, self.connected = queue.Queue(), queue.Queue(), queue.Queue()
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_subscribe = lambda *arguments: self.subscribed.put(arguments)
        self.client.on_connect = lambda client, data, flags, *rest: self.connected.put((flags, rest[0]))
        if will:
            self.client.will_set(*will)
        more = {}
        if V5:
            more = {"clean_start": clean, "properties": Properties(PacketTypes.CONNECT)}
            more["properties"].SessionExpiryInterval = expiry
        self.client.connect("127.0.0.1", PORT, keepalive=30, **more)
        self.client.loop_start()
        flags, code = self.connected.get(timeout=PATIENCE)
        assert code == 0, f"refused: {code}"
        self.present = flags.session_present if hasattr(flags, "session_present") else bool(flags["session present"])

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        self.subscribed.get(timeout=PATIENCE)

    def publish(self, topic, payload, qos, retain=False, properties=None):
        more = {"properties": properties} if V5 else {}
        info = self.client.publish(topic, payload, qos, retain, **more)
        info.wait_for_publish(timeout=PATIENCE)
        assert info.is_published(), f"{topic} was not acknowledged"

    def next(self):
        return self.messages.get(timeout=PATIENCE)

    def nothing(self):
        try:
            message = self.messages.get(timeout=0.2)
        except queue.Empty:
            return
        raise AssertionError(f"not expected: {message.topic} {message.payload[:40]!r}")

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self):
        """Closes the socket without a DISCONNECT."""
        self.client.on_disconnect = None
        self.client.loop_stop()
        self.client.socket().close()


def round_trip():
    subscriber, publisher = Client("sub"), Client("pub")
    subscriber.subscribe(f"t/{VERSION}/#", QOS)
    for number in range(100):
        publisher.publish(f"t/{VERSION}/{number % 3}", f"message {number}", QOS)
    for number in range(100):
        message = subscriber.next()
        assert message.payload == f"message {number}".encode(), message.payload
        assert (message.qos, message.retain, message.topic) == (QOS, 0, f"t/{VERSION}/{number % 3}")
    subscriber.nothing()
    publisher.disconnect()
    subscriber.disconnect()


def retained():
    publisher = Client("pub")
    publisher.publish(f"kept/{VERSION}", "state", QOS, retain=True)
    publisher.subscribe("barrier", 0)
    subscriber = Client("sub")
    subscriber.subscribe(f"kept/{VERSION}", QOS)
    message = subscriber.next()
    assert (message.payload, message.retain, message.qos) == (b"state", 1, QOS)
    publisher.publish(f"kept/{VERSION}", "", QOS, retain=True)
    assert subscriber.next().payload == b""
    publisher.subscribe("barrier", 0)
    later = Client("later")
    later.subscribe(f"kept/{VERSION}", QOS)
    later.nothing()
    for client in (publisher, subscriber, later):
        client.disconnect()


def will():
    subscriber = Client("sub")
    subscriber.subscribe("will/#", QOS)
    Client("doomed", will=("will/doomed", "gone", QOS, False)).vanish()
    message = subscriber.next()
    assert (message.topic, message.payload, message.qos) == ("will/doomed", b"gone", QOS)
    Client("polite", will=("will/polite", "gone", QOS, False)).disconnect()
    subscriber.nothing()
    subscriber.disconnect()


def properties():
    subscriber, publisher = Client("sub"), Client("pub")
    subscriber.subscribe("props", QOS)
    sent = Properties(PacketTypes.PUBLISH)
    sent.PayloadFormatIndicator = 1
    sent.ContentType = "text/plain"
    sent.ResponseTopic = "answers/here"
    sent.CorrelationData = b"\x00\x01\xff"
    sent.MessageExpiryInterval = 100
    sent.UserProperty = [("b", "1"), ("a", "2"), ("b", "3")]
    publisher.publish("props", "x", QOS, properties=sent)
    got = subscriber.next().properties
    assert got.PayloadFormatIndicator == 1
    assert got.ContentType == "text/plain"
    assert got.ResponseTopic == "answers/here"
    assert got.CorrelationData == b"\x00\x01\xff"
    assert 98 <= got.MessageExpiryInterval <= 100
    assert got.UserProperty == [("b", "1"), ("a", "2"), ("b", "3")]
    publisher.disconnect()
    subscriber.disconnect()


def large():
    subscriber, publisher = Client("sub"), Client("pub")
    subscriber.subscribe("large", QOS)
    payload = bytes(range(256)) * 4096
    for _ in range(3):
        publisher.publish("large", payload, QOS)
    for _ in range(3):
        assert subscriber.next().payload == payload
    publisher.disconnect()
    subscriber.disconnect()


def shared():
    members = [Client(f"member-{n}") for n in range(3)]
    for member in members:
        member.subscribe("$share/group/shared/#", QOS)
    publisher = Client("pub")
    for number in range(30):
        publisher.publish(f"shared/{number}", str(number), QOS)
    got = []
    for member in members:
        for _ in range(10):
            got.append(int(member.next().payload))
        member.nothing()
    assert sorted(got) == list(range(30)), got
    for client in members + [publisher]:
        client.disconnect()


def session():
    first = Client("session", clean=False, expiry=300)
    assert not first.present
    first.subscribe("later/#", 1)
    first.disconnect()
    publisher = Client("pub")
    for number in range(10):
        publisher.publish("later/x", str(number), 1)
    again = Client("session", clean=False, expiry=300)
    assert again.present or VERSION == "3.1"
    assert [again.next().payload for _ in range(10)] == [str(n).encode() for n in range(10)]
    again.nothing()
    again.disconnect()
    clean = Client("session", clean=True)
    assert not clean.present
    clean.disconnect()
    publisher.disconnect()


def leaves():
    """A session, and what waits for it when the broker is killed."""
    first = Client("kept", clean=False, expiry=300)
    first.subscribe("later/#", QOS)
    first.disconnect()
    publisher = Client("pub")
    for number in range(10):
        publisher.publish("later/x", str(number), QOS)
    publisher.publish("state", "retained", QOS, retain=True)
    publisher.disconnect()


def finds():
    """What `leaves` has left, and nothing else."""
    again = Client("kept", clean=False, expiry=300)
    assert again.present or VERSION == "3.1"
    found = [again.next() for _ in range(10)]
    assert [message.payload for message in found] == [str(n).encode() for n in range(10)], found
    assert all(message.qos == QOS for message in found)
    again.nothing()
    again.subscribe("state", QOS)
    message = again.next()
    assert (message.payload, message.retain) == (b"retained", 1)
    again.disconnect()


def publish():
    publisher = Client("pub")
    publisher.publish(f"seen/paho/{VERSION}", f"from paho {VERSION}", QOS)
    publisher.disconnect()


# A client that hangs must not hang the test.
threading.Timer(60, lambda: (print("too slow", file=sys.stderr), sys.stderr.flush(), __import__("os")._exit(3))).start()
try:
    globals()[SCENARIO]()
except BaseException as error:  # noqa: B902: also what queue.get raises
    print(f"{SCENARIO} {VERSION} qos {QOS}: {type(error).__name__}: {error}", file=sys.stderr)
    sys.stderr.flush()
    __import__("os")._exit(1)
__import__("os")._exit(0)
