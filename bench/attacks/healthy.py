"""Clients that behave, beside the attack: one publisher and many subscribers of its topic, every message numbered.

They have a process of their own with real-time priority, and take the time at which a message arrived from the kernel
(SO_TIMESTAMPNS), so that latency is the broker's and not that of an attacker on the same CPU or of this reader. Latency
counts from when the message was due: a broker that does not read its publisher shows.
"""

import collections
import dataclasses
import gc
import select
import socket
import struct
import time

import fleet
import mqtt

TOPIC = "ok/healthy"
FILTER = "ok/#"
SO_TIMESTAMPNS = 35
STAMP = struct.Struct("qq")
HEAD = struct.Struct(">QQ")
WINDOW = 16  # below every broker's receive maximum
DRAIN_S = 15
ANSWER_S = 15


def bucket(micros):
    """Place of a latency in a histogram with steps of 3 % and less."""
    if micros < 64:
        return micros
    shift = micros.bit_length() - 6
    return shift * 64 + (micros >> shift)


def value(place):
    """Microseconds at the upper end of a place."""
    shift, rest = divmod(place, 64)
    return place if shift == 0 else ((rest + 1) << shift) - 1


def quantile(counts, share):
    """Microseconds below which a share of the histogram lies; None of nothing."""
    total = sum(counts.values())
    seen = 0
    for place in sorted(counts):
        seen += counts[place]
        if seen >= share * total:
            return value(place)
    return None


@dataclasses.dataclass(slots=True)
class Subscriber:
    """A connection, and which messages it has."""

    sock: socket.socket
    index: int
    reader: mqtt.Reader
    below: int = 0  # all messages below this number have come
    beyond: set = dataclasses.field(default_factory=set)  # and these behind a gap
    highest: int = -1


