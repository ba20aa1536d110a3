"""Flows that are counted, beside the attack: durable clients with QoS 1 and 2 over every transport, which are killed, taken
over, subscribed anew and read slowly, while the configuration is read again.

What must hold: nothing that was acknowledged to a publisher is missing at its subscribers, nothing with QoS 2 comes twice,
first deliveries keep the order of their publisher, and no session is lost. Members of a shared subscription have it together
(their order is nobody's promise).
"""

import collections
import gc
import os
import random
import select
import signal
import struct
import time

import mqtt
from link import TRANSPORTS, Gone, Link

HEAD = struct.Struct(">Q")
RATE = 20  # messages a second and flow
WINDOW = 8  # below every broker's receive maximum
DRAIN_S = 45
EXPIRY_S = 3600
AGAIN_S = 0.3  # before an attempt that was refused is made again
ANSWER_S = 20  # from CONNECT to CONNACK, for a broker under attack
SOURCE = "127.0.3.1"
DISTURBED_EACH_S = 8  # each client, on average
RELOAD_EACH_S = 5
KINDS = ("reset", "close", "half", "goodbye", "takeover", "again", "stall")
SIZES = (40, 40, 40, 300, 3000)


class Client:
    """A durable session, and its connection while it has one."""

    def __init__(self, flows, name, transport, version):
        self.flows, self.name, self.transport, self.version = flows, name, transport, version
        self.link, self.ready, self.stalled_until, self.begun = None, False, 0.0, 0.0
        self.retry_at, self.had_session = 0.0, False

    def connect(self):
        if self.link:
            self.flows.drop(self)
        try:
            self.link = Link(self.transport, self.flows.ports, SOURCE, self.flows.authority)
        except Gone:
            self.flows.count("refused")
            self.retry_at = time.monotonic() + AGAIN_S
            return
        self.ready, self.begun = False, time.monotonic()
        self.flows.watch(self)
        expiry = EXPIRY_S if self.version == mqtt.V5 else None
        self.send(mqtt.connect(self.name, self.version, clean=False, keepalive=60, expiry=expiry, login=self.flows.login))

    def send(self, data):
        if not self.link:
            return
        try:
            self.link.send(data)
        except Gone:
            self.lost()

    def lost(self):
        self.flows.drop(self)
        self.retry_at = time.monotonic() + self.flows.chance.uniform(0, 2 * AGAIN_S)

    def receive(self):
        try:
            for first, body in self.link.feed():
                self.on_packet(first, body)
            self.link.flush()
        except Gone:
            self.lost()

    def on_packet(self, first, body):
        kind = first >> 4
        if kind == mqtt.CONNACK:
            if body[1]:
                self.flows.count("refused")
                self.flows.result["codes"][f"0x{body[1]:02X}"] += 1
                return
            if self.had_session and not body[0] & 1:
                self.flows.fault("sessions_lost", f"{self.name}: its session is gone")
            self.had_session, self.ready = True, True
            self.on_ready()
        elif kind == mqtt.DISCONNECT:
            self.flows.result["codes"][f"DISCONNECT {body[:1].hex()}"] += 1
        else:
            self.on_message(kind, first, body)


class Publisher(Client):
    """Publishes numbers, one after the other, and repeats what was not acknowledged."""

    def __init__(self, flows, name, transport, version, topic, qos):
        super().__init__(flows, name, transport, version)
        self.topic, self.qos = topic, qos
        self.next, self.packet_id, self.due = 0, 0, 0.0
        self.in_flight = collections.OrderedDict()  # packet identifier -> [number, payload, released]
        self.refused = set()  # told so, MQTT 5

    def on_ready(self):
        out = b""
        for packet_id, (_, payload, released) in self.in_flight.items():
            out += mqtt.ack(mqtt.PUBREL, packet_id) if released else self.packet(packet_id, payload, 8)
        if out:
            self.send(out)

    def packet(self, packet_id, payload, flags=0):
        whole = mqtt.publish(self.topic, payload, self.qos, packet_id, self.version)
        return bytes([whole[0] | flags]) + whole[1:]

    def publish(self, now):
        """What is due, as far as the window has room."""
        while self.ready and self.due <= now and len(self.in_flight) < WINDOW:
            self.packet_id = self.packet_id % 65535 + 1
            if self.packet_id in self.in_flight:
                continue
            payload = HEAD.pack(self.next).ljust(self.flows.chance.choice(SIZES), b".")
            self.in_flight[self.packet_id] = [self.next, payload, False]
            self.next += 1
            self.due = max(self.due + 1 / RATE, now - 1)
            self.flows.count("published")
            self.send(self.packet(self.packet_id, payload))

    def on_message(self, kind, _first, body):
        packet_id = struct.unpack_from(">H", body)[0]
        entry = self.in_flight.get(packet_id)
        if kind in (mqtt.PUBACK, mqtt.PUBREC) and mqtt.reason(body) >= 0x80:
            if entry:
                self.refused.add(entry[0])
                self.flows.count("told_refused")
                del self.in_flight[packet_id]
        elif kind == mqtt.PUBREC:
            if entry:
                entry[2] = True
            self.send(mqtt.ack(mqtt.PUBREL, packet_id))
        elif kind in (mqtt.PUBACK, mqtt.PUBCOMP) and entry:
            del self.in_flight[packet_id]
            self.flows.count("acknowledged")


