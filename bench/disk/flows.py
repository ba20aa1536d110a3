"""A broker on a directory, and clients that count: who publishes knows what was acknowledged and when, who was away gets it all, and a
bystander without a session sees whether it waits for the disk."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "attacks"))
import mqtt

CONFIG = """listener {port} 127.0.0.1
allow_anonymous true
user root
set_tcp_nodelay true
sys_interval 1
max_queued_messages 0
max_queued_bytes 0
memory_limit {memory}
log_dest file {folder}/log
persistence true
persistence_location {store}/
persistence_sync {sync}
"""
READY_MAX_S = 60
QUIET_S = 0.7
LATE_S = 20.0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Broker:
    """A broker whose store is in `store`, and whose log is in `folder`."""

    def __init__(self, program, folder, store, sync="group", shards=2, inside=None, lines="", memory="512M"):
        self.program, self.folder, self.port, self.shards, self.inside = program, folder, free_port(), shards, inside
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "conf"
        self.config.write_text(CONFIG.format(port=self.port, folder=folder, store=store, sync=sync, memory=memory) + lines)
        self.process = None

    def start(self, is_awaited=True):
        command = [self.program, "serve", "-c", str(self.config), "--shards", str(self.shards)]
        with open(self.folder / "output", "ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=self.inside)
        begun = time.monotonic()
        while is_awaited and time.monotonic() - begun < READY_MAX_S:
            # It listens before it lets anybody in.
            with contextlib.suppress(OSError, ConnectionError):
                Client(self.port, "looks").close()
                break
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "output").read_text()[-800:])
            time.sleep(0.02)
        return time.monotonic() - begun

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        self.process.terminate()
        return self.process.wait(60)

    def is_alive(self):
        return self.process.poll() is None

    def log(self):
        return (self.folder / "log").read_text(errors="replace")


class Client:
    """One connection, whose packets are taken one after the other."""

    def __init__(self, port, name, version=mqtt.V5, is_kept=False, patience=60):
        self.stream = socket.create_connection(("127.0.0.1", port))
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream.settimeout(patience)
        self.version, self.reader, self.found = version, mqtt.Reader(), []
        expiry = 3600 if is_kept and version == mqtt.V5 else None
        self.stream.sendall(mqtt.connect(name, version, clean=not is_kept, expiry=expiry))
        self.connack = self.packet(mqtt.CONNACK)

    def packet(self, *kinds):
        """The next packet, or the next of these kinds: (first byte, body)."""
        while True:
            for at, (first, body) in enumerate(self.found):
                if not kinds or first >> 4 in kinds:
                    del self.found[at]
                    return first, body
            data = self.stream.recv(1 << 18)
            if not data:
                raise ConnectionError("closed")
            self.found += self.reader.feed(data)

    def subscribe(self, topic, qos):
        self.stream.sendall(mqtt.subscribe(1, [topic], qos, self.version))
        return self.packet(mqtt.SUBACK)[1]

    def reason(self, body):
        """The reason code of an acknowledgement."""
        return body[2] if len(body) > 2 else 0

    def publish(self, topic, payload, qos, packet_id):
        """With QoS 1 or 2 up to its acknowledgement: the reason code."""
        self.stream.sendall(mqtt.publish(topic, payload, qos, packet_id, self.version))
        if qos == 0:
            return 0
        reason = self.reason(self.packet(mqtt.PUBACK if qos == 1 else mqtt.PUBREC)[1])
        if qos == 2 and reason < 0x80:
            self.stream.sendall(mqtt.ack(mqtt.PUBREL, packet_id))
            self.packet(mqtt.PUBCOMP)
        return reason

    def close(self):
        self.stream.close()


class Publisher(threading.Thread):
    """Publishes one message after the other with a QoS, until it is told to stop: again and again each until it is acknowledged, with its
    connection made anew where that is lost."""

    def __init__(self, broker, name, qos, bytes_=200, pause=0.0):
        super().__init__(daemon=True)
        self.broker, self.name_, self.qos, self.bytes, self.pause = broker, name, qos, bytes_, pause
        self.acked, self.took, self.refused, self.is_over = [], [], 0, threading.Event()
        # QoS 2 that was sent and of which no PUBREC came may or may not have been taken: it is not sent again here.
        self.number = 0

    def run(self):
        client = None
        while not self.is_over.is_set():
            try:
                client = client or Client(self.broker.port, f"p-{self.name_}")
                payload = f"{self.name_} {self.number} ".encode().ljust(self.bytes, b".")
                begun = time.monotonic()
                reason = client.publish(f"k/{self.name_}", payload, self.qos, self.number % 60_000 + 1)
                ended = time.monotonic()
            except (OSError, ConnectionError):
                client = None
                self.number += 1
                time.sleep(0.02)
                continue
            if reason < 0x80:
                self.acked.append((self.number, ended))
                self.took.append(ended - begun)
            else:
                self.refused += 1
                time.sleep(0.01)
            self.number += 1
            time.sleep(self.pause)

    def stop(self):
        self.is_over.set()
        self.join(90)


class Bystander(threading.Thread):
    """Sends itself a message with QoS 0 or 1 every few milliseconds, without a session that is kept."""

    def __init__(self, broker, qos):
        super().__init__(daemon=True)
        self.client, self.qos, self.took, self.is_over = Client(broker.port, f"b{qos}"), qos, [], threading.Event()
        self.client.subscribe(f"b/{qos}", 0)

    def run(self):
        number = 0
        with contextlib.suppress(OSError, ConnectionError):
            while not self.is_over.is_set():
                begun = time.monotonic()
                number += 1
                self.client.publish(f"b/{self.qos}", b"x", self.qos, number % 60_000 + 1)
                self.client.packet(mqtt.PUBLISH)
                self.took.append(time.monotonic() - begun)
                time.sleep(0.005)

    def stop(self):
        self.is_over.set()
        self.join(10)


def leave_session(broker, name="away"):
    """A session that is to have all below k/."""
    client = Client(broker.port, name, is_kept=True)
    client.subscribe("k/#", 2)
    client.close()


def acknowledged(publishers, before=float("inf")):
    """What was acknowledged before a moment, by name and number."""
    return {(one.name_, number) for one in publishers for number, at in one.acked if at < before}


def take_all(broker, wanted, name="away"):
    """All that waits for it, by name and number: how often each came that was no repetition. It is acknowledged. Taken is until nothing
    comes for a moment, or for long while something that is `wanted` is missing."""
    client = Client(broker.port, name, is_kept=True)
    missing = set(wanted)
    assert client.connack[1][0] & 1, "the session is there"
    found, open_ = {}, set()
    with contextlib.suppress(TimeoutError):
        while True:
            client.stream.settimeout(LATE_S if missing else QUIET_S)
            first, body = client.packet(mqtt.PUBLISH, mqtt.PUBREL)
            if first >> 4 == mqtt.PUBREL:
                open_.discard(body[:2])
                client.stream.sendall(mqtt.ack(mqtt.PUBCOMP, int.from_bytes(body[:2], "big")))
                continue
            length = int.from_bytes(body[:2], "big")
            qos, rest = first >> 1 & 3, body[2 + length :]
            packet_id, rest = rest[:2], rest[3:]
            author, number = rest.split(b" ")[:2]
            if qos == 2 and packet_id in open_:
                continue
            key = (author.decode(), int(number))
            found[key] = found.get(key, 0) + 1
            missing.discard(key)
            number = int.from_bytes(packet_id, "big")
            client.stream.sendall(mqtt.ack(mqtt.PUBACK if qos == 1 else mqtt.PUBREC, number))
            open_ |= {packet_id} if qos == 2 else set()
    client.close()
    return found


def verdict(publishers, found, before=float("inf")):
    """What was acknowledged before a moment and did not come, and what of QoS 2 came more than once."""
    acked, twice = acknowledged(publishers, before), []
    lost = sorted(acked - found.keys())
    for publisher in publishers:
        if publisher.qos == 2:
            twice += [key for key, count in found.items() if key[0] == publisher.name_ and count > 1]
    return {"acknowledged": len(acked), "came": len(found), "lost": len(lost), "twice": len(twice), "some": (lost + twice)[:5]}


def spread(took):
    """Milliseconds: median, 99 of 100, longest."""
    if not took:
        return None
    took = sorted(took)
    at = lambda part: round(1000 * took[min(len(took) - 1, int(part * len(took)))], 2)
    return {"count": len(took), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0)}


def sys_value(broker, name):
    """What $SYS says below $SYS/broker/firehose/."""
    client = Client(broker.port, "sys", patience=5)
    client.subscribe(f"$SYS/broker/firehose/{name}", 0)
    body = client.packet(mqtt.PUBLISH)[1]
    client.close()
    length = int.from_bytes(body[:2], "big")
    return body[3 + length :].decode()


def say(scenario, **what):
    print(json.dumps({"scenario": scenario, **what}), flush=True)