class Healthy:
    """The process's whole state."""

    def __init__(self, worker, pipe, subscribers, rate, size):
        self.worker, self.pipe, self.rate, self.size = worker, pipe, rate, size
        self.epoll = select.epoll()
        self.subscribers = {}
        self.seconds = collections.defaultdict(collections.Counter)
        self.result = {"subscribers": subscribers, "rate": rate, "published": 0, "delivered": 0, "lost": 0, "repeated": 0,
                       "out_of_order": 0, "closed": [], "failed": None, "publish_refused": 0, "slip_ms_max": 0.0}
        self.held = collections.deque()
        self.in_flight, self.next_id = 0, 0
        self.publisher_reader, self.publisher_out = mqtt.Reader(), b""
        self.acks = {}
        for index in range(subscribers):
            self._subscribe(index, index % 2)
        self.publisher = self._connect("healthy-publisher", mqtt.V5)
        self._answer(self.publisher, mqtt.CONNACK)
        self.publisher.setblocking(False)
        self.epoll.register(self.publisher, select.EPOLLIN)

    def _connect(self, name, version, more=b""):
        sock = fleet.new_socket("127.0.2.1")
        sock.settimeout(ANSWER_S)
        sock.connect(("127.0.0.1", self.worker.port))
        sock.sendall(mqtt.connect(name, version) + more)
        return sock

    def _answer(self, sock, kind):
        reader = mqtt.Reader()
        while True:
            for first, body in reader.feed(sock.recv(4096)):
                if first >> 4 == kind:
                    if body[-1] > 2 and kind == mqtt.SUBACK or kind == mqtt.CONNACK and body[1]:
                        raise OSError(f"refused: {body.hex()}")
                    return

    def _subscribe(self, index, qos):
        sock = self._connect(f"healthy-{index}", mqtt.V3, mqtt.subscribe(1, [FILTER], qos))
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._answer(sock, mqtt.SUBACK)
        sock.setblocking(False)
        self.subscribers[sock.fileno()] = Subscriber(sock, index, mqtt.Reader())
        self.epoll.register(sock, select.EPOLLIN)

    def run(self):
        """Publishes at the rate until told to stop, then waits for what is still to come."""
        self.pipe.send("ready")
        start = time.time()
        number = 0
        stopping = None
        while True:
            now = time.time()
            if stopping is None:
                while start + number / self.rate <= now:
                    due = start + number / self.rate
                    self.result["slip_ms_max"] = max(self.result["slip_ms_max"], (now - due) * 1000)
                    self.held.append((number, int(due * 1e9)))
                    number += 1
                self._publish()
                if self.pipe.poll():
                    self.pipe.recv()
                    stopping = now
                timeout = max(0.0, start + number / self.rate - time.time())
            else:
                self._publish()
                complete = not self.held and all(one.below >= number for one in self.subscribers.values())
                if complete or now > stopping + DRAIN_S:
                    break
                timeout = 0.1
            for fd, _ in self.epoll.poll(timeout, 256):
                if fd in self.subscribers:
                    self._deliveries(self.subscribers[fd])
                elif self.publisher is not None and fd == self.publisher.fileno():
                    self._acknowledged()
            self._retry()
        return self._end(number)

    def _publish(self):
        while self.held and self.in_flight < WINDOW and self.publisher is not None:
            number, stamp = self.held.popleft()
            payload = HEAD.pack(number, stamp).ljust(self.size, b".")
            self.next_id = self.next_id % 60000 + 1
            self.publisher_out += mqtt.publish(TOPIC, payload, 1, self.next_id, mqtt.V5)
            self.in_flight += 1
            self.result["published"] += 1
            self.worker.count("offered")
        if self.publisher_out and self.publisher is not None:
            try:
                self.publisher_out = self.publisher_out[self.publisher.send(self.publisher_out):]
            except BlockingIOError:
                pass
            except OSError as error:
                self._lost_publisher(str(error))

    def _lost_publisher(self, why):
        self.result["closed"].append([time.time(), "publisher", why])
        self.epoll.unregister(self.publisher)
        self.publisher.close()
        self.publisher = None

    def _acknowledged(self):
        try:
            data = self.publisher.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            return self._lost_publisher(str(error))
        if not data:
            return self._lost_publisher("closed by the broker")
        for first, body in self.publisher_reader.feed(data):
            if first >> 4 == mqtt.PUBACK:
                self.in_flight -= 1
                self.result["publish_refused"] += mqtt.reason(body) >= 0x80
            elif first >> 4 == mqtt.DISCONNECT:
                return self._lost_publisher(f"DISCONNECT {body.hex()}")

    def _deliveries(self, one):
        sock = one.sock
        try:
            data, control, _, _ = sock.recvmsg(65536, 64)
        except BlockingIOError:
            return
        except OSError as error:
            data, control = b"", []
            self.result["failed"] = str(error)
        if not data:
            self.result["closed"].append([time.time(), f"subscriber {one.index}", "closed by the broker"])
            self.epoll.unregister(sock)
            del self.subscribers[sock.fileno()]
            self.result["lost_subscribers"] = self.result.get("lost_subscribers", []) + [one.below]
            sock.close()
            return
        if control:
            seconds, nanos = STAMP.unpack(control[0][2][:16])
            arrived = seconds * 10**9 + nanos
        else:
            arrived = time.time_ns()
        answers = b""
        for first, body in one.reader.feed(data):
            if first >> 4 != mqtt.PUBLISH:
                continue
            at = 2 + len(TOPIC)
            if first & 6:
                answers += b"\x40\x02" + body[at : at + 2]
            self._delivered(one, body, arrived)
        if answers:
            self._send_acks(one, answers)

    def _delivered(self, one, body, arrived):
        number, stamp = HEAD.unpack_from(body, len(body) - self.size)
        micros = max(0, arrived - stamp) // 1000
        self.seconds[stamp // 10**9][bucket(micros)] += 1
        self.result["delivered"] += 1
        self.worker.count("received")
        is_new = number >= one.below and number not in one.beyond
        if not is_new:
            self.result["repeated"] += 1
        elif number < one.highest:
            self.result["out_of_order"] += 1
        one.highest = max(one.highest, number)
        if number == one.below:
            one.below += 1
            while one.below in one.beyond:
                one.beyond.discard(one.below)
                one.below += 1
        elif is_new:  # a gap: it is known at the end whether it was filled
            one.beyond.add(number)

    def _send_acks(self, one, answers):
        answers = self.acks.pop(one.index, (one, b""))[1] + answers
        try:
            sent = one.sock.send(answers)
        except BlockingIOError:
            sent = 0
        except OSError:
            return
        if sent < len(answers):
            self.acks[one.index] = (one, answers[sent:])

    def _retry(self):
        for index in list(self.acks):
            one, answers = self.acks.pop(index)
            self._send_acks(one, answers)

    def _end(self, number):
        lost = sum(number - one.below - len(one.beyond) for one in self.subscribers.values())
        lost += sum(number - seen for seen in self.result.pop("lost_subscribers", []))
        self.result["lost"] = lost
        self.result["unpublished"] = len(self.held)
        self.result["seconds"] = {second: dict(counts) for second, counts in self.seconds.items()}
        return self.result


def job(worker, pipe, subscribers, rate, size):
    """The process: reports over `pipe` when it is ready, and ends when something comes over it."""
    gc.disable()
    try:
        return Healthy(worker, pipe, subscribers, rate, size).run()
    except OSError as error:
        pipe.send(f"failed: {error}")
        return {"failed": str(error)}