class Subscriber(Client):
    """Reads a flow. What it has seen is shared with the other members of its group."""

    def __init__(self, flows, name, transport, version, filter_, qos, seen):
        super().__init__(flows, name, transport, version)
        self.filter, self.qos, self.seen = filter_, qos, seen
        self.held = set()  # QoS 2: identifiers of messages that were taken and not yet released
        self.subscribed = False

    def on_ready(self):
        if not self.subscribed:
            self.subscribe()

    def subscribe(self):
        self.send(mqtt.subscribe(1, [self.filter], self.qos, self.version))

    def on_message(self, kind, first, body):
        if kind == mqtt.SUBACK:
            self.subscribed = True
        elif kind == mqtt.PUBREL:
            packet_id = struct.unpack_from(">H", body)[0]
            self.held.discard(packet_id)
            self.send(mqtt.ack(mqtt.PUBCOMP, packet_id))
        elif kind == mqtt.PUBLISH:
            self.on_publish(first, body)

    def on_publish(self, first, body):
        qos = first >> 1 & 3
        size = struct.unpack_from(">H", body)[0]
        packet_id = struct.unpack_from(">H", body, 2 + size)[0]
        at = 4 + size + (1 if self.version == mqtt.V5 else 0)
        if self.version == mqtt.V5 and body[at - 1]:
            at += body[at - 1]
        number = HEAD.unpack_from(body, at)[0]
        if qos == 2:
            if packet_id not in self.held:
                self.held.add(packet_id)
                self.seen.take(number, 2, self.name)
            self.send(mqtt.ack(mqtt.PUBREC, packet_id))
        else:
            self.seen.take(number, qos, self.name)
            self.send(mqtt.ack(mqtt.PUBACK, packet_id))


class Seen:
    """Which numbers of a flow have come."""

    def __init__(self, flows, topic, ordered):
        self.flows, self.topic, self.ordered = flows, topic, ordered
        self.numbers, self.highest = set(), -1

    def take(self, number, qos, who):
        self.flows.count("delivered")
        if number in self.numbers:
            if qos == 2:
                self.flows.fault("twice", f"{self.topic}: {number} came twice, now to {who}")
            else:
                self.flows.count("repeated")
            return
        self.numbers.add(number)
        if self.ordered and number < self.highest:
            self.flows.fault("out_of_order", f"{self.topic}: {number} came after {self.highest}, to {who}")
        self.highest = max(self.highest, number)


