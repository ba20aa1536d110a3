"""50,000 connection attempts as fast as can be from many addresses, half of them garbage."""

import errno
import os
import random
import select
import socket
import time

import mqtt
from fleet import new_socket, reset

NAME = "storm"
SECONDS = 30
SHARDS = 1
HEALTHY = (1000, 20)
P99_FACTOR = 2
P99_FLOOR_US = 5000
ATTEMPTS = 50_000
OPEN_MAX = 4_000
PATIENCE_S = 3  # after that the attacker drops a connection that gets no answer

HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + b"\x00" * 161


def garbage(chance):
    """(name, bytes) of something that is not a good CONNECT."""
    whole = mqtt.connect("half", mqtt.V5)
    kinds = (
        ("random bytes", os.urandom(chance.randrange(1, 2000))),
        ("TLS hello", HELLO),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
        ("half a CONNECT", whole[: chance.randrange(1, len(whole))]),
        ("wrong length", b"\x10" + mqtt.varint(chance.randrange(0, 1 << 21)) + whole[2:]),
        ("length of five bytes", b"\x10\xff\xff\xff\xff\x7f" + whole[2:]),
        ("PUBLISH first", mqtt.publish("storm/x", b"x")),
        ("unknown protocol", whole.replace(b"MQTT", b"MQTX")),
        ("nothing", b""),
        ("reset at once", None),
    )
    return kinds[chance.randrange(len(kinds))]


class Storm:
    """One process's attempts."""

    def __init__(self, worker, attempts):
        self.worker, self.attempts = worker, attempts
        self.chance = random.Random(worker.seed * 1000 + worker.number)
        self.poll = select.epoll()
        self.open, self.ends = {}, {}

    def begin(self, number):
        good = number % 2 == 0
        name, data = ("good", None) if good else garbage(self.chance)
        if good:
            data = mqtt.connect(f"storm-{self.worker.number}-{number}", mqtt.V5 if number % 4 else mqtt.V3)
        chance = self.chance
        source = f"127.{chance.randrange(3, 250)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
        sock = new_socket(source)
        sock.setblocking(False)
        self.worker.count("attempts")
        code = sock.connect_ex(("127.0.0.1", self.worker.port))
        if code not in (0, errno.EINPROGRESS):
            self.end(name, errno.errorcode.get(code, str(code)), sock)
        elif code == 0:
            self.send(sock, name, data)
        else:
            self.watch(sock, name, data, select.EPOLLOUT)

    def watch(self, sock, name, data, events):
        self.open[sock.fileno()] = (sock, name, data, time.monotonic())
        self.poll.register(sock, events)

    def send(self, sock, name, data):
        if data is None:
            self.end(name, "reset by us", sock)
            return
        try:
            sock.send(data)
        except OSError as error:
            self.end(name, errno.errorcode.get(error.errno, "error"), sock)
            return
        self.watch(sock, name, data, select.EPOLLIN | select.EPOLLRDHUP)

    def end(self, name, how, sock):
        key = f"{name}: {how}"
        self.ends[key] = self.ends.get(key, 0) + 1
        if self.open.pop(sock.fileno(), None):
            self.poll.unregister(sock)
        reset(sock)

    def turn(self, timeout):
        for fd, events in self.poll.poll(timeout):
            sock, name, data, _ = self.open[fd]
            if events & select.EPOLLOUT:
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                del self.open[fd]
                self.poll.unregister(sock)
                if code:
                    self.end(name, errno.errorcode.get(code, str(code)), sock)
                else:
                    self.send(sock, name, data)
                continue
            self.answered(sock, name)

    def answered(self, sock, name):
        try:
            got = sock.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(name, errno.errorcode.get(error.errno, "error"), sock)
            return
        if got[:1] == b"\x20" and name == "good":
            code = got[3]
            self.worker.count("refused" if code else "connected")
            self.end(name, f"CONNACK 0x{code:02X}", sock)
        else:
            self.worker.count("closed")
            self.end(name, "answer" if got else "closed by the broker", sock)

    def reap(self):
        """Drops those that have had no answer for long."""
        now = time.monotonic()
        for sock, name, _, since in list(self.open.values()):
            if now - since < PATIENCE_S:
                break  # they are in the order in which they began, but for those that were waited for
            self.end(name, "no answer", sock)

    def run(self):
        started = time.monotonic()
        for number in range(self.attempts):
            if self.worker.over:
                break
            self.begin(number)
            if number % 64 == 0:
                self.turn(0)
                self.reap()
            while len(self.open) >= OPEN_MAX and not self.worker.over:
                self.turn(0.05)
                self.reap()
        took = time.monotonic() - started
        while self.open and not self.worker.over:
            self.turn(0.1)
            self.reap()
        return {"attempts": number + 1, "seconds": round(took, 2), "ends": dict(sorted(self.ends.items()))}


def storm(worker, attempts):
    return Storm(worker, attempts).run()


def run(context):
    """The storm again and again for as long as the attack takes, once at least."""
    until, rounds = time.monotonic() + context.seconds, []
    while not rounds or (time.monotonic() < until and context.broker.alive()):
        task = context.spawn(storm, context.number(ATTEMPTS), seconds=max(60.0, context.seconds))
        rounds.append(task.result(120))
        context.event(f"{rounds[-1].get('attempts')} attempts in {rounds[-1].get('seconds')} s")
    return {"rounds": rounds}


def checks(context, result):
    ends = {}
    for one in result["rounds"]:
        for how, number in one.get("ends", {}).items():
            ends[how] = ends.get(how, 0) + number
    attempts = sum(one.get("attempts", 0) for one in result["rounds"])
    took = sum(one.get("seconds", 0) for one in result["rounds"])
    good = ends.get("good: CONNACK 0x00", 0)
    others = {how: number for how, number in ends.items() if how.startswith("good:") and not how.endswith("0x00")}
    return [
        ("the storm was made", attempts >= context.number(ATTEMPTS), f"{attempts:,} attempts in {took:.1f} s, {attempts / max(took, 0.01):,.0f} a second"),
        ("good CONNECTs among them (refusing some is allowed)", None, f"{good:,} let in; others {others}"),
    ]