class Flows:
    """The process's whole state."""

    def __init__(self, worker, pipe, number, doors, pid):
        self.pipe, self.ports, self.authority, self.pid = pipe, doors.ports, doors.context(), pid
        self.reloads, self.login = (doors.path, doors.texts), doors.login
        self.chance = random.Random(worker.seed + 31)
        self.poll, self.by_fd = select.epoll(), {}
        names = ("published", "acknowledged", "delivered", "repeated", "refused", "told_refused", "disturbed", "reloads",
                 "twice", "out_of_order", "sessions_lost", "missing", "unacknowledged")
        self.result = dict.fromkeys(names, 0) | {"flows": number, "faults": [], "codes": collections.Counter()}
        self.publishers, self.clients, self.pairs = [], [], []
        for index in range(number):
            self._flow(index)

    def _flow(self, index):
        """Transports of both ends, QoS, version and kind of every combination, one after the other."""
        qos, version = 1 + index % 2, (mqtt.V3, mqtt.V5)[index // 2 % 2]
        to, by = TRANSPORTS[index // 4 % 4], TRANSPORTS[(index // 4 + index // 16) % 4]
        shared = index % 8 >= 6
        topic = f"flow/{index}"
        seen = Seen(self, topic, not shared)
        publisher = Publisher(self, f"flow-p{index}", by, version, topic, qos)
        filter_ = f"$share/g{index}/{topic}" if shared else topic
        members = [Subscriber(self, f"flow-s{index}-{n}", to, version, filter_, qos, seen) for n in range(1 + shared)]
        self.publishers.append(publisher)
        self.clients += [publisher, *members]
        self.pairs.append((publisher, seen))

    def count(self, name):
        self.result[name] += 1

    def fault(self, name, text):
        self.result[name] += 1
        if len(self.result["faults"]) < 50:
            self.result["faults"].append(f"{time.strftime('%H:%M:%S')} {text}")

    def watch(self, client):
        self.by_fd[client.link.fileno()] = client
        self.poll.register(client.link.fileno(), client.link.wants())

    def drop(self, client, how="close"):
        if client.link is None:
            return
        if self.by_fd.pop(client.link.fileno(), None):
            try:
                self.poll.unregister(client.link.fileno())
            except OSError:
                pass
        client.link.close(how)
        client.link, client.ready, client.stalled_until = None, False, 0.0

    def turn(self, now, timeout):
        for client in self.clients:
            if client.link is None and client.retry_at <= now:
                client.connect()
            elif client.link and not client.ready and client.begun + ANSWER_S < now:
                client.lost()
            if client.link:
                self.poll.modify(client.link.fileno(), 0 if client.stalled_until > now else client.link.wants())
        for fd, events in self.poll.poll(timeout, 256):
            client = self.by_fd.get(fd)
            if client is not None and client.stalled_until <= now:
                client.receive()

    def disturb(self):
        """Does to one client what happens to clients."""
        client = self.chance.choice(self.clients)
        if not client.ready:
            return
        self.count("disturbed")
        how = self.chance.choice(KINDS)
        if how == "takeover":
            # The old connection is still open when the new one comes.
            old, client.link = client.link, None
            self.by_fd.pop(old.fileno(), None)
            self.poll.unregister(old.fileno())
            client.ready = False
            client.connect()
            old.close("close")
        elif how == "again":
            if isinstance(client, Subscriber):
                client.subscribe()
        elif how == "stall":
            client.stalled_until = time.monotonic() + self.chance.uniform(0.1, 2)
        else:
            if how == "goodbye":
                client.send(mqtt.GOODBYE)
            if client.link:
                self.drop(client, how)
            client.retry_at = time.monotonic() + self.chance.choice((0, 0.05, 0.5, 2))

    def reload(self):
        """One configuration after the other; none of them takes anything from a flow."""
        path, texts = self.reloads
        beside = f"{path}.new"
        with open(beside, "w") as out:
            out.write(texts[self.result["reloads"] % len(texts)])
        os.replace(beside, path)
        self.count("reloads")
        try:
            os.kill(self.pid, signal.SIGHUP)
        except OSError:
            pass

    def is_complete(self):
        return all(client.ready for client in self.clients) and all(
            not publisher.in_flight and publisher.next - len(publisher.refused) <= len(seen.numbers)
            for publisher, seen in self.pairs
        )

    def run(self):
        deadline = time.monotonic() + 3 * ANSWER_S
        subscribers = [client for client in self.clients if isinstance(client, Subscriber)]
        while not all(client.subscribed for client in subscribers):
            if time.monotonic() > deadline:
                raise OSError("flows are not subscribed in time")
            self.turn(time.monotonic(), 0.05)
        self.pipe.send("ready")
        disturb_at = reload_at = time.monotonic()
        for publisher in self.publishers:
            publisher.due = time.monotonic()
        while not self.pipe.poll():
            now = time.monotonic()
            for publisher in self.publishers:
                publisher.publish(now)
            if now >= disturb_at:
                disturb_at = now + self.chance.expovariate(len(self.clients) / DISTURBED_EACH_S)
                self.disturb()
            if now >= reload_at:
                reload_at = now + RELOAD_EACH_S
                self.reload()
            self.turn(now, 0.01)
        return self.end()

    def end(self):
        deadline = time.monotonic() + DRAIN_S
        for client in self.clients:
            client.stalled_until = 0.0
        while not self.is_complete() and time.monotonic() < deadline:
            self.turn(time.monotonic(), 0.05)
        for publisher, seen in self.pairs:
            unacknowledged = {entry[0] for entry in publisher.in_flight.values()}
            missing = set(range(publisher.next)) - seen.numbers - publisher.refused - unacknowledged
            self.result["unacknowledged"] += len(unacknowledged)
            for number in sorted(missing):
                self.fault("missing", f"{publisher.topic}: {number} of {publisher.next} never came")
        self.result["codes"] = dict(self.result["codes"])
        return self.result


def job(worker, pipe, number, doors, pid):
    """The process: says over `pipe` when all are there, and ends when something comes over it."""
    gc.disable()
    try:
        return Flows(worker, pipe, number, doors, pid).run()
    except OSError as error:
        pipe.send(f"failed: {error}")
        return {"failed": str(error)}


FAULTS = ("missing", "twice", "out_of_order", "sessions_lost", "unacknowledged")


def check(result):
    """(what, whether it held, in words) of what came back."""
    good = not result.get("failed") and not any(result.get(name, 1) for name in FAULTS)
    told = result.get("failed") or ", ".join(f"{result[name]} {name.replace('_', ' ')}" for name in FAULTS) + (
        f"; of {result['acknowledged']:,} acknowledged in {result['flows']} flows, {result['disturbed']} disturbances, "
        f"{result['reloads']} reloads")
    if result.get("faults"):
        told += f": {'; '.join(result['faults'][:5])}"
    return ("flows lose nothing, repeat no QoS 2, keep their order", good, told)
